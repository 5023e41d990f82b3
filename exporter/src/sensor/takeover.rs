//! One program takes over from another while accesses go on: each access is reported by exactly one of them. The kernel's
//! half is in ebpf/src/programs/turn.rs.

use std::thread;
use std::time::Duration;

use inotrail_ebpf::NOBODY;
use rustix::thread::{MembarrierCommand, membarrier};
use rustix::time::{ClockId, clock_gettime};

use super::memory::ControlMap;

/// Which of two programs runs first in a call that both are hooked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    /// The one that is attached last: kprobe before fexit, and of two of a kind the later one (the kernel puts it at the head
    /// of its list: `add_new_kprobe` in kernel/kprobes.c, `__bpf_trampoline_link_prog` in kernel/bpf/trampoline.c).
    New,
    /// The one that was there before: fexit after kprobe, and on a tracepoint (`func_add` in kernel/tracepoint.c).
    Old,
}

/// Attaches the new programs, lets them take over, and detaches the old ones. The roles are those of
/// [`inotrail_ebpf::role`]. If the new ones do not attach, the old ones go on.
///
/// # Errors
/// Those of `attach`.
pub(super) fn take_over<T, E>(
    control: &ControlMap,
    (old, new): (u32, u32),
    first: First,
    attach: impl FnOnce() -> Result<T, E>,
    detach: impl FnOnce(),
) -> Result<T, E> {
    let attached = match first {
        First::New => {
            // Nobody has left marks since then, so the old one goes on reporting.
            control.set_since(boot_ns());
            control.set_turn(new, old);
            grace();
            attach()
        }
        First::Old => {
            control.set_since(u64::MAX);
            grace();
            control.set_turn(old, NOBODY);
            grace();
            attach().inspect(|_| {
                grace();
                // In every call from now on the old one leaves a mark and the new one takes it away.
                control.set_since(boot_ns());
                grace();
                control.set_turn(old, new);
            })
        }
    };
    if attached.is_err() {
        control.set_turn(old, 0);
        return attached;
    }
    grace();
    detach();
    grace();
    control.set_turn(new, 0);
    attached
}

/// `CLOCK_BOOTTIME`, nanoseconds.
pub(crate) fn boot_ns() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// Waits until no CPU runs a program that has begun before.
pub(super) fn grace() {
    // This is `synchronize_rcu()`, and programs run inside of RCU read sections. Kernels with nohz_full refuse it.
    if membarrier(MembarrierCommand::Global).is_err() {
        thread::sleep(Duration::from_millis(500));
    }
}
