//! The sensor thread's work on each record: who was it, is it wanted, number it, hand it on.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use crate::clock::{Clock, steady_now, unix_now};
use crate::container::{CgroupEvents, Container, Containers, File, Snapshot};
use crate::event::{Access, Backend, Event, Sight};
use crate::ids::IdMap;
use crate::loss::{Loss, LossBook, Outage};
use crate::metrics::{Dropped, Metrics};
use crate::process::{ProcessScan, ProcessTable};
use crate::sensor::{Account, Drained, Gap, Malformed, Paths, Record, Repeats, Sensor, Unkept, record};
use crate::stopped::Stopped;

mod counted;
mod held;
mod judge;
mod outlet;
mod repeats;
mod seen;

use counted::Counted;
use held::Held;
use judge::Judge;
use outlet::Outlet;
use repeats::Followed;

/// Where events end: `run`'s batches, or what `trace` prints.
pub trait Output {
    /// Whether the event is wanted at all. Asked before it gets its number, so that a stream has no holes.
    fn wants(&self, event: &Event<'_>) -> bool;

    /// Whether there is room for the event, or its container has had its share. Asked before it gets its number too.
    fn has_room(&mut self, event: &Event<'_>) -> bool;

    /// Whether the file's part of an event that comes next is kept from an earlier one.
    fn knows(&self, _: &Event<'_>, _: &Sight) -> bool {
        false
    }

    /// Takes one event. Breaks when no further one is wanted.
    fn event(&mut self, event: &Event<'_>) -> ControlFlow<()>;

    /// Takes one loss.
    fn loss(&mut self, loss: &Loss<'_>);

    /// Takes the end of the run, after everything else.
    fn stopped(&mut self, stopped: &Stopped<'_>);

    /// The ring is empty for now; `now_ns` is Unix time. Breaks when no further event is wanted.
    fn drained(&mut self, now_ns: u64) -> ControlFlow<()>;
}

/// How far a record may be ahead of the clock, which is read once per drain: more is the calendar of before it was set back.
const AHEAD_NS: u64 = 1_000_000_000;

/// Tables and the output, all owned by the sensor thread.
pub struct Pipeline<O> {
    stages: Stages<O>,
    held: Held,
}

/// Everything but the events that wait, so that both can be borrowed at once.
struct Stages<O> {
    backend: Backend,
    clock: Clock,
    observed_ns: u64,
    counted: Counted,
    containers: Containers,
    processes: ProcessTable,
    scans: Receiver<ProcessScan>,
    outages: Receiver<Outage>,
    losses: LossBook,
    /// Nothing: nobody asks what became of this run.
    account: Option<Account>,
    outlet: Outlet<O>,
}

impl<O: Output> Pipeline<O> {
    /// `host`: whether processes outside containers are reported. `processes`: an empty table. `scans`: what `/proc` says,
    /// whenever the kernel's own records of processes were lost. `outages`: when the programs did not report.
    pub fn new(
        backend: Backend,
        host: bool,
        (containers, cgroups): (Containers, CgroupEvents),
        processes: ProcessTable,
        (scans, outages): (Receiver<ProcessScan>, Receiver<Outage>),
        metrics: Arc<Metrics>,
        output: O,
    ) -> Self {
        let (clock, now_ns) = (Clock::now(), unix_now());
        let stages = Stages {
            backend,
            clock,
            observed_ns: now_ns,
            counted: Counted::new(now_ns),
            containers,
            processes,
            scans,
            outages,
            losses: LossBook::new(now_ns),
            account: None,
            outlet: Outlet {
                host,
                cgroups,
                metrics,
                judge: Judge::default(),
                followed: None,
                output,
                shed: IdMap::default(),
                given: (0, 0),
                wanted: 0,
                done: false,
            },
        };
        Self { stages, held: Held::default() }
    }

    /// Tells of a time in which no program was attached.
    pub fn gap(&mut self, gap: Gap) {
        let clock = &self.stages.clock;
        let outage = Outage { start_ns: clock.unix(gap.start_ns), end_ns: Some(clock.unix(gap.end_ns)) };
        self.stages.outage(outage);
    }

    /// Accounts for what is taken, and tells of what an earlier run has taken and kept nowhere.
    pub fn account_by(&mut self, account: Account, unkept: Option<Unkept>) {
        let Stages { losses, outlet, clock, observed_ns, .. } = &mut self.stages;
        if let Some(unkept) = unkept {
            outlet.metrics.dropped(Dropped::Shutdown).inc_by(unkept.count);
            outlet.given.1 += 1;
            losses.unkept(&unkept, clock.unix(unkept.since_ns), *observed_ns, |loss| outlet.output.loss(loss));
        }
        self.stages.account = Some(account);
    }

    /// Tells what equals an access that was told only once a `window`; without one, all of it.
    pub fn aggregate(&mut self, repeats: Arc<Repeats>, window: Option<Duration>) {
        self.stages.outlet.followed = Some(Followed::new(repeats, window));
    }

    /// Takes records from the ring to the output. Breaks when the output wants no more.
    pub fn drain(&mut self, sensor: &mut Sensor) -> ControlFlow<(), Drained> {
        let snapshot = self.begin();
        let Self { stages, held } = self;
        // Before a record is released, so that it is either in the account or still in the ring.
        let drained = sensor.drain(|record| {
            stages.record(record, &snapshot, held);
            stages.note(held);
        });
        if stages.counted.is_due(stages.observed_ns) {
            stages.take_counted(sensor, &snapshot, held, false);
            stages.take_repeats(&snapshot, held, false);
            stages.note(held);
            stages.tell_losses(&snapshot, false);
        }
        drop(snapshot);
        self.end().map_continue(|()| drained)
    }

    /// [`Self::drain`] with the bytes of records that come from elsewhere than the ring. The paths are put together in
    /// `paths`.
    pub fn replay<'a>(&mut self, records: impl Iterator<Item = &'a [u8]>, paths: &mut Paths) -> ControlFlow<()> {
        let snapshot = self.begin();
        let Self { stages, held } = self;
        for record in records {
            stages.record(record::parse(record, paths), &snapshot, held);
            stages.note(held);
        }
        drop(snapshot);
        self.end()
    }

    /// Looks at the clock and at what others have found since, and lets go of what waited for that.
    fn begin(&mut self) -> Snapshot {
        let Self { stages, held } = self;
        stages.clock.refresh();
        while let Ok(scan) = stages.scans.try_recv() {
            stages.processes.merge(scan);
        }
        stages.observed_ns = unix_now();
        let snapshot = stages.containers.snapshot();
        // What waited for a container that is known by now comes before its later events.
        held.release(steady_now(), &snapshot, |event| stages.outlet.deliver(event, &snapshot));
        stages.note(held);
        snapshot
    }

    fn end(&mut self) -> ControlFlow<()> {
        let Self { stages, held } = self;
        held.remind(|id| stages.outlet.cgroups.unknown(id));
        match stages.outlet.output.drained(stages.observed_ns) {
            ControlFlow::Continue(()) if !stages.outlet.done => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        }
    }

    /// The output, as it is.
    pub fn into_output(self) -> O {
        self.stages.outlet.output
    }

    /// Takes what is only counted, lets go of what still waits for a container's name, and gives the output back.
    pub fn finish(mut self, sensor: &Sensor) -> O {
        let stages = &mut self.stages;
        stages.observed_ns = unix_now();
        let snapshot = stages.containers.snapshot();
        stages.take_counted(sensor, &snapshot, &mut self.held, true);
        stages.take_repeats(&snapshot, &mut self.held, true);
        self.held.release_all(&snapshot, |event| stages.outlet.deliver(event, &snapshot));
        stages.note(&self.held);
        stages.tell_losses(&snapshot, true);
        drop(snapshot);
        stages.tell_end();
        self.stages.outlet.output
    }
}

impl<O: Output> Stages<O> {
    #[inline]
    fn record(&mut self, record: Result<Record<'_>, Malformed>, snapshot: &Snapshot, held: &mut Held) {
        match record {
            Ok(Record::Access(access)) => self.access(access, snapshot, held),
            other => self.other(other, snapshot, held),
        }
    }

    /// What is no access, or not only one. Most records are accesses.
    #[inline(never)]
    fn other(&mut self, record: Result<Record<'_>, Malformed>, snapshot: &Snapshot, held: &mut Held) {
        match record {
            Ok(Record::Access(access)) => self.access(access, snapshot, held),
            Ok(Record::Exec(access)) => {
                self.processes.exec(&access);
                // The hook on inode_permission has reported the same exec as an access of its own.
                if self.backend == Backend::RawTracepoint {
                    self.access(access, snapshot, held);
                }
            }
            Ok(Record::Fork(header)) => self.processes.fork(header),
            Ok(Record::Exit(header)) => self.processes.exit(header),
            Ok(Record::CgroupMade(header, path)) => {
                self.processes.cgroup_made(header.cgroup_id, path);
                self.outlet.cgroups.made(header.cgroup_id, path);
            }
            Ok(Record::CgroupReleased(header)) => {
                self.processes.cgroup_released(header.cgroup_id);
                self.outlet.cgroups.released(header.cgroup_id);
            }
            Err(malformed) => {
                let count = self.outlet.metrics.dropped(Dropped::Encode).inc() + 1;
                // A fault that repeats must not flood the log.
                if count.is_power_of_two() {
                    tracing::warn!(%malformed, count, "a record of the kernel was dropped");
                }
            }
        }
    }

    fn note(&self, held: &Held) {
        if let Some(account) = &self.account {
            account.wanted(self.outlet.wanted + held.accesses());
        }
    }

    fn tell_losses(&mut self, snapshot: &Snapshot, last: bool) {
        while let Ok(outage) = self.outages.try_recv() {
            self.outage(outage);
        }
        if last || self.losses.is_due(self.observed_ns) {
            let Self { losses, outlet, observed_ns, .. } = self;
            outlet.shed.drain().for_each(|(id, count)| losses.add(Dropped::Shed, Some(id), count));
            let Outlet { metrics, output, given, .. } = outlet;
            losses.tell(*observed_ns, metrics, snapshot, |loss| {
                given.1 += 1;
                output.loss(loss);
            });
        }
    }

    fn outage(&mut self, outage: Outage) {
        self.outlet.given.1 += 1;
        self.losses.outage(outage, self.observed_ns, |loss| self.outlet.output.loss(loss));
    }

    fn tell_end(&mut self) {
        let Self { losses: book, outlet, observed_ns, .. } = self;
        let (events, losses) = outlet.given;
        outlet.output.stopped(&Stopped { container: book.exporter(), events, losses, time_ns: *observed_ns });
    }

    #[inline]
    fn access(&mut self, access: Access<'_>, snapshot: &Snapshot, held: &mut Held) {
        let (time_ns, observed_ns) = self.times(access.header.time_ns);
        let event = Event {
            time_ns,
            observed_ns,
            access,
            process: self.processes.of(access.header),
            process_start_ns: self.clock.process_start(access.header.process_start_ns),
            container: Container::unknown(),
            file: File::default(),
            judgement: None,
            // Another one may have taken over.
            backend: Backend::of(access.header.program),
            sequence: 0,
            count: 1,
            processes: 0,
            last_ns: 0,
        };
        self.outlet.route(event, snapshot, held);
    }
}

impl<O: Output> Stages<O> {
    /// When something happened, by the calendar, and when it was seen. Nothing is seen before it happens: receivers refuse
    /// what is to come.
    fn times(&self, boottime_ns: u64) -> (u64, u64) {
        let time_ns = self.clock.unix(boottime_ns);
        if time_ns > self.observed_ns + AHEAD_NS {
            self.outlet.metrics.clamped.inc();
            return (self.observed_ns, self.observed_ns);
        }
        // The clock is read once per drain; what was written meanwhile is seen when it happens.
        (time_ns, self.observed_ns.max(time_ns))
    }
}

#[cfg(test)]
mod tests;
