//! Accesses, from the kernel to receivers.

use super::{REASON, family};
use crate::metrics::Dropped;
use crate::metrics::family::Family;
use crate::metrics::family::Kind::{Counter, UpDown};
use crate::metrics::family::Value::Whole;

/// Accesses, from the kernel to receivers.
pub(super) static EVENTS: [Family; 10] = [
    family(
        ("inotrail_events", "inotrail.event.emitted"),
        "{access}",
        Counter,
        &[],
        "Accesses given to the sink, one by one or as a count",
        |source, each| each(&[], Whole(source.metrics.emitted.get())),
    ),
    family(
        ("inotrail_events_delivered", "inotrail.event.delivered"),
        "{access}",
        Counter,
        &[],
        "Accesses in log records that the receiver acknowledged",
        |source, each| each(&[], Whole(source.metrics.delivered.get())),
    ),
    family(
        ("inotrail_dropped", "inotrail.event.dropped"),
        "{access}",
        Counter,
        &[REASON],
        "Accesses that are in no delivered record, by reason",
        |source, each| {
            for reason in Dropped::ALL {
                each(&[reason.as_str()], Whole(source.metrics.dropped(reason).get()));
            }
        },
    ),
    family(
        ("inotrail_unresolved", "inotrail.event.unresolved"),
        "{event}",
        Counter,
        &[],
        "Events released without their container's name",
        |source, each| each(&[], Whole(source.metrics.unresolved.get())),
    ),
    family(
        ("inotrail_undecided", "inotrail.event.undecided"),
        "{access}",
        Counter,
        &[],
        "Accesses whose file has no name to hold against policies",
        |source, each| each(&[], Whole(source.metrics.undecided.get())),
    ),
    family(
        ("inotrail_clamped", "inotrail.event.clamped"),
        "{event}",
        Counter,
        &[],
        "Events that have the time when they were seen, because the calendar was set back meanwhile",
        |source, each| each(&[], Whole(source.metrics.clamped.get())),
    ),
    family(
        ("inotrail_export_retries", "inotrail.export.retries"),
        "{request}",
        Counter,
        &[],
        "Export requests sent again",
        |source, each| each(&[], Whole(source.metrics.export_retries.get())),
    ),
    family(
        ("inotrail_exported_bytes", "inotrail.export.io"),
        "By",
        Counter,
        &[],
        "Bytes of export requests sent, after compression",
        |source, each| each(&[], Whole(source.metrics.exported_bytes.get())),
    ),
    family(
        ("inotrail_queue_bytes", "inotrail.queue.usage"),
        "By",
        UpDown,
        &[],
        "Bytes of requests that wait to be written to the spool",
        |source, each| each(&[], Whole(source.metrics.queued.get() as u64)),
    ),
    family(
        ("inotrail_queue_limit_bytes", "inotrail.queue.limit"),
        "By",
        UpDown,
        &[],
        "How many of them there is room for",
        |source, each| each(&[], Whole(source.metrics.queue_limit.get() as u64)),
    ),
];
