//! One event as one `LogRecord`.

use crate::event::{Event, Node};
use crate::loss::Loss;
use crate::stopped::Stopped;

use super::deed::Deeds;
use super::file::Places;
use super::names::{Buffers, Names};
use super::thread::Threads;
use super::wire::{self, attribute, close, fixed64, open, tag};
use super::{attribute, body, file, policy};

/// The event's name: `LogRecord.event_name`, and the attribute `otel.event.name` for receivers that drop the field.
pub const EVENT_NAME: &str = "inotrail.file.access";

/// `SEVERITY_NUMBER_INFO`, and `SEVERITY_NUMBER_INFO2` for what was tried in vain.
pub(super) const INFO: u8 = 9;
pub(super) const INFO2: u8 = 10;

/// `LogRecord.severity_number`, a varint.
const SEVERITY: u8 = 2 << 3;
const BODY: u8 = tag(5);
/// `LogRecord.event_name`, encoded.
const NAME: [u8; EVENT_NAME.len() + 2] = wire::short(tag(12), EVENT_NAME);

/// The count of nearly all events, encoded.
const ONE: [u8; attribute::AGGREGATION_COUNT.len() + wire::KEY_OVERHEAD] =
    wire::short_int(attribute::AGGREGATION_COUNT, 1);

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
        let known = Names::of_access(event.access).filter(|_| threads.has(event));
        let (names, thread) = if let Some(names) = known {
            (names, threads.get(event))
        } else {
            let names = Names::new(event, names);
            (names, threads.make(event, &names, text))
        };
        let start = open(out, tag(2));
        fixed64(out, 1, event.time_ns);
        out.extend_from_slice(&[
            SEVERITY,
            event.judgement.as_ref().and_then(policy::severity).unwrap_or(deed.severity),
        ]);
        let body = wire::open_text(out, BODY);
        body::push(out, event, &names, &thread.label, deed);
        wire::close_text(out, body);
        out.extend_from_slice(run);
        file::push(out, event, &names, (deed, places), text);
        out.extend_from_slice(&thread.attributes);
        if let Some(judgement) = &event.judgement {
            policy::push(out, judgement, text);
        }
        if event.count == 1 {
            out.extend_from_slice(&ONE);
        } else {
            attribute!(int, out, attribute::AGGREGATION_COUNT, event.count);
        }
        if event.last_ns != 0 {
            let time = super::time::iso8601(event.last_ns);
            attribute!(string, out, attribute::AGGREGATION_LAST_TIME, &time);
        }
        attribute!(int, out, attribute::STREAM_SEQUENCE, event.sequence);
        fixed64(out, 11, event.observed_ns);
        out.extend_from_slice(&NAME);
        close(out, start);
    }
}

#[cfg(test)]
mod tests;
