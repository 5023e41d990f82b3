//! Accesses that the kernel half only counted: once a second they become events of their own, or losses.

use inotrail_ebpf::{Counters, Header, LedgerKey, OPEN_FLAGS_UNKNOWN, flags, program};
use zerocopy::FromZeros as _;

use super::{Held, Output, Stages};
use crate::container::{Container, File, Snapshot};
use crate::event::{Access, Backend, Event};
use crate::metrics::Dropped;
use crate::process::Process;
use crate::sensor::{CounterMap, Entry, Sensor};

const INTERVAL_NS: u64 = 1_000_000_000;
/// Accesses that a moment may find counted by half: one per CPU and program.
const IN_FLIGHT: u64 = 4096;

/// What was taken so far.
#[derive(Debug)]
pub(super) struct Counted {
    /// When the ledger was taken last, Unix time.
    since_ns: u64,
    /// Accesses without room in the ring, as last seen.
    ring_full: u64,
}

impl Counted {
    pub(super) const fn new(now_ns: u64) -> Self {
        Self { since_ns: now_ns, ring_full: 0 }
    }

    /// Whether it is time, or the clock went back.
    pub(super) fn is_due(&self, now_ns: u64) -> bool {
        now_ns.checked_sub(self.since_ns).is_none_or(|age| age >= INTERVAL_NS)
    }

    /// Accesses of which nobody knows more than that they were, `before` or more of them.
    fn nowhere(&mut self, counters: &CounterMap, backend: Backend, before: u64, last: bool) -> u64 {
        let totals: Vec<Counters> =
            programs(backend).iter().chain(&program::MUTATIONS).map(|program| counters.totals(*program)).collect();
        let sum = |field: fn(&Counters) -> u64| totals.iter().map(field).sum::<u64>();
        let ring_full = sum(|totals| totals.ring_full);
        let mut nowhere = ring_full.saturating_sub(sum(|totals| totals.ledger + totals.overflow));
        // A program counts first that there was no room, and then where it has put the access instead.
        if !last && ring_full != self.ring_full {
            nowhere = nowhere.saturating_sub(IN_FLIGHT);
        }
        self.ring_full = ring_full;
        nowhere.max(before)
    }
}

/// The programs whose records are accesses, those of earlier runs too, without those of mutations: with the hook on `inode_permission`, an exec's record
/// is none.
fn programs(backend: Backend) -> &'static [u32] {
    match backend {
        Backend::Fexit | Backend::Kprobe => &[program::FEXIT, program::KPROBE, program::SYS_EXIT, program::IO_URING],
        Backend::RawTracepoint => {
            &[program::FEXIT, program::KPROBE, program::SYS_EXIT, program::IO_URING, program::PROCESS_EXEC]
        }
    }
}

impl<O: Output> Stages<O> {
    /// Takes what was counted. `last`: the programs are detached, and every count is final.
    pub(super) fn take_counted(&mut self, sensor: &Sensor, snapshot: &Snapshot, held: &mut Held, last: bool) {
        // Another one may have taken over.
        self.backend = sensor.backend();
        let from_ns = std::mem::replace(&mut self.counted.since_ns, self.observed_ns);
        sensor.ledger().take(|entry| self.counted(&entry, from_ns, snapshot, held));
        let before = sensor.lost();
        let lost = self.counted.nowhere(&sensor.counters(), self.backend, before, last);
        if lost > before {
            self.lost(None, lost - before);
            sensor.note_lost(lost);
        }
    }

    /// Tells what the kernel half has counted of accesses that were told before. `last`: the programs are detached.
    pub(super) fn take_repeats(&mut self, snapshot: &Snapshot, held: &mut Held, last: bool) {
        let Some(mut followed) = self.outlet.followed.take() else { return };
        let from_ns = self.observed_ns;
        followed.tell_left(last, |entry| self.counted(&entry, from_ns, snapshot, held));
        followed.tell(last, |event, repeated| {
            let (time_ns, observed_ns) = self.times(repeated.first_ns);
            let last_ns = self.clock.unix(repeated.last_ns).clamp(time_ns, observed_ns.max(time_ns));
            let container = snapshot.get(event.access.header.cgroup_id).unwrap_or(event.container);
            let (count, processes) = (repeated.count, repeated.processes);
            let event = Event { time_ns, observed_ns, container, count, processes, last_ns, ..event };
            self.outlet.deliver(event, snapshot);
            // Before the count is noted as taken: a kill in between doubles it, and loses nothing.
            self.note(held);
        });
        self.outlet.followed = Some(followed);
    }

    pub(super) fn counted(&mut self, entry: &Entry, from_ns: u64, snapshot: &Snapshot, held: &mut Held) {
        let container = snapshot.get(entry.key.cgroup_id);
        let rules = container.and_then(|container| snapshot.policies(container)).map(|(_, rules)| rules);
        let is_lost = match rules {
            // What was only counted has no path to hold against rules.
            Some(rules) => !rules.is_empty(),
            None => entry.overflow && container.is_none_or(|container| self.outlet.reports(container)),
        };
        if is_lost {
            self.lost(Some(entry.key.cgroup_id), entry.count);
        } else if rules.is_none() && !entry.overflow {
            self.outlet.route(self.summary(entry.count, from_ns, &header(&entry.key)), snapshot, held);
        }
    }

    fn lost(&mut self, cgroup_id: Option<u64>, count: u64) {
        self.outlet.metrics.dropped(Dropped::RingFull).inc_by(count);
        self.losses.add(Dropped::RingFull, cgroup_id, count);
    }

    fn summary<'a>(&self, count: u64, from_ns: u64, header: &'a Header) -> Event<'a> {
        Event {
            // The calendar may have been set back since.
            time_ns: from_ns.min(self.observed_ns),
            observed_ns: self.observed_ns,
            access: Access::of(header),
            process: Process::unknown(),
            process_start_ns: 0,
            container: Container::unknown(),
            file: File::default(),
            judgement: None,
            backend: self.backend,
            sequence: 0,
            count,
            processes: 0,
            last_ns: self.observed_ns,
        }
    }
}

/// A header that says only what a ledger's key says.
fn header(key: &LedgerKey) -> Header {
    Header {
        cgroup_id: key.cgroup_id,
        inode: key.inode,
        device: key.device,
        mask: key.mask,
        result: key.result,
        kind: key.kind,
        flags: flags::PATH_UNKNOWN,
        open_flags: OPEN_FLAGS_UNKNOWN,
        ..Header::new_zeroed()
    }
}
