//! The programs, one file per hook, and what they share.

mod cgroup;
mod filter;
mod gate;
mod inode_permission;
mod io_uring;
mod kernel;
mod ledger;
mod mutation;
mod process;
mod record;
mod repeats;
mod scope;
mod sys_exit;
mod syscall;
mod turn;
mod walk;

/// Probe reads are given to GPL-compatible programs only.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

/// A reachable panic is a loop without end, which the verifier refuses: no program that can panic ever loads.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
