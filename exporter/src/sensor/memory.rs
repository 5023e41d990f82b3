//! Maps that user space reads and writes as memory: counters and control.
//!
//! A mapping keeps its map alive. A system call on a map would make the kernel skip kprobes on that CPU while it runs, so the live path makes none.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

use aya::maps::{Map, MapData};
use inotrail_ebpf::filter::{FILTERS_MAX, Filter};
use inotrail_ebpf::{COUNTERS, Control, Counters, Handover, WRITTEN_MAX, Written, program, turn};
use memmap2::{MmapOptions, MmapRaw};
use rustix::param::page_size;

use super::gates::GateMap;

/// Counts of every program on every CPU since the programs were loaded.
#[derive(Debug)]
pub struct CounterMap {
    memory: MmapRaw,
    gates: Arc<GateMap>,
    cpus: usize,
}

/// What user space changes while the programs run.
#[derive(Debug)]
pub(super) struct ControlMap {
    memory: MmapRaw,
    gates: Arc<GateMap>,
}

/// What one run leaves to the next. The programs know nothing of it.
#[derive(Debug)]
pub(super) struct HandoverMap {
    memory: MmapRaw,
}

/// The filters by number.
#[derive(Debug)]
pub(super) struct FilterMap {
    memory: MmapRaw,
}

impl CounterMap {
    pub(super) fn new(map: &Map, gates: Arc<GateMap>, cpus: usize) -> io::Result<Self> {
        let length = size_of::<Counters>() * program::COUNT as usize * cpus;
        Ok(Self { memory: map_raw(map, length)?, gates, cpus })
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
        let mut totals: Counters = zerocopy::transmute!(totals);
        totals.ignored += self.gates.ignored(program);
        totals
    }
}

impl ControlMap {
    pub(super) fn new(map: &Map, gates: Arc<GateMap>) -> io::Result<Self> {
        Ok(Self { memory: map_raw(map, size_of::<Control>())?, gates })
    }

    #[cfg(test)]
    pub(super) fn of(memory: MmapRaw, gates: GateMap) -> Self {
        Self { memory, gates: Arc::new(gates) }
    }

    /// As it is now.
    pub(super) fn get(&self) -> Control {
        // SAFETY: the mapping holds one aligned Control.
        unsafe { self.control().read_volatile() }
    }

    /// Changes take effect with the next access on each CPU.
    pub(super) fn set(&self, control: Control) {
        self.gates.shut(control.self_test != 0, || ());
        // SAFETY: as above; programs read each field for itself.
        self.gates.renew(|| unsafe { self.control().write_volatile(control) });
    }

    /// What was remembered of scopes does not count from now on: call it after the map of scopes has changed.
    pub(super) fn renew_scopes(&self) {
        self.gates.renew(|| ());
    }

    /// Who reports accesses: see [`Control::turn`].
    pub(super) fn set_turn(&self, first: u32, second: u32) {
        // SAFETY: as above; one aligned word, which changes at once.
        unsafe { (&raw mut (*self.control()).turn).write_volatile(turn(first, second)) };
    }

    /// Whose accesses are left out, but for those of a self-test, which are recorded whatever is remembered of their cgroup.
    pub(super) fn set_own(&self, tgid: u32, self_test: u32) {
        // SAFETY: as above.
        self.gates.shut(self_test != 0, || unsafe {
            (&raw mut (*self.control()).self_tgid).write_volatile(tgid);
            (&raw mut (*self.control()).self_test).write_volatile(self_test);
        });
    }

    /// Whether accesses are numbered, and the key of the hash.
    pub(super) fn set_aggregates(&self, secret: Option<[u64; 2]>) {
        // SAFETY: as above. A number of the old key or of a mixed one is nobody's.
        unsafe {
            if let Some(secret) = secret {
                (&raw mut (*self.control()).secret).write_volatile(secret);
            }
            (&raw mut (*self.control()).aggregates).write_volatile(secret.is_some().into());
        }
    }

    /// From when on marks count, `CLOCK_BOOTTIME`.
    pub(super) fn set_since(&self, since_ns: u64) {
        // SAFETY: as above.
        unsafe { (&raw mut (*self.control()).since_ns).write_volatile(since_ns) };
    }

    /// Aligned: a mapping starts at a page.
    fn control(&self) -> *mut Control {
        self.memory.as_mut_ptr().cast()
    }
}

impl HandoverMap {
    pub(super) fn new(map: &Map) -> io::Result<Self> {
        Ok(Self { memory: map_raw(map, size_of::<Handover>())? })
    }

