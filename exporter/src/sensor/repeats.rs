//! Accesses that equal one that was told just now: the programs count them in mapped memory, where this says so.
//!
//! A slot is opened for one access, and its count is taken from time to time. One that is closed is free again once no program
//! can be on its way to count in it, which [`Repeats::wait`] finds out. Counts never go back, so that nothing is lost or
//! doubled whenever one looks.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use aya::maps::Map;
use inotrail_ebpf::{LedgerKey, REPEAT_PROBES, REPEAT_SLOTS, RepeatSlot};
use memmap2::MmapRaw;
use rustix::thread::{MembarrierCommand, membarrier};

use super::ledger::{Entry, SharedKey};
use super::memory::{ControlMap, map_raw};

/// The table, to be used by the sensor's thread; [`Self::wait`] is for another one.
#[derive(Debug)]
pub struct Repeats {
    memory: MmapRaw,
    control: Arc<ControlMap>,
    /// How often something was closed, and up to which of these no program counts in it any more.
    closed: AtomicU32,
    over: AtomicU32,
}

/// Accesses that were not taken before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeated {
    /// How many; never 0.
    pub count: u64,
    /// At most how many processes made them; never 0.
    pub processes: u32,
    /// `CLOCK_BOOTTIME`: none was earlier.
    pub first_ns: u64,
    /// `CLOCK_BOOTTIME` of one of the last ones.
    pub last_ns: u64,
}

impl Repeats {
    pub(super) fn new(map: &Map, control: Arc<ControlMap>) -> io::Result<Self> {
        Ok(Self::of(map_raw(map, REPEAT_SLOTS as usize * size_of::<RepeatSlot>())?, control))
    }

    fn of(memory: MmapRaw, control: Arc<ControlMap>) -> Self {
        Self { memory, control, closed: AtomicU32::new(0), over: AtomicU32::new(0) }
    }

    /// Has the programs number accesses, by a hash with this key; or no longer.
    pub fn set(&self, secret: Option<[u64; 2]>) {
        self.control.set_aggregates(secret);
    }

