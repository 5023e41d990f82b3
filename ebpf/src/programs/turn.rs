//! Who reports an access while one program takes over from another: exactly one of the two.
//!
//! At the entry of a function the new program runs first (kprobe before fexit, and of two of a kind the one that was
//! attached last), on a tracepoint the old one. Whichever runs first reports and leaves a mark for the thread; the
//! second takes the mark away, or reports where there is none.

use core::ptr::read_volatile;

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_boot_ns};
use aya_ebpf::macros::map;
use aya_ebpf::maps::HashMap;
use inotrail_ebpf::role;

use super::kernel::constant;
use super::record::count;
use super::scope::control;

/// Set by the loader.
#[unsafe(no_mangle)]
static INSTANCE: u32 = 0;

/// One entry per thread that opened something during the handover.
#[map]
static MARKS: HashMap<u64, u64> = HashMap::with_max_entries(16384, 0);

/// Whether this program is to leave the access to the other one.
#[inline(always)]
pub(super) fn yields(program: u32, is_kprobe: bool) -> bool {
    let Some(control) = control() else { return true };
    let own = role(constant(&INSTANCE), is_kprobe);
    // SAFETY: one number of the map's value, which user space changes.
    let turn = unsafe { read_volatile(&raw const (*control).turn) };
    let (first, second) = (turn as u32, (turn >> 32) as u32);
    if (first == own && second == 0) || first == 0 {
        return false;
    }
    // SAFETY: as above.
    let yields = unsafe { handover(program, own, first, second, read_volatile(&raw const (*control).since_ns)) };
    if yields {
        count(program, |counters| &mut counters.yielded);
    }
    yields
}

#[inline(always)]
unsafe fn handover(program: u32, own: u32, first: u32, second: u32, since_ns: u64) -> bool {
    let thread = bpf_get_current_pid_tgid();
    if own == first {
        // SAFETY: no arguments, no preconditions.
        let now = unsafe { bpf_ktime_get_boot_ns() };
        if MARKS.insert(&thread, &now, 0).is_err() {
            count(program, |counters| &mut counters.unmarked);
        }
        return false;
    }
    // A program that is attached and not asked yet takes marks away as well: none may be left when its turn comes.
    // SAFETY: the value is copied at once; only this thread touches its entry.
    let marked = match unsafe { MARKS.get(&thread) } {
        Some(marked) if *marked >= since_ns => MARKS.remove(&thread).is_ok(),
        _ => false,
    };
    own != second || marked
}
