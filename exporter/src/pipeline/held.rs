//! Events that wait for their container's name.

use std::collections::VecDeque;
use std::sync::Arc;

use inotrail_ebpf::Header;

use crate::container::{Container, File, Snapshot};
use crate::event::{Access, Backend, Event};
use crate::ids::IdMap;
use crate::metrics::{Dropped, Metrics};
use crate::process::Process;

/// Events held at most, of all containers together, and of one: it must not take the others' room.
const EVENTS_MAX: usize = 16_384;
const CONTAINER_MAX: usize = 4_096;
/// Bytes held at most.
const BYTES_MAX: usize = 8 << 20;
/// The table answers for every cgroup: `--resolve-timeout` bounds the wait for the name, and then the one for the mounts, and
/// is at most [`crate::config::default::RESOLVE_TIMEOUT_MAX`]. Should it not, nobody waits for ever.
const DEADLINE_NS: u64 = 30_000_000_000;

const REMINDER_NS: u64 = 1_000_000_000;

/// A queue in order of arrival, which is the order of each container's events.
#[derive(Default)]
pub(super) struct Held {
    queue: VecDeque<HeldEvent>,
    bytes: usize,
    /// Accesses that the events stand for.
    accesses: u64,
    /// How many, by cgroup.
    waiting: IdMap<u64, usize>,
    reminded_ns: u64,
    /// When [`Self::release`] was asked last.
    now_ns: u64,
}

/// An event that owns what it borrowed.
pub(super) struct HeldEvent {
    /// Since when it waits, by the clock of [`Held::release`].
    since_ns: u64,
    time_ns: u64,
    observed_ns: u64,
    process_start_ns: u64,
    backend: Backend,
    header: Header,
    path: Box<[u8]>,
    target: Box<[u8]>,
    requested: Box<[u8]>,
    arguments: Box<[u8]>,
    process: Process,
    count: u64,
    processes: u32,
    last_ns: u64,
}

impl Held {
    /// Whether an event of this cgroup waits already.
    pub(super) fn waits_for(&self, cgroup_id: u64) -> bool {
        self.waiting.contains_key(&cgroup_id)
    }

    /// Accesses that the events which wait stand for.
    pub(super) const fn accesses(&self) -> u64 {
        self.accesses
    }

    /// Keeps a copy. False: too much waits, and the event is counted as dropped.
    pub(super) fn push(&mut self, event: &Event<'_>, metrics: &Metrics) -> bool {
        let copy = HeldEvent::of(event, self.now_ns);
        let own = self.waiting.entry(copy.header.cgroup_id).or_default();
        let full = *own >= CONTAINER_MAX || self.queue.len() >= EVENTS_MAX;
        if full || self.bytes + copy.bytes() > BYTES_MAX {
            metrics.dropped(Dropped::HeldFull).inc_by(event.count);
            return false;
        }
        *own += 1;
        self.accesses += event.count;
        self.bytes += copy.bytes();
        self.queue.push_back(copy);
        true
    }

    /// Gives out what has a container now, or waited too long by a clock that takes no step.
    pub(super) fn release(&mut self, now_ns: u64, containers: &Snapshot, mut each: impl FnMut(Event<'_>)) {
        self.now_ns = now_ns;
        let ready = |id| containers.get(id).is_some();
        let first_is_late = self.queue.front().is_some_and(|copy| copy.is_late(now_ns));
        if !first_is_late && !self.waiting.keys().any(|id| ready(*id)) {
            return;
        }
        self.waiting.clear();
        for copy in std::mem::take(&mut self.queue) {
            let id = copy.header.cgroup_id;
            match containers.get(id) {
                Some(container) => each(copy.event(container)),
                None if copy.is_late(now_ns) => each(copy.event(containers.by_now(id))),
                None => {
                    *self.waiting.entry(id).or_default() += 1;
                    self.queue.push_back(copy);
                }
            }
        }
        self.bytes = self.queue.iter().map(HeldEvent::bytes).sum();
        self.accesses = self.queue.iter().map(|copy| copy.count).sum();
    }

    /// Names every second the cgroups that are waited for: the first question may have found a full queue.
    pub(super) fn remind(&mut self, mut ask: impl FnMut(u64)) {
        if self.now_ns.saturating_sub(self.reminded_ns) >= REMINDER_NS {
            self.reminded_ns = self.now_ns;
            self.waiting.keys().for_each(|id| ask(*id));
        }
    }

    /// Gives out everything with what is known by now: the exporter ends.
    pub(super) fn release_all(&mut self, containers: &Snapshot, mut each: impl FnMut(Event<'_>)) {
        self.accesses = 0;
        for copy in self.queue.drain(..) {
            each(copy.event(containers.by_now(copy.header.cgroup_id)));
        }
    }
}

impl HeldEvent {
    pub(super) fn of(event: &Event<'_>, since_ns: u64) -> Self {
        Self {
            since_ns,
            time_ns: event.time_ns,
            observed_ns: event.observed_ns,
            process_start_ns: event.process_start_ns,
            backend: event.backend,
            header: *event.access.header,
            path: event.access.path.into(),
            target: event.access.target.into(),
            requested: event.access.requested.into(),
            arguments: event.access.arguments.into(),
            process: event.process.clone(),
            count: event.count,
            processes: event.processes,
            last_ns: event.last_ns,
        }
    }

    fn bytes(&self) -> usize {
        let strings = [&self.path, &self.target, &self.requested, &self.arguments];
        size_of::<Self>() + strings.map(|string| string.len()).iter().sum::<usize>() + self.process.bytes()
    }

    fn is_late(&self, now_ns: u64) -> bool {
        now_ns.saturating_sub(self.since_ns) >= DEADLINE_NS
    }

    pub(super) fn event<'a>(&'a self, container: &'a Arc<Container>) -> Event<'a> {
        Event {
            time_ns: self.time_ns,
            observed_ns: self.observed_ns,
            access: Access {
                header: &self.header,
                path: &self.path,
                target: &self.target,
                requested: &self.requested,
                arguments: &self.arguments,
                seen: None,
            },
            process: &self.process,
            process_start_ns: self.process_start_ns,
            container,
            file: File::default(),
            judgement: None,
            backend: self.backend,
            sequence: 0,
            count: self.count,
            processes: self.processes,
            last_ns: self.last_ns,
        }
    }
}
