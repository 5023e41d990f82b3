//! The sensor thread's work on each record: who was it, is it wanted, number it, give it to the sink.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::clock::{Clock, unix_now};
use crate::container::{CgroupEvents, Container, Containers, Origin, Snapshot};
use crate::event::{Access, Backend, Event};
use crate::metrics::{Dropped, Metrics};
use crate::process::ProcessTable;
use crate::sensor::{Malformed, Record, Sensor};

mod held;

use held::Held;

/// Where events end: `run`'s batches, or what `trace` prints.
pub trait Sink {
    /// Whether the event is wanted at all. Asked before it gets its number, so that a stream has no holes.
    fn wants(&self, event: &Event<'_>) -> bool;

    /// Takes one event. Breaks when no further one is wanted.
    fn event(&mut self, event: &Event<'_>) -> ControlFlow<()>;

    /// The ring is empty for now; `now_ns` is Unix time. Breaks when no further event is wanted.
    fn drained(&mut self, now_ns: u64) -> ControlFlow<()>;
}

/// Tables and the sink, all owned by the sensor thread.
pub struct Pipeline<S> {
    stages: Stages<S>,
    held: Held,
}

/// Everything but the events that wait, so that both can be borrowed at once.
struct Stages<S> {
    backend: Backend,
    host: bool,
    clock: Clock,
    observed_ns: u64,
    containers: Containers,
    cgroups: CgroupEvents,
    processes: ProcessTable,
    metrics: Arc<Metrics>,
    sink: S,
    done: bool,
}

impl<S: Sink> Pipeline<S> {
    /// `host`: whether processes outside containers are reported.
    pub fn new(
        backend: Backend,
        host: bool,
        (containers, cgroups): (Containers, CgroupEvents),
        processes: ProcessTable,
        metrics: Arc<Metrics>,
        sink: S,
    ) -> Self {
        let clock = Clock::now();
        let stages = Stages {
            backend,
            host,
            clock,
            observed_ns: unix_now(),
            containers,
            cgroups,
            processes,
            metrics,
            sink,
            done: false,
        };
        Self { stages, held: Held::default() }
    }

    /// Empties the ring into the sink. Returns the bytes of the records, or breaks when the sink wants no more.
    pub fn drain(&mut self, sensor: &mut Sensor) -> ControlFlow<(), usize> {
        let Self { stages, held } = self;
        stages.clock.refresh();
        stages.observed_ns = unix_now();
        let snapshot = stages.containers.snapshot();
        // What waited for a container that is known by now comes before its later events.
        held.release(stages.observed_ns, &snapshot, |event| stages.deliver(event));
        let bytes = sensor.drain(|record| stages.record(record, &snapshot, held));
        drop(snapshot);
        match stages.sink.drained(stages.observed_ns) {
            ControlFlow::Continue(()) if !stages.done => ControlFlow::Continue(bytes),
            _ => ControlFlow::Break(()),
        }
    }

    /// Lets go of what still waits for a container's name, and gives the sink back.
    pub fn finish(mut self) -> S {
        let stages = &mut self.stages;
        self.held.release_all(|event| stages.deliver(event));
        self.stages.sink
    }
}

impl<S: Sink> Stages<S> {
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
                self.metrics.dropped(Dropped::Encode).inc();
                tracing::warn!(%malformed, "a record of the kernel was dropped");
            }
        }
    }

    fn access(&mut self, access: Access<'_>, snapshot: &Snapshot, held: &mut Held) {
        let process = self.processes.get(access.header.tgid, access.header.process_start_ns);
        let executable = process.map_or(&[][..], |process| &process.executable);
        let event = |container| Event {
            time_ns: self.clock.unix(access.header.time_ns),
            observed_ns: self.observed_ns,
            access,
            executable,
            process_start_ns: self.clock.unix(access.header.process_start_ns),
            container,
            backend: self.backend,
            sequence: 0,
            count: 1,
        };
        let id = access.header.cgroup_id;
        match snapshot.get(id) {
            Some(container) => {
                let event = event(container);
                deliver(self.host, &mut self.sink, &self.metrics, &mut self.done, event);
            }
            None => {
                if !held.waits_for(id) {
                    self.cgroups.unknown(id);
                }
                held.push(event(held::nobody()), &self.metrics);
            }
        }
    }

    fn deliver(&mut self, event: Event<'_>) {
        deliver(self.host, &mut self.sink, &self.metrics, &mut self.done, event);
    }
}

/// Decides, numbers and hands over. Free of `self`, because the event borrows from the process table.
fn deliver<S: Sink>(host: bool, sink: &mut S, metrics: &Metrics, done: &mut bool, mut event: Event<'_>) {
    let container: &Container = event.container;
    if !host && !matches!(container.origin, Origin::Container { .. }) || !sink.wants(&event) {
        return;
    }
    if matches!(container.origin, Origin::Container { resolved: false, .. }) {
        metrics.unresolved.inc();
    }
    event.sequence = container.next_sequence();
    metrics.emitted.inc();
    if sink.event(&event).is_break() {
        *done = true;
    }
}
