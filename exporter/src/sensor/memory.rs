//! Maps that user space reads and writes as memory: counters and control.
//!
//! A mapping keeps its map alive. A system call on a map would make the kernel skip kprobes on that CPU while it runs, so the live path makes none.

use std::io;
use std::os::fd::AsFd;

use aya::maps::Map;
use inotrail_ebpf::{COUNTERS, Control, Counters, program};
use memmap2::{MmapOptions, MmapRaw};
use rustix::param::page_size;

/// Counts of every program on every CPU since the programs were loaded.
#[derive(Debug)]
pub struct CounterMap {
    memory: MmapRaw,
    cpus: usize,
}

/// What user space changes while the programs run.
#[derive(Debug)]
pub(super) struct ControlMap {
    memory: MmapRaw,
}

impl CounterMap {
    pub(super) fn new(map: &Map, cpus: usize) -> io::Result<Self> {
        let length = size_of::<Counters>() * program::COUNT as usize * cpus;
        Ok(Self { memory: map_raw(map, length)?, cpus })
    }

    /// The totals of one program over all CPUs. Each count is exact; together they are not one moment's.
    #[must_use]
    #[expect(clippy::cast_ptr_alignment, reason = "a mapping starts at a page")]
    pub fn totals(&self, program: u32) -> Counters {
        let mut totals = [0u64; COUNTERS.len()];
        for cpu in 0..self.cpus {
            let index = cpu * program::COUNT as usize + program as usize;
            for (field, total) in totals.iter_mut().enumerate() {
                // SAFETY: `new` mapped cpus * COUNT entries of COUNTERS.len() aligned words; the kernel changes them
                // while we look, hence volatile.
                *total +=
                    unsafe { self.memory.as_ptr().cast::<u64>().add(index * COUNTERS.len() + field).read_volatile() };
            }
        }
        zerocopy::transmute!(totals)
    }
}

impl ControlMap {
    pub(super) fn new(map: &Map) -> io::Result<Self> {
        Ok(Self { memory: map_raw(map, size_of::<Control>())? })
    }

    /// Changes take effect with the next access on each CPU.
    #[expect(clippy::cast_ptr_alignment, reason = "a mapping starts at a page")]
    pub(super) fn set(&self, control: Control) {
        // SAFETY: the mapping holds one aligned Control. No program reads two of its fields as if they were one, but for
        // those of a handover, which `swap` changes one at a time.
        unsafe { self.memory.as_mut_ptr().cast::<Control>().write_volatile(control) };
    }
}

pub(super) fn map_raw(map: &Map, length: usize) -> io::Result<MmapRaw> {
    let Map::Array(array) = map else { return Err(io::ErrorKind::InvalidInput.into()) };
    MmapOptions::new().len(length.next_multiple_of(page_size())).map_raw(&array.fd().as_fd())
}
