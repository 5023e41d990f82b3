//! The end of a record: for how many accesses it stands, its number, when it was seen, and its name.

use super::attribute;
use super::record::EVENT_NAME;
use super::wire::{self, attribute, fixed64, tag};
use crate::event::Event;

/// The count of nearly all events, encoded.
const ONE: [u8; attribute::AGGREGATION_COUNT.len() + wire::KEY_OVERHEAD] =
    wire::short_int(attribute::AGGREGATION_COUNT, 1);
/// `LogRecord.observed_time_unix_nano`
const OBSERVED: u8 = 11;
/// `LogRecord.event_name`, encoded.
const NAME: [u8; EVENT_NAME.len() + 2] = wire::short(tag(12), EVENT_NAME);

pub(super) fn push(out: &mut Vec<u8>, event: &Event<'_>) {
    if event.count == 1 {
        out.extend_from_slice(&ONE);
    } else {
        attribute!(int, out, attribute::AGGREGATION_COUNT, event.count);
    }
    if event.processes != 0 {
        attribute!(int, out, attribute::AGGREGATION_PROCESSES, event.processes.into());
    }
    if event.last_ns != 0 {
        let time = super::time::iso8601(event.last_ns);
        attribute!(string, out, attribute::AGGREGATION_LAST_TIME, &time);
    }
    attribute!(int, out, attribute::STREAM_SEQUENCE, event.sequence);
    fixed64(out, OBSERVED, event.observed_ns);
    out.extend_from_slice(&NAME);
}
