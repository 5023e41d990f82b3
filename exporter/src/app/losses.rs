//! What the kernel half lost, brought into the one list of drop reasons.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use inotrail_ebpf::{COUNTERS, Counters, program};

use crate::container::CgroupEvents;
use crate::event::Backend;
use crate::metrics::{Dropped, KernelCount, Metrics};
use crate::process::ProcessScan;
use crate::sensor::{CounterMap, Hooks, Sensor};

/// Reads the kernel's counts; cheap enough for every scrape.
#[derive(Clone)]
pub(super) struct KernelCounts {
    counters: Arc<CounterMap>,
    hooks: Hooks,
}

/// Owns the drop counters whose truth is in the kernel, and mends the tables that lost records would leave wrong.
pub(super) struct Losses {
    kernel: KernelCounts,
    backend: Backend,
    metrics: Arc<Metrics>,
    cgroups: CgroupEvents,
    scans: SyncSender<ProcessScan>,
    /// Records lost of cgroups and of processes, when the tables were last read anew.
    mended: Mended,
}

#[derive(Clone, Copy, Default)]
struct Mended {
    cgroups: u64,
    processes: u64,
}

impl Losses {
    /// Also returns where the pipeline gets what `/proc` says, now and after every loss.
    pub(super) fn of(sensor: &Sensor, metrics: &Arc<Metrics>, cgroups: &CgroupEvents) -> (Self, Receiver<ProcessScan>) {
        let kernel = KernelCounts { counters: sensor.counters(), hooks: sensor.hooks() };
        let (scans, receiver) = sync_channel(1);
        let losses = Self {
            kernel,
            backend: sensor.backend(),
            metrics: Arc::clone(metrics),
            cgroups: cgroups.clone(),
            scans,
            mended: Mended::default(),
        };
        losses.scan_processes();
        (losses, receiver)
    }

    pub(super) fn kernel(&self) -> KernelCounts {
        self.kernel.clone()
    }

    /// Adds what was lost since the last time.
    pub(super) fn update(&mut self) {
        self.raise(Dropped::RingFull, self.ring_full(self.accesses()));
        self.raise(Dropped::HookMissed, self.kernel.hooks.missed_accesses().unwrap_or(0));
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

    /// False: the sensor thread has not taken the last scan yet; try again later.
    fn scan_processes(&self) -> bool {
        match ProcessScan::read(Path::new("/proc")) {
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

    /// The programs whose records are accesses: with the hook on `inode_permission`, an exec's record is none.
    fn accesses(&self) -> &'static [u32] {
        match self.backend {
            Backend::Fexit | Backend::Kprobe => &[program::FEXIT, program::KPROBE],
            Backend::RawTracepoint => &[program::SYS_EXIT, program::PROCESS_EXEC, program::IO_URING],
        }
    }

    fn raise(&self, reason: Dropped, total: u64) {
        let counter = self.metrics.dropped(reason);
        counter.inc_by(total.saturating_sub(counter.get()));
    }
}

impl KernelCounts {
    /// Everything, by program.
    pub(super) fn read(&self) -> Vec<KernelCount> {
        let mut counts = Vec::new();
        for (index, program) in program::NAMES.into_iter().enumerate() {
            let totals: Counters = self.counters.totals(index as u32);
            let values: [u64; COUNTERS.len()] = zerocopy::transmute!(totals);
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
