//! The last that an exporter tells of a run which ends as it should: `inotrail.exporter.stopped`.

use std::sync::Arc;

use crate::container::Container;

/// How many records the run has numbered. Without it nobody could tell a series that ends from one whose end is missing.
#[derive(Clone, Copy, Debug)]
pub struct Stopped<'a> {
    /// The exporter itself.
    pub container: &'a Arc<Container>,
    /// Records of this run, losses and this one left out.
    pub events: u64,
    /// Records of losses.
    pub losses: u64,
    /// When, nanoseconds since the Unix epoch.
    pub time_ns: u64,
}

impl Stopped<'_> {
    /// Its number in a series of its own: a run ends once.
    pub const SEQUENCE: u64 = 1;
}