    /// Closes all, whoever opened them. Returns what [`Self::is_over`] takes.
    pub fn close_all(&self) -> u32 {
        (0..REPEAT_SLOTS).for_each(|index| self.slot(index).identity.store(0, Ordering::Relaxed));
        self.closed.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Has accesses of this number counted until then (`CLOCK_BOOTTIME`), the first of which this process made. Nothing: they are already, or there is no slot that
    /// `is_free`.
    pub fn open(
        &self,
        identity: u64,
        (key, tgid): (&LedgerKey, u32),
        until_ns: u64,
        mut is_free: impl FnMut(u32) -> bool,
    ) -> Option<u32> {
        let indices = || (0..REPEAT_PROBES).map(|probe| (identity as u32).wrapping_add(probe) & (REPEAT_SLOTS - 1));
        if indices().any(|index| self.slot(index).identity.load(Ordering::Relaxed) == identity) {
            return None;
        }
        let index = indices().find(|index| is_free(*index))?;
        let slot = self.slot(index);
        slot.key.set(key);
        slot.tgid.store(tgid, Ordering::Relaxed);
        slot.first_ns.store(0, Ordering::Relaxed);
        slot.until_ns.store(until_ns, Ordering::Relaxed);
        slot.identity.store(identity, Ordering::Release);
        Some(index)
    }

    /// Goes on with it until then.
    pub fn renew(&self, index: u32, until_ns: u64) {
        self.slot(index).until_ns.store(until_ns, Ordering::Relaxed);
    }

    /// Counts no more in it, but for what is on its way. Returns what [`Self::is_over`] takes.
    pub fn close(&self, index: u32) -> u32 {
        self.slot(index).identity.store(0, Ordering::Relaxed);
        self.closed.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Whether no program counts any more in what was closed then.
    #[must_use]
    pub fn is_over(&self, closed: u32) -> bool {
        self.over.load(Ordering::Acquire).wrapping_sub(closed).cast_signed() >= 0
    }

    /// Waits until no program counts in what is closed by now, which takes milliseconds: never on the sensor's thread.
    ///
    /// # Errors
    /// The kernel cannot wait for its programs (it has CPUs without a tick): no slot becomes free then.
    pub fn wait(&self) -> io::Result<()> {
        let closed = self.closed.load(Ordering::Acquire);
        if closed != self.over.load(Ordering::Relaxed) {
            membarrier(MembarrierCommand::Global)?;
            self.over.store(closed, Ordering::Release);
        }
        Ok(())
    }

    /// Gives what was counted since the last time, and notes it once `each` returned: a kill in between doubles it. Returns
    /// whether there was something.
    pub fn take(&self, index: u32, each: impl FnOnce(Repeated)) -> bool {
        let slot = self.slot(index);
        // The first of those that this look does not see is not before it.
        let (first_ns, count) = (slot.first_ns.swap(0, Ordering::AcqRel), slot.count.load(Ordering::Acquire));
        let new = count.wrapping_sub(slot.taken.load(Ordering::Relaxed));
        if new == 0 {
            return false;
        }
        let changes = slot.changes.load(Ordering::Relaxed);
        // Between two changes it is one process; that of before the first may be among them.
        let processes = changes.wrapping_sub(slot.changes_taken.load(Ordering::Relaxed)).saturating_add(1);
        let last_ns = slot.last_ns.load(Ordering::Relaxed).max(first_ns);
        let first_ns = if first_ns == 0 { last_ns } else { first_ns };
        each(Repeated {
            count: new,
            processes: processes.min(u32::try_from(new).unwrap_or(u32::MAX)),
            first_ns,
            last_ns,
        });
        slot.changes_taken.store(changes, Ordering::Relaxed);
        slot.taken.store(count, Ordering::Relaxed);
        true
    }

    /// Whether something was counted there that nobody has taken.
    #[must_use]
    pub fn has_new(&self, index: u32) -> bool {
        let slot = self.slot(index);
        slot.count.load(Ordering::Acquire) != slot.taken.load(Ordering::Relaxed)
    }

    /// Gives what nobody who opened it can tell any more.
    pub fn take_left(&self, mut is_free: impl FnMut(u32) -> bool, mut each: impl FnMut(Entry)) {
        for index in (0..REPEAT_SLOTS).filter(|index| is_free(*index)) {
            let key = self.slot(index).key.get();
            self.take(index, |repeated| each(Entry { key, count: repeated.count, overflow: false }));
        }
    }

    #[expect(clippy::cast_ptr_alignment, reason = "a mapping starts at a page")]
    fn slot(&self, index: u32) -> &SharedSlot {
        let index = index & (REPEAT_SLOTS - 1);
        // SAFETY: the mapping holds REPEAT_SLOTS aligned slots, a power of two, and all of a slot is atomic.
        unsafe { &*self.memory.as_mut_ptr().cast::<SharedSlot>().add(index as usize) }
    }
}

/// [`RepeatSlot`], of which the kernel's programs change a word at any time.
#[repr(C)]
struct SharedSlot {
    identity: AtomicU64,
    until_ns: AtomicU64,
    key: SharedKey,
    count: AtomicU64,
    taken: AtomicU64,
    first_ns: AtomicU64,
    last_ns: AtomicU64,
    tgid: AtomicU32,
    changes: AtomicU32,
    changes_taken: AtomicU32,
    reserved: AtomicU32,
}

const _: () = {
    assert!(size_of::<SharedSlot>() == size_of::<RepeatSlot>());
    assert!(std::mem::offset_of!(SharedSlot, until_ns) == std::mem::offset_of!(RepeatSlot, until_ns));
    assert!(std::mem::offset_of!(SharedSlot, key) == std::mem::offset_of!(RepeatSlot, key));
    assert!(std::mem::offset_of!(SharedSlot, count) == std::mem::offset_of!(RepeatSlot, count));
    assert!(std::mem::offset_of!(SharedSlot, taken) == std::mem::offset_of!(RepeatSlot, taken));
    assert!(std::mem::offset_of!(SharedSlot, first_ns) == std::mem::offset_of!(RepeatSlot, first_ns));
    assert!(std::mem::offset_of!(SharedSlot, last_ns) == std::mem::offset_of!(RepeatSlot, last_ns));
    assert!(std::mem::offset_of!(SharedSlot, tgid) == std::mem::offset_of!(RepeatSlot, tgid));
    assert!(std::mem::offset_of!(SharedSlot, changes) == std::mem::offset_of!(RepeatSlot, changes));
};

#[cfg(test)]
pub(crate) mod tests;
