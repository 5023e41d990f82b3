//! Why a node may miss accesses.

use std::time::Duration;

use tokio::time::Instant;

use super::NodeHealth;

/// How long is told of what has happened.
const TOLD_FOR: Duration = Duration::from_secs(600);

/// What is wrong, the worst of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Degraded {
    NotReporting,
    HookMissed,
    FilterFull,
    /// With why it may.
    BackendMayMiss(&'static str),
}

/// Remembers what has happened lately.
#[derive(Debug, Default)]
pub(super) struct Degradation {
    missed: Lately,
    filter_full: Lately,
}

/// A count that has grown.
#[derive(Debug, Default)]
struct Lately {
    count: u64,
    until: Option<Instant>,
}

impl Degraded {
    /// Its name as a condition's reason.
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::NotReporting => "NotReporting",
            Self::HookMissed => "HookMissed",
            Self::FilterFull => "FilterFull",
            Self::BackendMayMiss(_) => "BackendMayMiss",
        }
    }

    pub(super) const fn message(self) -> &'static str {
        match self {
            Self::NotReporting => "the programs report no accesses: something has detached them",
            Self::HookMissed => {
                "the kernel has skipped calls of the programs in the last ten minutes: accesses may be missing"
            }
            Self::FilterFull => {
                "the kernel's filter was full in the last ten minutes: all of some containers is recorded; raise --filter-entries"
            }
            Self::BackendMayMiss(why) => why,
        }
    }
}

impl Degradation {
    pub(super) fn of(&mut self, health: &NodeHealth, now: Instant) -> Option<Degraded> {
        let all = [
            (!health.reports, Degraded::NotReporting),
            (self.missed.has_grown(health.missed, now), Degraded::HookMissed),
            (self.filter_full.has_grown(health.filter_full, now), Degraded::FilterFull),
        ];
        let found = all.into_iter().find(|(is_so, _)| *is_so).map(|(_, degraded)| degraded);
        found.or_else(|| health.may_miss.map(Degraded::BackendMayMiss))
    }
}

impl Lately {
    fn has_grown(&mut self, count: u64, now: Instant) -> bool {
        if count > std::mem::replace(&mut self.count, count) {
            self.until = Some(now + TOLD_FOR);
        }
        self.until.take_if(|until| *until <= now);
        self.until.is_some()
    }
}
