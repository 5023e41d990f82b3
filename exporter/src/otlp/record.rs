//! One event as one `LogRecord`.

use crate::event::{Event, Node};
use crate::loss::Loss;
use crate::stopped::Stopped;

use super::deed::Deeds;
use super::file::Places;
use super::names::{Buffers, Files, Names};
use super::thread::Threads;
use super::wire::{self, attribute, close, tag};
use super::{attribute, body, file, policy, tail};

/// The event's name: `LogRecord.event_name`, and the attribute `otel.event.name` for receivers that drop the field.
pub const EVENT_NAME: &str = "inotrail.file.access";

/// `SEVERITY_NUMBER_INFO`, and `SEVERITY_NUMBER_INFO2` for what was tried in vain.
pub(super) const INFO: u8 = 9;
pub(super) const INFO2: u8 = 10;

/// What a record starts with: a length, `time_unix_nano`, `severity_number`, and the body's two lengths.
const HEAD: [u8; 18] = [tag(2), 0, 0, 1 << 3 | 1, 0, 0, 0, 0, 0, 0, 0, 0, 2 << 3, 0, tag(5), 0, wire::STRING, 0];
/// Where in it the record's own bytes start, its time, and its severity.
const START: usize = 3;
const TIME: usize = 4;
const SEVERITY: usize = 13;

/// Encodes events. Its buffers grow to the longest names seen and stay: a warm encoder allocates nothing.
#[derive(Debug)]
pub struct Encoder {
    /// Attributes that every record has, encoded.
    run: Vec<u8>,
    /// Of these, the one that is the same for every event name.
    stream_id: Vec<u8>,
    threads: Threads,
    deeds: Deeds,
    places: Places,
    names: Buffers,
    text: Vec<u8>,
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
            run,
            stream_id,
            threads: Threads::default(),
            deeds: Deeds::default(),
            places: Places::default(),
            names: Buffers::default(),
            text: Vec::new(),
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
    pub fn record(&mut self, out: &mut Vec<u8>, event: &Event<'_>) {
        let Self { run, threads, deeds, places, names, text, .. } = self;
        let deed = deeds.of(&event.access);
        let known = Files::of(&event.access).filter(|_| threads.has(event));
        let (files, thread) = if let Some(files) = known {
            (files, threads.get(event))
        } else {
            let names = Names::new(event, names);
            (names.files, threads.make(event, &names, text))
        };
        let severity = event.judgement.as_ref().and_then(policy::severity).unwrap_or(deed.severity);
        let start = head(out, event.time_ns, severity);
        let said = out.len();
        body::push(out, event, &files, &thread.label, deed);
        wire::close_text(out, said);
        out.extend_from_slice(run);
        file::push(out, event, &files, (deed, places), text);
        out.extend_from_slice(&thread.attributes);
        if let Some(judgement) = &event.judgement {
            policy::push(out, judgement, text);
        }
        tail::push(out, event);
        close(out, start);
    }
}

/// Appends [`HEAD`], and returns where the record's own bytes start.
#[inline]
fn head(out: &mut Vec<u8>, time_ns: u64, severity: u8) -> usize {
    let (start, mut head) = (out.len() + START, HEAD);
    head[TIME..TIME + 8].copy_from_slice(&time_ns.to_le_bytes());
    head[SEVERITY] = severity;
    out.extend_from_slice(&head);
    if time_ns == 0 {
        // That is what the field's absence means.
        out.drain(start..start + 9);
    }
    start
}

#[cfg(test)]
mod tests;
