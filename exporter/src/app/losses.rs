//! What the kernel half lost, brought into the one list of drop reasons.

use std::sync::Arc;

use inotrail_ebpf::{COUNTERS, Counters, program};

use crate::event::Backend;
use crate::metrics::{Dropped, KernelCount, Metrics};
use crate::sensor::{CounterMap, Misses, Sensor};

/// Reads the kernel's counts; cheap enough for every scrape.
#[derive(Clone)]
pub(super) struct KernelCounts {
    counters: Arc<CounterMap>,
    misses: Misses,
}

/// Owns the drop counters whose truth is in the kernel.
pub(super) struct Losses {
    kernel: KernelCounts,
    backend: Backend,
    metrics: Arc<Metrics>,
}

impl Losses {
    pub(super) fn of(sensor: &Sensor, metrics: &Arc<Metrics>) -> Self {
        let kernel = KernelCounts { counters: sensor.counters(), misses: sensor.misses() };
        Self { kernel, backend: sensor.backend(), metrics: Arc::clone(metrics) }
    }

    pub(super) fn kernel(&self) -> KernelCounts {
        self.kernel.clone()
    }

    /// Adds what was lost since the last time.
    pub(super) fn update(&self) {
        let total = |program: &u32| self.kernel.counters.totals(*program).ring_full;
        let ring_full = self.programs().iter().map(total).sum();
        self.raise(Dropped::RingFull, ring_full);
        self.raise(Dropped::HookMissed, self.kernel.misses.accesses().unwrap_or(0));
    }

    /// The programs whose records are accesses: with the hook on `inode_permission`, an exec's record is none.
    fn programs(&self) -> &'static [u32] {
        match self.backend {
            Backend::Fexit | Backend::Kprobe => &[program::INODE_PERMISSION],
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
        counts.extend(self.misses.read().filter_map(missed));
        counts
    }
}
