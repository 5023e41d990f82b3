//! One event as one `LogRecord`.

use crate::container::Origin;
use crate::event::{Event, Node, Outcome};
use crate::loss::Loss;
use crate::stopped::Stopped;

use super::names::{Buffers, Names};
use super::wire::{self, attribute, close, fixed64, open, tag};
use super::{attribute, body, file, policy};

/// The event's name: `LogRecord.event_name`, and the attribute `otel.event.name` for receivers that drop the field.
pub const EVENT_NAME: &str = "inotrail.file.access";

/// `SEVERITY_NUMBER_INFO`, and `SEVERITY_NUMBER_INFO2` for what was tried in vain.
const INFO: u8 = 9;
pub(super) const INFO2: u8 = 10;

/// `LogRecord.severity_number`, a varint.
const SEVERITY: u8 = 2 << 3;
const BODY: u8 = tag(5);
const EVENT_NAME_FIELD: u8 = tag(12);

/// Encodes events. Its buffers grow to the longest names seen and stay: a warm encoder allocates nothing.
#[derive(Debug)]
pub struct Encoder {
    /// Attributes that every record has, encoded.
    run: Vec<u8>,
    /// Of these, the one that is the same for every event name.
    stream_id: Vec<u8>,
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
        Self { run, stream_id, names: Buffers::default(), text: Vec::new() }
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
        let names = Names::new(event, &mut self.names);
        let start = open(out, tag(2));
        fixed64(out, 1, event.time_ns);
        out.extend_from_slice(&[SEVERITY, severity(event)]);
        self.text.clear();
        body::push(&mut self.text, event, &names);
        out.push(BODY);
        wire::varint(out, wire::bytes_len(self.text.len()) as u64);
        wire::bytes(out, tag(1), &self.text);
        out.extend_from_slice(&self.run);
        file::push(out, event, &names, &mut self.text);
        if event.access.header.tgid != 0 {
            process(out, event, &names, &mut self.text);
        }
        if let Some(judgement) = &event.judgement {
            policy::push(out, judgement, &mut self.text);
        }
        attribute!(int, out, attribute::AGGREGATION_COUNT, event.count);
        if event.last_ns != 0 {
            let time = super::time::iso8601(event.last_ns);
            attribute!(string, out, attribute::AGGREGATION_LAST_TIME, &time);
        }
        attribute!(int, out, attribute::STREAM_SEQUENCE, event.sequence);
        fixed64(out, 11, event.observed_ns);
        wire::bytes(out, EVENT_NAME_FIELD, EVENT_NAME.as_bytes());
        close(out, start);
    }
}

fn severity(event: &Event<'_>) -> u8 {
    let of_rule = event.judgement.as_ref().and_then(policy::severity);
    of_rule.unwrap_or(if matches!(event.access.outcome(), Outcome::Failure(_)) { INFO2 } else { INFO })
}

/// Who accessed it.
fn process(out: &mut Vec<u8>, event: &Event<'_>, names: &Names<'_>, text: &mut Vec<u8>) {
    let header = event.access.header;
    attribute!(int, out, attribute::PROCESS_PID, header.tgid.into());
    if event.process.vpid != 0 {
        attribute!(int, out, attribute::PROCESS_VPID, event.process.vpid.into());
    }
    attribute!(int, out, attribute::PROCESS_PARENT_PID, header.ppid.into());
    if !names.ancestors.is_empty() {
        attribute!(string, out, attribute::PROCESS_ANCESTORS, names.ancestors);
    }
    // Services of the host come and go in their cgroups.
    if event.process.session && matches!(&event.container.origin, Origin::Container { id, .. } if !id.is_empty()) {
        attribute!(string, out, attribute::PROCESS_SESSION, attribute::SESSION_EXEC.as_bytes());
    }
    attribute!(int, out, attribute::THREAD_ID, header.tid.into());
    if !names.comm.is_empty() {
        attribute!(string, out, attribute::THREAD_NAME, names.comm);
    }
    if !names.executable.is_empty() {
        attribute!(string, out, attribute::PROCESS_EXECUTABLE_PATH, names.executable);
    }
    if !names.arguments.is_empty() {
        arguments(out, names.arguments, text);
    }
    attribute!(int, out, attribute::PROCESS_USER_ID, header.euid.into());
    attribute!(int, out, attribute::PROCESS_REAL_USER_ID, header.uid.into());
    if event.process_start_ns != 0 {
        let time = super::time::iso8601(event.process_start_ns);
        attribute!(string, out, attribute::PROCESS_CREATION_TIME, &time);
    }
}

/// What it was started with.
fn arguments(out: &mut Vec<u8>, list: &[u8], text: &mut Vec<u8>) {
    let whole = list.strip_suffix(&[0]);
    text.clear();
    for argument in whole.unwrap_or(list).split(|byte| *byte == 0) {
        wire::element(text, argument);
    }
    attribute!(array, out, attribute::PROCESS_COMMAND_ARGS, text);
    if whole.is_none() {
        attribute!(boolean, out, attribute::PROCESS_ARGUMENTS_TRUNCATED, true);
    }
}
