//! What becomes of records at each destination.

use opentelemetry_semantic_conventions::attribute::{ERROR_TYPE, OTEL_COMPONENT_NAME};
use opentelemetry_semantic_conventions::metric as semconv;

use super::{REASON, family};
use crate::metrics::family::Kind::{Counter, Durations, Gauge, UpDown};
use crate::metrics::family::Value::Whole;
use crate::metrics::family::{Each, Family, Label, Source};
use crate::metrics::{Books, Dropped};
use crate::otlp::attribute::DESTINATION_NAME;

const DESTINATION: Label = Label("destination", DESTINATION_NAME);
/// The same in metrics of the semantic conventions.
const COMPONENT: Label = Label("destination", OTEL_COMPONENT_NAME);
const ERROR: Label = Label("reason", ERROR_TYPE);

/// What becomes of records at each destination.
pub(super) static DESTINATIONS: [Family; 12] = [
    family(
        ("inotrail_destination_well", "inotrail.destination.well"),
        "1",
        Gauge,
        &[DESTINATION],
        "Whether the last request to a destination was acknowledged",
        |source, each| by_destination(source, each, |books| books.is_well().into()),
    ),
    family(
        ("inotrail_destination_delivered", "inotrail.destination.delivered"),
        "{access}",
        Counter,
        &[DESTINATION],
        "Accesses in records that a destination acknowledged",
        |source, each| by_destination(source, each, |books| books.delivered.get()),
    ),
    family(
        ("inotrail_destination_dropped", "inotrail.destination.dropped"),
        "{access}",
        Counter,
        &[DESTINATION, REASON],
        "Accesses whose records did not reach a destination, by reason",
        |source, each| {
            for books in source.metrics.health.export.all() {
                let counts = Dropped::ALL.map(|reason| (reason, books.dropped(reason)));
                for (reason, (accesses, _)) in counts.into_iter().filter(|(_, counts)| *counts != (0, 0)) {
                    each(&[&books.name, reason.as_str()], Whole(accesses));
                }
            }
        },
    ),
    family(
        ("inotrail_destination_retries", "inotrail.destination.retries"),
        "{request}",
        Counter,
        &[DESTINATION],
        "Requests sent again to a destination",
        |source, each| by_destination(source, each, |books| books.retries.get()),
    ),
    family(
        ("inotrail_destination_sent_bytes", "inotrail.destination.io"),
        "By",
        Counter,
        &[DESTINATION],
        "Bytes of requests sent to a destination, after compression",
        |source, each| by_destination(source, each, |books| books.sent_bytes.get()),
    ),
    family(
        ("inotrail_destination_records", semconv::OTEL_SDK_EXPORTER_LOG_EXPORTED),
        "{log_record}",
        Counter,
        &[COMPONENT, ERROR],
        "Log records that a destination acknowledged, and, by reason, those that were sent to it in vain",
        |source, each| {
            for books in source.metrics.health.export.all() {
                each(&[&books.name, ""], Whole(books.delivered_records.get()));
                for reason in [Dropped::Rejected, Dropped::Expired, Dropped::Encode] {
                    let (_, records) = books.dropped(reason);
                    if records > 0 {
                        each(&[&books.name, reason.as_str()], Whole(records));
                    }
                }
            }
        },
    ),
    family(
        ("inotrail_destination_inflight", semconv::OTEL_SDK_EXPORTER_LOG_INFLIGHT),
        "{log_record}",
        UpDown,
        &[COMPONENT],
        "Log records on their way to a destination, pauses between attempts included",
        |source, each| by_destination(source, each, |books| books.inflight.get() as u64),
    ),
    family(
        ("inotrail_request_duration_seconds", semconv::OTEL_SDK_EXPORTER_OPERATION_DURATION),
        "s",
        Durations,
        &[COMPONENT, ERROR],
        "Time from a request's first attempt until it was acknowledged or given up",
        |_, _| {},
    ),
    family(
        ("inotrail_waiting_requests", "inotrail.waiting.requests"),
        "{request}",
        UpDown,
        &[DESTINATION],
        "Requests that wait for a destination, in memory or on disk",
        |source, each| by_destination(source, each, |books| books.waiting().requests),
    ),
    family(
        ("inotrail_waiting_bytes", "inotrail.waiting.size"),
        "By",
        UpDown,
        &[DESTINATION],
        "Their bytes",
        |source, each| by_destination(source, each, |books| books.waiting().bytes),
    ),
    family(
        ("inotrail_waiting_accesses", "inotrail.waiting.accesses"),
        "{access}",
        UpDown,
        &[DESTINATION],
        "Accesses that their records stand for",
        |source, each| by_destination(source, each, |books| books.waiting().accesses),
    ),
    family(
        ("inotrail_waiting_since_seconds", "inotrail.waiting.since"),
        "s",
        Gauge,
        &[DESTINATION],
        "When the oldest of them was made, Unix time; 0: none waits",
        |source, each| by_destination(source, each, |books| books.waiting().oldest_ns / 1_000_000_000),
    ),
];

/// Gives one number of each destination.
fn by_destination(source: &Source, each: Each<'_>, number: impl Fn(&Books) -> u64) {
    for books in source.metrics.health.export.all() {
        each(&[&books.name], Whole(number(&books)));
    }
}