    /// Of an earlier run.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Self::new(&Map::Array(MapData::from_pin(path).map_err(io::Error::other)?))
    }

    pub(super) fn get(&self) -> Handover {
        // SAFETY: the mapping holds one aligned Handover.
        unsafe { self.handover().read_volatile() }
    }

    pub(super) fn set(&self, handover: &Handover) {
        // SAFETY: as above; only this process uses it.
        unsafe { self.handover().write_volatile(*handover) };
    }

    /// The series of the hook that reports accesses from now on.
    pub(super) fn set_hook(&self, program: u32) {
        // SAFETY: as above.
        unsafe { (&raw mut (*self.handover()).hook).write_volatile(program) };
    }

    /// One more hot swap.
    pub(super) fn count_swap(&self) {
        // SAFETY: as above.
        unsafe { (&raw mut (*self.handover()).swaps).write_volatile(self.get().swaps + 1) };
    }

    /// Accesses that are reported as lost by now.
    pub(super) fn set_lost(&self, lost: u64) {
        // SAFETY: as above.
        unsafe { (&raw mut (*self.handover()).lost).write_volatile(lost) };
    }

    /// Missed calls of the attached programs that are told by now.
    pub(super) fn set_missed(&self, missed: u64) {
        // SAFETY: as above.
        unsafe { (&raw mut (*self.handover()).missed).write_volatile(missed) };
    }

    /// The account of a new run.
    pub(super) fn set_account(&self, wanted: u64, kept: u64, stream: [u64; 2]) {
        self.set_wanted(wanted);
        // SAFETY: as above.
        unsafe {
            (&raw mut (*self.handover()).kept).write_volatile(kept);
            (&raw mut (*self.handover()).stream).write_volatile(stream);
            (&raw mut (*self.handover()).written).write_volatile(<[Written; WRITTEN_MAX]>::default());
        }
    }

    /// A request that is written, and not durable. For one thread at a time.
    pub(super) fn set_written(&self, place: usize, written: Written) {
        debug_assert!(place < WRITTEN_MAX, "there is no place {place}");
        // SAFETY: as above; it holds WRITTEN_MAX of them.
        unsafe {
            let first = (&raw mut (*self.handover()).written).cast::<Written>();
            first.add(place % WRITTEN_MAX).write_volatile(written);
        }
    }

    /// Accesses that were taken to be told.
    pub(super) fn set_wanted(&self, wanted: u64) {
        // SAFETY: as above.
        unsafe { (&raw mut (*self.handover()).wanted).write_volatile(wanted) };
    }

    /// More accesses that are kept. For one thread at a time.
    pub(super) fn add_kept(&self, count: u64) {
        // SAFETY: as above.
        unsafe {
            let kept = &raw mut (*self.handover()).kept;
            kept.write_volatile(kept.read_volatile().saturating_add(count));
        }
    }

    /// The ring is empty now, `CLOCK_BOOTTIME`.
    pub(super) fn set_drained(&self, now_ns: u64) {
        // SAFETY: as above.
        unsafe { (&raw mut (*self.handover()).drained_ns).write_volatile(now_ns) };
    }

    /// Aligned: a mapping starts at a page.
    fn handover(&self) -> *mut Handover {
        self.memory.as_mut_ptr().cast()
    }
}

impl FilterMap {
    pub(super) fn new(map: &Map) -> io::Result<Self> {
        Ok(Self { memory: map_raw(map, size_of::<Filter>() * FILTERS_MAX as usize)? })
    }

    /// In an order in which no access is held back that either of the old and the new filter would let pass.
    #[expect(clippy::cast_ptr_alignment, reason = "a mapping starts at a page")]
    pub(super) fn set(&self, number: u32, new: &Filter) {
        debug_assert!(number < FILTERS_MAX, "there is no filter {number}");
        // SAFETY: the mapping holds FILTERS_MAX aligned filters; programs read each field for itself.
        unsafe {
            let filter = self.memory.as_mut_ptr().cast::<Filter>().add((number % FILTERS_MAX) as usize);
            (&raw mut (*filter).any).write_volatile(u32::MAX);
            (&raw mut (*filter).every).write_volatile(u32::MAX);
            for (word, hints) in new.hints.into_iter().enumerate() {
                (&raw mut (*filter).hints).cast::<u64>().add(word).write_volatile(hints);
            }
            (&raw mut (*filter).every).write_volatile(new.every);
            (&raw mut (*filter).any).write_volatile(new.any);
        }
    }
}

pub(super) fn map_raw(map: &Map, length: usize) -> io::Result<MmapRaw> {
    let Map::Array(array) = map else { return Err(io::ErrorKind::InvalidInput.into()) };
    MmapOptions::new().len(length.next_multiple_of(page_size())).map_raw(&array.fd().as_fd())
}
