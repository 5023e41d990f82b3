//! Counting an access that the ring has no room for.

use core::intrinsics::{AtomicOrdering, atomic_xadd};
use core::ptr::{read_volatile, write_volatile};

use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, LruHashMap};
use inotrail_ebpf::{Header, LEDGER_PROBES, LEDGER_SLOTS, LedgerKey, LedgerSlot, OVERFLOW_SLOTS};

use super::record::count;
use super::scope::ledger_half;

const MMAPABLE: u32 = 1 << 10;
const BPF_NOEXIST: u64 = 1;
/// Tells the claims of the overflow from those of the ledger.
const OVERFLOW: u64 = 1 << 63;

#[map]
static LEDGER: Array<LedgerSlot> = Array::with_max_entries(2 * LEDGER_SLOTS, MMAPABLE);
#[map(name = "OVERFLOW")]
static OVERFLOWS: Array<LedgerSlot> = Array::with_max_entries(2 * OVERFLOW_SLOTS, MMAPABLE);
/// The instruction set that every kernel takes has no compare-and-swap; inserting a new key is one. Only asked while a slot
/// is free, so that it does not matter when an old claim is evicted.
#[map]
static CLAIMS: LruHashMap<u64, u32> = LruHashMap::with_max_entries(4 * (LEDGER_SLOTS + OVERFLOW_SLOTS), 0);

/// Counts the access in the ledger, else for its cgroup, else nowhere: then `ring_full` alone tells of it.
#[inline(always)]
pub(super) fn account(header: &Header, program: u32) {
    let half = ledger_half();
    let key = LedgerKey::of(header);
    if add(&LEDGER, LEDGER_SLOTS, half, 0, &key) {
        count(program, |counters| &mut counters.ledger);
        return;
    }
    let key = LedgerKey { cgroup_id: header.cgroup_id, inode: 0, device: 0, mask: 0, result: 0, kind: 0 };
    if add(&OVERFLOWS, OVERFLOW_SLOTS, half, OVERFLOW, &key) {
        count(program, |counters| &mut counters.overflow);
    }
}

/// Adds one to the key's slot; false where none is left. A key may come to own two slots: the reader adds them up.
#[inline(always)]
fn add(table: &Array<LedgerSlot>, slots: u32, half: u32, claims: u64, key: &LedgerKey) -> bool {
    let check = key.check();
    for probe in 0..LEDGER_PROBES {
        let index = (half & 1) * slots + (check.wrapping_add(probe) & (slots - 1));
        let Some(slot) = table.get_ptr_mut(index) else { return false };
        // SAFETY: the map's value; the key is written by the one that claimed the slot, and `check` last.
        unsafe {
            let found = read_volatile(&raw const (*slot).check);
            if found == 0 {
                let claim = claims | u64::from(half) << 32 | u64::from(index);
                if CLAIMS.insert(&claim, &1, BPF_NOEXIST).is_err() {
                    continue;
                }
                write_volatile(&raw mut (*slot).key, *key);
                write_volatile(&raw mut (*slot).check, check);
            } else if found != check || !same(&raw const (*slot).key, key) {
                continue;
            }
            atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(&raw mut (*slot).count, 1);
        }
        return true;
    }
    false
}

#[inline(always)]
unsafe fn same(slot: *const LedgerKey, key: &LedgerKey) -> bool {
    // SAFETY: the caller's slot.
    unsafe {
        read_volatile(&raw const (*slot).inode) == key.inode
            && read_volatile(&raw const (*slot).cgroup_id) == key.cgroup_id
            && read_volatile(&raw const (*slot).device) == key.device
            && read_volatile(&raw const (*slot).mask) == key.mask
            && read_volatile(&raw const (*slot).result) == key.result
            && read_volatile(&raw const (*slot).kind) == key.kind
    }
}
