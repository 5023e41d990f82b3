//! One loss as one `LogRecord`.

use crate::loss::{Counts, Loss};

use super::attribute;
use super::time::iso8601;
use super::wire::{self, attribute, close, fixed64, open, tag};

/// The event's name: `LogRecord.event_name`, and the attribute `otel.event.name`.
pub const LOSS_EVENT_NAME: &str = "inotrail.exporter.loss";

/// `LogRecord.severity_number`, a varint; `SEVERITY_NUMBER_WARN`.
const SEVERITY_WARN: [u8; 2] = [2 << 3, 13];

/// Appends the loss as one element of `ScopeLogs.log_records`. `stream_id` is an encoded attribute.
pub(super) fn push(out: &mut Vec<u8>, loss: &Loss<'_>, stream_id: &[u8]) {
    let start = open(out, tag(2));
    fixed64(out, 1, if loss.end_ns == 0 { loss.start_ns } else { loss.end_ns });
    out.extend_from_slice(&SEVERITY_WARN);
    let body = sentence(loss);
    out.push(tag(5));
    wire::varint(out, wire::bytes_len(body.len()) as u64);
    wire::bytes(out, tag(1), body.as_bytes());
    attribute!(string, out, attribute::OTEL_EVENT_NAME, LOSS_EVENT_NAME.as_bytes());
    out.extend_from_slice(stream_id);
    attribute!(string, out, attribute::LOSS_REASON, loss.reason.as_str().as_bytes());
    attribute!(string, out, attribute::LOSS_STAGE, loss.reason.stage().as_bytes());
    if let Some(run) = loss.run {
        attribute!(string, out, attribute::LOSS_STREAM_ID, run.to_string().as_bytes());
    }
    if let Some(destination) = loss.destination {
        attribute!(string, out, attribute::DESTINATION_NAME, destination.as_bytes());
    }
    if let Some(Counts { count, total, records }) = loss.counts {
        attribute!(int, out, attribute::LOSS_COUNT, count);
        attribute!(int, out, attribute::LOSS_TOTAL, total);
        attribute!(int, out, attribute::LOSS_EVENTS, records);
        attribute!(boolean, out, attribute::LOSS_UPPER_BOUND, loss.is_upper_bound());
    }
    attribute!(string, out, attribute::LOSS_START_TIME, &iso8601(loss.start_ns));
    if loss.end_ns != 0 {
        attribute!(string, out, attribute::LOSS_END_TIME, &iso8601(loss.end_ns));
    }
    attribute!(int, out, attribute::STREAM_SEQUENCE, loss.sequence);
    fixed64(out, 11, loss.observed_ns);
    wire::bytes(out, tag(12), LOSS_EVENT_NAME.as_bytes());
    close(out, start);
}

/// `12 accesses lost: ring_full`, `at most 12 accesses lost: hook_missed`, or `accesses may be lost: detached`.
#[must_use]
pub fn sentence(loss: &Loss<'_>) -> String {
    let reason = loss.reason.as_str();
    let Some(Counts { count, .. }) = loss.counts else { return format!("accesses may be lost: {reason}") };
    let most = if loss.is_upper_bound() { "at most " } else { "" };
    let accesses = if count == 1 { "access" } else { "accesses" };
    format!("{most}{count} {accesses} lost: {reason}")
}
