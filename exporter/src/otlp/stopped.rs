//! The end of a run as one `LogRecord`.

use crate::stopped::Stopped;

use super::attribute;
use super::wire::{self, attribute, close, fixed64, open, tag};

/// The event's name: `LogRecord.event_name`, and the attribute `otel.event.name`.
pub const STOPPED_EVENT_NAME: &str = "inotrail.exporter.stopped";

/// `LogRecord.severity_number`, a varint; `SEVERITY_NUMBER_INFO`.
const SEVERITY_INFO: [u8; 2] = [2 << 3, 9];

/// Appends it as one element of `ScopeLogs.log_records`. `stream_id` is an encoded attribute.
pub(super) fn push(out: &mut Vec<u8>, stopped: &Stopped<'_>, stream_id: &[u8]) {
    let Stopped { events, losses, time_ns, .. } = *stopped;
    let start = open(out, tag(2));
    fixed64(out, 1, time_ns);
    out.extend_from_slice(&SEVERITY_INFO);
    let body = format!("stopped after {events} events and {losses} losses");
    out.push(tag(5));
    wire::varint(out, wire::bytes_len(body.len()) as u64);
    wire::bytes(out, tag(1), body.as_bytes());
    attribute!(string, out, attribute::OTEL_EVENT_NAME, STOPPED_EVENT_NAME.as_bytes());
    out.extend_from_slice(stream_id);
    attribute!(int, out, attribute::EXPORTER_EVENTS, events);
    attribute!(int, out, attribute::EXPORTER_LOSSES, losses);
    attribute!(int, out, attribute::STREAM_SEQUENCE, Stopped::SEQUENCE);
    fixed64(out, 11, time_ns);
    wire::bytes(out, tag(12), STOPPED_EVENT_NAME.as_bytes());
    close(out, start);
}
