//! One event as one `LogRecord`.

use crate::event::{Event, Node, Sight};
use crate::loss::Loss;
use crate::stopped::Stopped;

use super::deed::{Deed, Deeds};
use super::file::Places;
use super::names::{Buffers, Files, Names};
use super::parts::Parts;
use super::room::{Room, Writer};
use super::thread::{Encoded, Threads};
use super::wire::{self, attribute, tag};
use super::{attribute, body, file, policy, tail};

/// The event's name: `LogRecord.event_name`, and the attribute `otel.event.name` for receivers that drop the field.
pub const EVENT_NAME: &str = "inotrail.file.access";

/// `SEVERITY_NUMBER_INFO`, and `SEVERITY_NUMBER_INFO2` for what was tried in vain.
pub(super) const INFO: u8 = 9;
pub(super) const INFO2: u8 = 10;

/// What a record starts with: its tag, and its length in the bytes that it nearly always has.
const LEN: usize = 3;
/// Bytes of all in a record that is no text, and of the names of its attributes, at most: some are written before it is known how
/// many are needed.
const FIXED: usize = 2048;

/// Encodes events. Its buffers grow to the longest names seen and stay: a warm encoder allocates nothing.
#[derive(Debug)]
pub struct Encoder {
    /// The attribute that all records have, losses too, encoded.
    stream_id: Vec<u8>,
    threads: Threads,
    deeds: Deeds,
    places: Places,
    parts: Parts,
    names: Buffers,
    text: Vec<u8>,
    /// Attributes that few records have.
    rare: Vec<u8>,
}

impl Encoder {
    /// An encoder of this node's events.
    #[must_use]
    pub fn new(node: &Node) -> Self {
        let (mut run, mut stream_id) = (Vec::new(), Vec::new());
        attribute!(string, &mut run, attribute::OTEL_EVENT_NAME, EVENT_NAME.as_bytes());
        if !node.stream_id.is_empty() {
            attribute!(string, &mut stream_id, attribute::STREAM_ID, node.stream_id.as_bytes());
        }
        run.extend_from_slice(&stream_id);
        Self {
            stream_id,
            threads: Threads::default(),
            deeds: Deeds::new(run),
            places: Places::default(),
            parts: Parts::default(),
            names: Buffers::default(),
            text: Vec::new(),
            rare: Vec::new(),
        }
    }

    /// Appends the loss as one element of `ScopeLogs.log_records`.
    pub fn loss(&self, out: &mut Vec<u8>, loss: &Loss<'_>) {
        super::loss::push(out, loss, &self.stream_id);
    }

    /// Appends the end of the run as one element of `ScopeLogs.log_records`.
    pub fn stopped(&self, out: &mut Vec<u8>, stopped: &Stopped<'_>) {
        super::stopped::push(out, stopped, &self.stream_id);
    }

    /// Appends the event as one element of `ScopeLogs.log_records`.
    ///
    /// At most eight bytes per byte of path, target, requested path, executable, ancestors and arguments (an escaped byte is
    /// four, the body repeats a path, and an argument has up to seven of its own), and
    /// 16 KiB: no name in Kubernetes is longer than 253, and a rule has 16 labels of 343 bytes, names and values together.
    pub fn record(&mut self, out: &mut Room, event: &Event<'_>) {
        let Self { threads, deeds, places, parts, names, text, rare, .. } = self;
        let deed = deeds.of(&event.access);
        if let Some(sight) = event.access.seen.filter(|sight| sight.is_kept) {
            return again(out, event, (deed, threads.get(event), parts.get(&sight)), [rare, text]);
        }
        let known = Files::of(&event.access).filter(|_| threads.has(event));
        let (files, thread) = if let Some(files) = known {
            (files, threads.get(event))
        } else {
            let names = Names::new(event, names);
            (names.files, threads.make(event, &names, text))
        };
        let place = places.of(event, [text, rare]);
        let (rare, [flags, owner]) = rarely(rare, event, (files.escaped, place.is_all), text);
        let (flags, owner, judged) = (&rare[..flags], &rare[flags..owner], &rare[owner..]);
        let named = files.path.len() + files.target.len() + files.requested.len();
        let most = FIXED + 2 * named + deed.len() + place.len() + thread.len() + rare.len();
        let room = out.spare(most);
        let all = room.len();
        let mut writer = Writer::new(room);
        start(&mut writer, event, deed);
        body::push(&mut writer, event, &files, (&thread.label, deed), text);
        writer.copy(deed.attributes(!files.path.is_empty() || !files.requested.is_empty()));
        let before = all - writer.left();
        file::push(&mut writer, event.access.header.inode, &files, &place, [flags, owner]);
        let part = before..all - writer.left();
        end(&mut writer, event, (thread, judged));
        let written = all - writer.left();
        if let Some(sight) = event.access.seen.filter(|_| !files.escaped && !files.path.is_empty()) {
            parts.keep(&sight, &room[part]);
        }
        let written = close(room, written);
        out.advance(written);
    }

