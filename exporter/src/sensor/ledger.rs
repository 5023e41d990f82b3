//! Accesses that the ring had no room for, as the programs counted them: read, and their slots freed, in mapped memory.
//!
//! Everything that is known is in the maps: a run that maps them again goes on where the last one was killed.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};

use aya::maps::Map;
use inotrail_ebpf::{Control, LEDGER_SLOTS, LedgerKey, LedgerSlot, OVERFLOW_SLOTS};
use memmap2::MmapRaw;
use rustix::thread::{MembarrierCommand, membarrier};

use super::memory::map_raw;

/// The ledger, and the table by cgroup alone for what that had no room for.
#[derive(Debug)]
pub struct Ledger {
    tables: [Table; 2],
    control: MmapRaw,
    /// No program writes to the half that is not in use: it may be freed.
    retired: AtomicBool,
}

/// Accesses of one key that were not taken before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What they have in common; of an overflow only the cgroup, which is 0 where not even that is known.
    pub key: LedgerKey,
    /// How many; never 0. A key may come twice.
    pub count: u64,
    /// Only the cgroup is known.
    pub overflow: bool,
}

/// Of a half, in percent, from when on the other one takes over.
const FULL: u32 = 50;

impl Ledger {
    pub(super) fn new(ledger: &Map, overflow: &Map, control: &Map) -> io::Result<Self> {
        let map = |map, slots: u32| map_raw(map, 2 * slots as usize * size_of::<LedgerSlot>());
        let memory = [map(ledger, LEDGER_SLOTS)?, map(overflow, OVERFLOW_SLOTS)?];
        Ok(Self::of(memory, map_raw(control, size_of::<Control>())?))
    }

    fn of([ledger, overflow]: [MmapRaw; 2], control: MmapRaw) -> Self {
        let tables = [
            Table { memory: ledger, slots: LEDGER_SLOTS, overflow: false },
            Table { memory: overflow, slots: OVERFLOW_SLOTS, overflow: true },
        ];
        Self { tables, control, retired: AtomicBool::new(false) }
    }

    /// Gives what was counted since the last time, and notes it in the maps once `each` returned: a kill in between doubles
    /// one entry at most. One thread takes, the sensor's.
    pub fn take(&self, mut each: impl FnMut(Entry)) {
        let retired = self.retired.load(Ordering::Acquire).then(|| self.idle());
        for table in &self.tables {
            for half in 0..2 {
                for slot in table.half(half) {
                    slot.take(table.overflow, retired == Some(half), &mut each);
                }
            }
        }
        if retired.is_some() {
            self.retired.store(false, Ordering::Release);
        }
    }

    /// Slots in use of the half that is written to, in percent, of the fuller table.
    #[must_use]
    pub fn fill(&self) -> u32 {
        let half = self.half().load(Ordering::Relaxed) & 1;
        let percent = |table: &Table| table.used(half) * 100 / table.slots;
        self.tables.iter().map(percent).max().unwrap_or(0)
    }

    /// Lets the programs go on in the other half once this one is half full. The next [`Self::take`] frees it.
    ///
    /// Waits until no program writes to it any more, which takes milliseconds: never on the sensor's thread.
    ///
    /// # Errors
    /// The kernel cannot wait for its programs (it has CPUs without a tick): no half is freed then, and the overflow counts.
    pub fn flip(&self) -> io::Result<()> {
        self.flip_after(|| Ok(membarrier(MembarrierCommand::Global)?))
    }

    fn flip_after(&self, grace: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        if self.retired.load(Ordering::Acquire) {
            return Ok(());
        }
        let idle = self.idle();
        // Not empty: it was left when a run was killed, or when waiting failed.
        if self.tables.iter().all(|table| table.used(idle) == 0) {
            if self.fill() < FULL {
                return Ok(());
            }
            self.half().fetch_add(1, Ordering::Release);
        }
        grace()?;
        self.retired.store(true, Ordering::Release);
        Ok(())
    }

    /// The half that is not written to.
    fn idle(&self) -> u32 {
        self.half().load(Ordering::Relaxed) & 1 ^ 1
    }

    #[expect(clippy::cast_ptr_alignment, reason = "a mapping starts at a page")]
    fn half(&self) -> &AtomicU32 {
        // SAFETY: the mapping holds one aligned Control and lives as long as `self`; the field is only used as a whole.
        unsafe { AtomicU32::from_ptr(&raw mut (*self.control.as_mut_ptr().cast::<Control>()).ledger_half) }
    }
}

#[derive(Debug)]
struct Table {
    memory: MmapRaw,
    /// Of one half.
    slots: u32,
    overflow: bool,
}

