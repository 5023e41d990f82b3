//! Every metric. The README has the same list: a test compares them.

mod containers;
mod destinations;
mod events;
mod own;

use super::family::{Each, Family, Kind, Label, Source};
use crate::otlp::attribute::LOSS_REASON;

const REASON: Label = Label("reason", LOSS_REASON);

/// All of them, in groups.
pub fn all() -> impl Iterator<Item = &'static Family> {
    [&events::EVENTS[..], &containers::CONTAINERS, &destinations::DESTINATIONS, &own::KERNEL, &own::EXPORTER]
        .into_iter()
        .flatten()
}

type Read = fn(&Source, Each<'_>);

const fn family(
    (name, otlp): (&'static str, &'static str),
    unit: &'static str,
    kind: Kind,
    labels: &'static [Label],
    help: &'static str,
    read: Read,
) -> Family {
    Family { name, otlp, unit, help, kind, labels, read }
}