    /// Whether the part of a record is kept that [`Self::record`] does not look up where [`Sight::is_kept`] says so.
    #[must_use]
    #[inline]
    pub fn knows(&self, event: &Event<'_>, sight: &Sight) -> bool {
        self.parts.has(sight) && self.threads.has(event)
    }
}

/// [`Encoder::record`] of a file whose part is kept. `rare` and `text` are buffers.
fn again(
    out: &mut Room,
    event: &Event<'_>,
    (deed, thread, part): (&Deed, &Encoded, &[u8]),
    [rare, text]: [&mut Vec<u8>; 2],
) {
    rare.clear();
    if let Some(judgement) = &event.judgement {
        policy::push(rare, judgement, text);
    }
    let files = Files::text(&event.access);
    let room = out.spare(FIXED + files.path.len() + deed.len() + part.len() + thread.len() + rare.len());
    let all = room.len();
    let mut writer = Writer::new(room);
    start(&mut writer, event, deed);
    body::push(&mut writer, event, &files, (&thread.label, deed), text);
    writer.copy(deed.attributes(true));
    writer.copy(part);
    end(&mut writer, event, (thread, rare));
    let written = all - writer.left();
    let written = close(room, written);
    out.advance(written);
}

/// What comes before the body, without the record's length.
#[inline]
fn start(out: &mut Writer<'_>, event: &Event<'_>, deed: &Deed) {
    out.take::<LEN>();
    if event.time_ns != 0 {
        let time = out.take::<9>();
        time[0] = 1 << 3 | 1;
        time[1..].copy_from_slice(&event.time_ns.to_le_bytes());
    }
    let severity = event.judgement.as_ref().and_then(policy::severity).unwrap_or(deed.severity);
    out.put(&[2 << 3, severity]);
}

/// What comes behind the file.
#[inline]
fn end(out: &mut Writer<'_>, event: &Event<'_>, (thread, judged): (&Encoded, &[u8])) {
    out.copy(&thread.attributes);
    if !judged.is_empty() {
        out.copy(judged);
    }
    tail::push(out, event);
}

/// Writes a record's length. Returns the bytes of both.
#[inline]
fn close(room: &mut [u8], written: usize) -> usize {
    let head = wire::short_head(written - LEN);
    room[..LEN].copy_from_slice(&head);
    if head[1] == 0 { lengthen(room, written) } else { written }
}

/// Attributes that few records have, encoded: flags, the file's owner, and what policies say; and where the first two end.
#[inline]
fn rarely<'a>(
    out: &'a mut Vec<u8>,
    event: &Event<'_>,
    (escaped, is_all): (bool, bool),
    text: &mut Vec<u8>,
) -> (&'a [u8], [usize; 2]) {
    out.clear();
    if event.access.header.flags == 0 && !escaped && is_all && event.judgement.is_none() {
        return (out, [0; 2]);
    }
    if event.access.header.flags != 0 || escaped {
        file::flags(out, event, escaped, text);
    }
    let flags = out.len();
    if !is_all {
        file::owned(out, event.file);
    }
    let owner = out.len();
    if let Some(judgement) = &event.judgement {
        policy::push(out, judgement, text);
    }
    (out, [flags, owner])
}

/// Writes a record's length where two bytes are not its shortest form, moving the record. Returns the bytes of both.
#[cold]
fn lengthen(room: &mut [u8], written: usize) -> usize {
    let len = written - LEN;
    let start = 1 + wire::varint_len(len as u64);
    room.copy_within(LEN..written, start);
    room[0] = tag(2);
    room[1..].iter_mut().zip(wire::varint_bytes(len)).for_each(|(byte, value)| *byte = value);
    start + len
}

#[cfg(test)]
mod tests;