impl Table {
    fn half(&self, half: u32) -> impl Iterator<Item = Slot<'_>> {
        (0..self.slots).map(move |index| self.slot(half, index))
    }

    #[expect(clippy::cast_ptr_alignment, reason = "a mapping starts at a page")]
    fn slot(&self, half: u32, index: u32) -> Slot<'_> {
        let index = (half & 1) * self.slots + (index & (self.slots - 1));
        // SAFETY: the mapping holds 2 * slots aligned slots, slots is a power of two, and all of a slot is atomic.
        Slot(unsafe { &*self.memory.as_mut_ptr().cast::<SharedSlot>().add(index as usize) })
    }

    fn used(&self, half: u32) -> u32 {
        self.half(half).map(|slot| u32::from(slot.0.check.load(Ordering::Relaxed) != 0)).sum()
    }
}

/// [`LedgerSlot`], of which the kernel's programs change any word at any time.
#[repr(C)]
struct SharedSlot {
    key: SharedKey,
    count: AtomicU64,
    taken: AtomicU64,
    check: AtomicU32,
    reserved: AtomicU32,
}

const _: () = {
    assert!(size_of::<SharedSlot>() == size_of::<LedgerSlot>());
    assert!(std::mem::offset_of!(SharedSlot, key) == std::mem::offset_of!(LedgerSlot, key));
    assert!(std::mem::offset_of!(SharedSlot, count) == std::mem::offset_of!(LedgerSlot, count));
    assert!(std::mem::offset_of!(SharedSlot, taken) == std::mem::offset_of!(LedgerSlot, taken));
    assert!(std::mem::offset_of!(SharedSlot, check) == std::mem::offset_of!(LedgerSlot, check));
};

/// [`LedgerKey`], as it is in mapped memory.
#[repr(C)]
pub(super) struct SharedKey {
    cgroup_id: AtomicU64,
    inode: AtomicU64,
    device: AtomicU32,
    mask: AtomicU32,
    result: AtomicI32,
    kind: AtomicU32,
}

const _: () = {
    assert!(size_of::<SharedKey>() == size_of::<LedgerKey>());
    assert!(std::mem::offset_of!(SharedKey, inode) == std::mem::offset_of!(LedgerKey, inode));
    assert!(std::mem::offset_of!(SharedKey, device) == std::mem::offset_of!(LedgerKey, device));
    assert!(std::mem::offset_of!(SharedKey, mask) == std::mem::offset_of!(LedgerKey, mask));
    assert!(std::mem::offset_of!(SharedKey, result) == std::mem::offset_of!(LedgerKey, result));
    assert!(std::mem::offset_of!(SharedKey, kind) == std::mem::offset_of!(LedgerKey, kind));
};

impl SharedKey {
    pub(super) fn get(&self) -> LedgerKey {
        LedgerKey {
            cgroup_id: self.cgroup_id.load(Ordering::Relaxed),
            inode: self.inode.load(Ordering::Relaxed),
            device: self.device.load(Ordering::Relaxed),
            mask: self.mask.load(Ordering::Relaxed),
            result: self.result.load(Ordering::Relaxed),
            kind: self.kind.load(Ordering::Relaxed),
        }
    }

    pub(super) fn set(&self, key: &LedgerKey) {
        self.cgroup_id.store(key.cgroup_id, Ordering::Relaxed);
        self.inode.store(key.inode, Ordering::Relaxed);
        self.device.store(key.device, Ordering::Relaxed);
        self.mask.store(key.mask, Ordering::Relaxed);
        self.result.store(key.result, Ordering::Relaxed);
        self.kind.store(key.kind, Ordering::Relaxed);
    }
}

#[derive(Clone, Copy)]
struct Slot<'a>(&'a SharedSlot);

impl Slot<'_> {
    fn take(self, overflow: bool, retired: bool, each: &mut impl FnMut(Entry)) {
        let check = self.0.check.load(Ordering::Acquire);
        if check == 0 {
            return;
        }
        let key = self.0.key.get();
        let valid = key.check() == check;
        // While the key is being written the slot can wait. Once its half is retired it is what it is.
        if !valid && !retired {
            return;
        }
        let count = self.0.count.load(Ordering::Relaxed);
        let new = count.wrapping_sub(self.0.taken.load(Ordering::Relaxed));
        if new > 0 {
            let key = if valid { key } else { LedgerKey::default() };
            each(Entry { key, count: new, overflow: overflow || !valid });
            self.0.taken.store(count, Ordering::Relaxed);
        }
        if retired {
            // The counts stay: only their difference matters, and one store cannot be torn by a kill.
            self.0.check.store(0, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests;
