//! The end of a record: for how many accesses it stands, its number, when it was seen, and its name.

use super::attribute;
use super::record::EVENT_NAME;
use super::room::{Writer, put};
use super::wire::{self, tag};
use crate::event::Event;

/// The count of nearly all events, encoded.
const ONE: [u8; attribute::AGGREGATION_COUNT.len() + wire::KEY_OVERHEAD] =
    wire::short_int(attribute::AGGREGATION_COUNT, 1);
/// `LogRecord.observed_time_unix_nano`, left 0, and [`NAME`].
const END: [u8; 9 + NAME.len()] = {
    let mut end = [0; 9 + NAME.len()];
    end[0] = 11 << 3 | 1;
    end.split_at_mut(9).1.copy_from_slice(&NAME);
    end
};
/// `LogRecord.event_name`, encoded.
const NAME: [u8; EVENT_NAME.len() + 2] = wire::short(tag(12), EVENT_NAME);

pub(super) fn push(out: &mut Writer<'_>, event: &Event<'_>) {
    if event.count == 1 {
        out.put(&ONE);
    } else {
        put!(out.int, attribute::AGGREGATION_COUNT, event.count);
    }
    if event.processes != 0 {
        put!(out.int, attribute::AGGREGATION_PROCESSES, event.processes.into());
    }
    if event.last_ns != 0 {
        put!(out.string, attribute::AGGREGATION_LAST_TIME, &super::time::iso8601(event.last_ns));
    }
    put!(out.int, attribute::STREAM_SEQUENCE, event.sequence);
    if event.observed_ns == 0 {
        // That is what the field's absence means.
        return out.put(&NAME);
    }
    let end = out.take();
    *end = END;
    end[1..9].copy_from_slice(&event.observed_ns.to_le_bytes());
}
