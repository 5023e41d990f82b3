//! The sensor thread's work on each record: who was it, is it wanted, number it, hand it on.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use crate::clock::{Clock, unix_now};
use crate::container::{CgroupEvents, Container, Containers, Origin, Snapshot};
use crate::event::{Access, Backend, Event};
use crate::metrics::{Dropped, Metrics};
use crate::process::{ProcessScan, ProcessTable};
use crate::sensor::{Drained, Malformed, Record, Sensor};

mod held;

use held::Held;

/// Where events end: `run`'s batches, or what `trace` prints.
pub trait Output {
    /// Whether the event is wanted at all. Asked before it gets its number, so that a stream has no holes.
    fn wants(&self, event: &Event<'_>) -> bool;

    /// Takes one event. Breaks when no further one is wanted.
    fn event(&mut self, event: &Event<'_>) -> ControlFlow<()>;

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
    host: bool,
    clock: Clock,
    observed_ns: u64,
    containers: Containers,
    cgroups: CgroupEvents,
    processes: ProcessTable,
    scans: Receiver<ProcessScan>,
    metrics: Arc<Metrics>,
    output: O,
    done: bool,
}

impl<O: Output> Pipeline<O> {
    /// `host`: whether processes outside containers are reported. `scans`: what `/proc` says, whenever the kernel's own
    /// records of processes were lost.
    pub fn new(
        backend: Backend,
        host: bool,
        (containers, cgroups): (Containers, CgroupEvents),
        scans: Receiver<ProcessScan>,
        metrics: Arc<Metrics>,
        output: O,
    ) -> Self {
        let clock = Clock::now();
        let stages = Stages {
            backend,
            host,
            clock,
            observed_ns: unix_now(),
            containers,
            cgroups,
            processes: ProcessTable::default(),
            scans,
            metrics,
            output,
            done: false,
        };
        Self { stages, held: Held::default() }
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
        held.release(stages.observed_ns, &snapshot, |event| stages.deliver(event));
        let drained = sensor.drain(|record| stages.record(record, &snapshot, held));
        drop(snapshot);
        held.remind(stages.observed_ns, |id| stages.cgroups.unknown(id));
        match stages.output.drained(stages.observed_ns) {
            ControlFlow::Continue(()) if !stages.done => ControlFlow::Continue(drained),
            _ => ControlFlow::Break(()),
        }
    }

    /// Lets go of what still waits for a container's name, and gives the output back.
    pub fn finish(mut self) -> O {
        let stages = &mut self.stages;
        self.held.release_all(|event| stages.deliver(event));
        self.stages.output
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
            Ok(Record::CgroupMade(header, path)) => self.cgroups.made(header.cgroup_id, path),
            Ok(Record::CgroupReleased(header)) => self.cgroups.released(header.cgroup_id),
            Err(malformed) => {
                let count = self.metrics.dropped(Dropped::Encode).inc() + 1;
                // A fault that repeats must not flood the log.
                if count.is_power_of_two() {
                    tracing::warn!(%malformed, count, "a record of the kernel was dropped");
                }
            }
        }
    }

    fn access(&mut self, access: Access<'_>, snapshot: &Snapshot, held: &mut Held) {
        let process = self.processes.get(access.header.tgid, access.header.process_start_ns);
        let executable = process.map_or(&[][..], |process| &process.executable);
        let time_ns = self.clock.unix(access.header.time_ns);
        let event = |container| Event {
            time_ns,
            // The clock is read once per drain; what was written meanwhile is seen when it happens.
            observed_ns: self.observed_ns.max(time_ns),
            access,
            executable,
            process_start_ns: self.clock.process_start(access.header.process_start_ns),
            container,
            // Another one may have taken over.
            backend: Backend::of(access.header.program),
            sequence: 0,
            count: 1,
        };
        let id = access.header.cgroup_id;
        if let Some(container) = snapshot.get(id) {
            let event = event(container);
            deliver(self.host, &mut self.output, &self.metrics, &mut self.done, event);
            return;
        }
        if !held.waits_for(id) {
            self.cgroups.unknown(id);
        }
        held.push(event(Container::unknown()), &self.metrics);
    }

    fn deliver(&mut self, event: Event<'_>) {
        deliver(self.host, &mut self.output, &self.metrics, &mut self.done, event);
    }
}

/// Decides, numbers and hands over. Free of `self`, because the event borrows from the process table.
fn deliver<O: Output>(host: bool, output: &mut O, metrics: &Metrics, done: &mut bool, mut event: Event<'_>) {
    let container: &Container = event.container;
    if !host && !matches!(container.origin, Origin::Container { .. }) || !output.wants(&event) {
        return;
    }
    if matches!(container.origin, Origin::Container { resolved: false, .. }) {
        metrics.unresolved.inc();
    }
    event.sequence = container.next_sequence();
    metrics.emitted.inc();
    if output.event(&event).is_break() {
        *done = true;
    }
}

#[cfg(test)]
mod tests;
