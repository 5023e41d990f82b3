//! The way of an event to the output: which container's it is, what policies say of it, its number.

use std::sync::Arc;

use super::Output;
use super::held::Held;
use super::judge::{Judge, Ruling};
use super::repeats::Followed;
use crate::container::{CgroupEvents, Container, Origin, Snapshot};
use crate::event::Event;
use crate::ids::IdMap;
use crate::metrics::{Dropped, Metrics};
use crate::policy::rule::Action;
use crate::policy::{PolicySet, Selection};

/// The way of an event to the output. It borrows from the rest.
pub(super) struct Outlet<O> {
    pub(super) host: bool,
    pub(super) cgroups: CgroupEvents,
    pub(super) metrics: Arc<Metrics>,
    pub(super) judge: Judge,
    /// Nothing: accesses are not counted, or what was is being told.
    pub(super) followed: Option<Followed>,
    pub(super) output: O,
    /// Accesses for which the output had no room, by cgroup: not in the book of losses yet.
    pub(super) shed: IdMap<u64, u64>,
    /// Events, and losses, that the output was given.
    pub(super) given: (u64, u64),
    /// Accesses that were to be told: given to the output, or dropped.
    pub(super) wanted: u64,
    pub(super) done: bool,
}

impl<O: Output> Outlet<O> {
    /// Delivers the event with its container, or lets it wait for that.
    #[inline]
    pub(super) fn route<'a>(&mut self, mut event: Event<'a>, snapshot: &'a Snapshot, held: &mut Held) {
        let id = event.access.header.cgroup_id;
        if let Some(container) = snapshot.get(id) {
            event.container = container;
            return self.deliver(event, snapshot);
        }
        if !held.waits_for(id) {
            self.cgroups.unknown(id);
        }
        if !held.push(&event, &self.metrics) {
            self.wanted += event.count;
        }
    }

    /// Decides, and hands over what is worth it.
    #[inline]
    pub(super) fn deliver<'a>(&mut self, mut event: Event<'a>, snapshot: &'a Snapshot) {
        let container = event.container;
        if container.is_excluded() {
            return;
        }
        if let Some((set, rules)) = snapshot.policies(container) {
            self.judged(&event, (set, rules), snapshot);
        } else if self.reports(container) {
            self.hand_over(&mut event, snapshot);
            self.follow(&event);
        }
    }

    /// [`Self::deliver`] where there are policies.
    #[inline(never)]
    fn judged<'a>(&mut self, event: &Event<'a>, (set, rules): (&'a PolicySet, &Selection), snapshot: &'a Snapshot) {
        let mut judge = std::mem::take(&mut self.judge);
        match judge.rule(event, set, rules) {
            Ruling::Keep(judgement) => {
                if event.container.tells_stale_files(event.access.header, event.access.path) {
                    self.cgroups.stale_files(event.access.header.cgroup_id);
                }
                let mut event = Event { judgement: Some(judgement), ..*event };
                self.hand_over(&mut event, snapshot);
                if judgement.action == Action::Record {
                    self.follow(&event);
                }
            }
            Ruling::Undecided => drop(self.metrics.undecided.inc_by(event.count)),
            Ruling::Ignore => {}
        }
        self.judge = judge;
    }

    fn follow(&mut self, event: &Event<'_>) {
        if let Some(followed) = &mut self.followed {
            followed.follow(event);
        }
    }

    /// Looks the file up, numbers and hands over.
    #[inline]
    fn hand_over<'a>(&mut self, event: &mut Event<'a>, snapshot: &'a Snapshot) {
        if !self.output.wants(event) {
            return;
        }
        self.wanted += event.count;
        if !self.output.has_room(event) {
            self.metrics.dropped(Dropped::Shed).inc_by(event.count);
            *self.shed.entry(event.access.header.cgroup_id).or_default() += event.count;
            return;
        }
        let container: &Container = event.container;
        if matches!(container.origin, Origin::Container { resolved: false, .. }) {
            self.metrics.unresolved.inc();
        }
        self.find_file(event, snapshot);
        event.sequence = container.next_sequence();
        self.metrics.emitted.inc_by(event.count);
        self.given.0 += 1;
        if self.output.event(event).is_break() {
            self.done = true;
        }
    }

    /// Looks the file up, unless the output has its part from an event of the same file, names, and state of the table.
    #[inline]
    fn find_file<'a>(&self, event: &mut Event<'a>, snapshot: &'a Snapshot) {
        if let Some(mut sight) = event.access.seen {
            sight.view = snapshot.number();
            sight.is_kept = self.output.knows(event, &sight);
            event.access.seen = Some(sight);
            if sight.is_kept {
                return;
            }
        }
        self.look_up(event, snapshot);
    }

    fn look_up<'a>(&self, event: &mut Event<'a>, snapshot: &'a Snapshot) {
        let Event { container, access, .. } = *event;
        let (file, stale) = snapshot.file(access.header, access.path, container);
        event.file = file;
        if stale {
            // Each of these is looked up, so that somebody is told.
            event.access.seen = None;
            if container.tells_unknown_mounts(event.observed_ns) {
                self.cgroups.unknown_mounts(access.header.cgroup_id);
            }
        }
    }

    pub(super) fn reports(&self, container: &Container) -> bool {
        self.host || matches!(container.origin, Origin::Container { .. })
    }
}
