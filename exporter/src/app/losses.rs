//! What the kernel half lost, brought into the one list of drop reasons.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Instant;

use inotrail_ebpf::{COUNTERS, Counters, program};

use super::watchdog::{Sight, Turn, Watchdog};
use crate::clock::unix_now;
use crate::container::CgroupEvents;
use crate::loss::Outage;
use crate::metrics::{Dropped, KernelCount, KernelState, Metrics};
use crate::process::{ProcessConfig, ProcessScan};
use crate::sensor::{CounterMap, Hooks, Ledger, Probe, Repeats, RingGauge, Sensor};

/// Reads the kernel's counts; cheap enough for every scrape.
#[derive(Clone)]
pub(super) struct KernelCounts {
    counters: Arc<CounterMap>,
    hooks: Hooks,
    ring: Arc<RingGauge>,
}

/// Owns the drop counters whose truth is in the kernel, and mends the tables that lost records would leave wrong.
pub(super) struct Losses {
    kernel: KernelCounts,
    ledger: Arc<Ledger>,
    repeats: Arc<Repeats>,
    /// The kernel cannot wait for its programs, and it was said.
    unflippable: bool,
    metrics: Arc<Metrics>,
    cgroups: CgroupEvents,
    processes: ProcessConfig,
    scans: SyncSender<ProcessScan>,
    outages: SyncSender<Outage>,
    probe: Option<Arc<Probe>>,
    watchdog: Watchdog,
    /// Records lost of cgroups and of processes, when the tables were last read anew.
    mended: Mended,
}

#[derive(Clone, Copy, Default)]
struct Mended {
    cgroups: u64,
    processes: u64,
}

impl Losses {
    /// Also returns where the pipeline gets what `/proc` says, now and after every loss, and when nothing was reported.
    pub(super) fn of(
        sensor: &Sensor,
        metrics: &Arc<Metrics>,
        cgroups: &CgroupEvents,
        processes: ProcessConfig,
    ) -> (Self, (Receiver<ProcessScan>, Receiver<Outage>)) {
        let kernel = KernelCounts::of(sensor);
        let (scans, receiver) = sync_channel(1);
        // Two per outage, which takes seconds.
        let (outages, outage_receiver) = sync_channel(16);
        let losses = Self {
            kernel,
            ledger: sensor.ledger(),
            repeats: sensor.repeats(),
            unflippable: false,
            metrics: Arc::clone(metrics),
            cgroups: cgroups.clone(),
            processes,
            scans,
            outages,
            probe: sensor.probe(),
            watchdog: Watchdog::new(Instant::now(), unix_now()),
            mended: Mended::default(),
        };
        losses.scan_processes();
        (losses, (receiver, outage_receiver))
    }

    /// Adds what was lost since the last time, and makes room in the ledger. What the ring had no room for is the
    /// pipeline's, which takes it from there.
    pub(super) fn update(&mut self) {
        self.flip();
        self.test();
        self.raise(Dropped::HookMissed, self.kernel.hooks.tell_missed().unwrap_or(0));
        let lost = Mended {
            cgroups: self.ring_full(&[program::CGROUP_MKDIR, program::CGROUP_RELEASE]),
            processes: self.ring_full(&[program::PROCESS_FORK, program::PROCESS_EXEC, program::PROCESS_EXIT]),
        };
        if lost.cgroups != self.mended.cgroups {
            self.cgroups.rescan();
        }
        self.mended.cgroups = lost.cgroups;
        if lost.processes != self.mended.processes && self.scan_processes() {
            self.mended.processes = lost.processes;
        }
    }

    /// Tests whether the programs still report.
    fn test(&mut self) {
        let Some(probe) = &self.probe else { return };
        let hooks = [program::FEXIT, program::KPROBE, program::SYS_EXIT];
        let sight = Sight { seen: probe.seen(), drains: probe.drains(), ring_full: self.ring_full(&hooks) };
        match self.watchdog.step(Instant::now(), unix_now(), sight) {
            Turn::Wait => {}
            Turn::Open => {
                if let Err(error) = probe.open() {
                    tracing::warn!(%error, "the self-test cannot open its file: is /proc mounted?");
                }
            }
            Turn::Down(outage) => {
                tracing::error!("the programs report no accesses any more: something has detached them");
                self.metrics.health.sensor.set(false);
                self.tell(outage);
            }
            Turn::Up(outage) => {
                tracing::info!("the programs report accesses again");
                self.metrics.health.sensor.set(true);
                self.tell(outage);
            }
        }
    }

    fn tell(&self, outage: Outage) {
        if self.outages.try_send(outage).is_err() {
            tracing::error!(?outage, "nobody takes the news of an outage");
        }
    }

    fn flip(&mut self) {
        if let Err(error) = self.ledger.flip().and_then(|()| self.repeats.wait())
            && !std::mem::replace(&mut self.unflippable, true)
        {
            tracing::warn!(%error, "the ledger cannot be emptied while programs write to it: many files will overflow it, and few be aggregated");
        }
    }

    /// False: the sensor thread has not taken the last scan yet; try again later.
    fn scan_processes(&self) -> bool {
        match ProcessScan::read(Path::new("/proc"), &self.processes) {
            Ok(scan) => self.scans.try_send(scan).is_ok(),
            Err(error) => {
                tracing::warn!(%error, "executables of running processes are not known: /proc is unreadable");
                true
            }
        }
    }

    fn ring_full(&self, programs: &[u32]) -> u64 {
        programs.iter().map(|program| self.kernel.counters.totals(*program).ring_full).sum()
    }

    fn raise(&self, reason: Dropped, total: u64) {
        let counter = self.metrics.dropped(reason);
        counter.inc_by(total.saturating_sub(counter.get()));
    }
}

impl KernelCounts {
    pub(super) fn of(sensor: &Sensor) -> Self {
        Self { counters: sensor.counters(), hooks: sensor.hooks(), ring: sensor.fill() }
    }

    /// Everything.
    pub(super) fn read(&self) -> KernelState {
        let hooks = &self.hooks;
        KernelState {
            backend: hooks.backend(),
            misses: hooks.misses(),
            swaps: hooks.swaps(),
            counts: self.counts(),
            ring: self.ring.read(),
        }
    }

    fn counts(&self) -> Vec<KernelCount> {
        let mut counts = Vec::new();
        for (index, program) in program::NAMES.into_iter().enumerate() {
            let totals: Counters = self.counters.totals(index as u32);
            let values: [u64; COUNTERS.len()] = zerocopy::transmute!(totals);
            // Programs that nobody asked for.
            if index as u32 >= program::WITHOUT_MUTATIONS && values.iter().all(|value| *value == 0) {
                continue;
            }
            counts.extend(COUNTERS.into_iter().zip(values).map(|(counter, value)| KernelCount {
                program,
                counter,
                value,
            }));
        }
        let missed = |(program, value): (&'static str, Option<u64>)| {
            Some(KernelCount { program, counter: "missed", value: value? })
        };
        counts.extend(self.hooks.missed().into_iter().filter_map(missed));
        counts
    }
}
