//! The sensor thread's work on each record: who was it, is it wanted, number it, hand it on.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use crate::clock::{Clock, unix_now};
use crate::container::{CgroupEvents, Container, Containers, File, Origin, Snapshot};
use crate::event::{Access, Backend, Event};
use crate::loss::{Loss, LossBook, Outage};
use crate::metrics::{Dropped, Metrics};
use crate::process::{ProcessScan, ProcessTable};
use crate::sensor::{Drained, Gap, Malformed, Record, Sensor};

mod counted;
mod held;
mod judge;

use counted::Counted;
use held::Held;
use judge::{Judge, Ruling};

/// Where events end: `run`'s batches, or what `trace` prints.
pub trait Output {
    /// Whether the event is wanted at all. Asked before it gets its number, so that a stream has no holes.
    fn wants(&self, event: &Event<'_>) -> bool;

    /// Takes one event. Breaks when no further one is wanted.
    fn event(&mut self, event: &Event<'_>) -> ControlFlow<()>;

    /// Takes one loss.
    fn loss(&mut self, loss: &Loss<'_>);

    /// The ring is empty for now; `now_ns` is Unix time. Breaks when no further event is wanted.
    fn drained(&mut self, now_ns: u64) -> ControlFlow<()>;
}

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
    outlet: Outlet<O>,
}

/// The way of an event to the output. It borrows from the rest.
struct Outlet<O> {
    host: bool,
    cgroups: CgroupEvents,
    metrics: Arc<Metrics>,
    judge: Judge,
    output: O,
    done: bool,
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
            outlet: Outlet { host, cgroups, metrics, judge: Judge::default(), output, done: false },
        };
        Self { stages, held: Held::default() }
    }

    /// Tells of a time in which no program was attached.
    pub fn gap(&mut self, gap: Gap) {
        let clock = &self.stages.clock;
        let outage = Outage { start_ns: clock.unix(gap.start_ns), end_ns: Some(clock.unix(gap.end_ns)) };
        self.stages.outage(outage);
    }

    /// Takes records from the ring to the output. Breaks when the output wants no more.
    pub fn drain(&mut self, sensor: &mut Sensor) -> ControlFlow<(), Drained> {
        let Self { stages, held } = self;
        stages.clock.refresh();
        while let Ok(scan) = stages.scans.try_recv() {
            stages.processes.merge(scan);
        }
        stages.observed_ns = unix_now();
        let snapshot = stages.containers.snapshot();
        // What waited for a container that is known by now comes before its later events.
        held.release(stages.observed_ns, &snapshot, |event| stages.outlet.deliver(event, &snapshot));
        let drained = sensor.drain(|record| stages.record(record, &snapshot, held));
        if stages.counted.is_due(stages.observed_ns) {
            stages.take_counted(sensor, &snapshot, held, false);
            stages.tell_losses(&snapshot, false);
        }
        drop(snapshot);
        held.remind(stages.observed_ns, |id| stages.outlet.cgroups.unknown(id));
        match stages.outlet.output.drained(stages.observed_ns) {
            ControlFlow::Continue(()) if !stages.outlet.done => ControlFlow::Continue(drained),
            _ => ControlFlow::Break(()),
        }
    }

    /// Takes what is only counted, lets go of what still waits for a container's name, and gives the output back.
    pub fn finish(mut self, sensor: &Sensor) -> O {
        let stages = &mut self.stages;
        stages.observed_ns = unix_now();
        let snapshot = stages.containers.snapshot();
        stages.take_counted(sensor, &snapshot, &mut self.held, true);
        self.held.release_all(&snapshot, |event| stages.outlet.deliver(event, &snapshot));
        stages.tell_losses(&snapshot, true);
        drop(snapshot);
        self.stages.outlet.output
    }
}

impl<O: Output> Stages<O> {
    fn record(&mut self, record: Result<Record<'_>, Malformed>, snapshot: &Snapshot, held: &mut Held) {
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

    fn tell_losses(&mut self, snapshot: &Snapshot, last: bool) {
        while let Ok(outage) = self.outages.try_recv() {
            self.outage(outage);
        }
        if last || self.losses.is_due(self.observed_ns) {
            let Self { losses, outlet, observed_ns, .. } = self;
            losses.tell(*observed_ns, &outlet.metrics, snapshot, |loss| outlet.output.loss(loss));
        }
    }

    fn outage(&mut self, outage: Outage) {
        self.losses.outage(outage, self.observed_ns, |loss| self.outlet.output.loss(loss));
    }

    fn access(&mut self, access: Access<'_>, snapshot: &Snapshot, held: &mut Held) {
        let time_ns = self.clock.unix(access.header.time_ns);
        let event = Event {
            time_ns,
            // The clock is read once per drain; what was written meanwhile is seen when it happens.
            observed_ns: self.observed_ns.max(time_ns),
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
            last_ns: 0,
        };
        self.outlet.route(event, snapshot, held);
    }
}

impl<O: Output> Outlet<O> {
    /// Delivers the event with its container, or lets it wait for that.
    fn route(&mut self, event: Event<'_>, snapshot: &Snapshot, held: &mut Held) {
        let id = event.access.header.cgroup_id;
        if let Some(container) = snapshot.get(id) {
            self.deliver(Event { container, ..event }, snapshot);
            return;
        }
        if !held.waits_for(id) {
            self.cgroups.unknown(id);
        }
        held.push(event, &self.metrics);
    }

    /// Decides, and hands over what is worth it.
    fn deliver<'a>(&mut self, event: Event<'a>, snapshot: &'a Snapshot) {
        let mut judge = std::mem::take(&mut self.judge);
        match judge.rule(&event, snapshot) {
            Ruling::Everything if self.reports(event.container) => self.hand_over(event, snapshot),
            Ruling::Keep(judgement) => {
                if event.container.tells_stale_files(event.access.header, event.access.path) {
                    self.cgroups.stale_files(event.access.header.cgroup_id);
                }
                self.hand_over(Event { judgement: Some(judgement), ..event }, snapshot);
            }
            Ruling::Undecided => drop(self.metrics.undecided.inc_by(event.count)),
            Ruling::Everything | Ruling::Ignore => {}
        }
        self.judge = judge;
    }

    /// Looks the file up, numbers and hands over.
    fn hand_over<'a>(&mut self, mut event: Event<'a>, snapshot: &'a Snapshot) {
        if !self.output.wants(&event) {
            return;
        }
        let container: &Container = event.container;
        if matches!(container.origin, Origin::Container { resolved: false, .. }) {
            self.metrics.unresolved.inc();
        }
        event.file = self.file(&event, snapshot);
        event.sequence = container.next_sequence();
        self.metrics.emitted.inc_by(event.count);
        if self.output.event(&event).is_break() {
            self.done = true;
        }
    }

    fn file<'a>(&self, event: &Event<'a>, snapshot: &'a Snapshot) -> File<'a> {
        let Event { container, access, .. } = event;
        let (file, stale) = snapshot.file(access.header, access.path, container);
        if stale && container.tells_unknown_mounts(event.observed_ns) {
            self.cgroups.unknown_mounts(access.header.cgroup_id);
        }
        file
    }

    fn reports(&self, container: &Container) -> bool {
        self.host || matches!(container.origin, Origin::Container { .. })
    }
}

#[cfg(test)]
mod tests;
