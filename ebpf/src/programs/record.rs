//! Building a record in per-CPU scratch memory, counting it, and handing it to the ring.

use core::ffi::c_void;
use core::ptr::{read_volatile, write_volatile};

use aya_ebpf::bindings::BPF_RB_NO_WAKEUP;
use aya_ebpf::helpers::generated::{bpf_get_current_comm, bpf_probe_read_kernel_str};
use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_get_smp_processor_id, bpf_ktime_get_boot_ns};
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, PerCpuArray, RingBuf};
use inotrail_ebpf::{Counters, Header, OPEN_FLAGS_UNKNOWN, REQUESTED_MAX, STRINGS_MAX, confidence, program};

use super::filter::{self, Sieve};
use super::kernel::{self, at, load};
use super::ledger::account;
use super::repeats::is_repeat;

/// A name is read with up to 257 bytes at any masked offset, so the buffer goes on behind the mask's reach.
const SLACK: usize = 512;

/// Scratch of one program on one CPU. The record is its prefix: the header and as many string bytes as are used.
/// What the walk needs lives here and not in registers, so that every iteration looks the same to the verifier.
#[repr(C)]
pub(super) struct Scratch {
    pub(super) header: Header,
    pub(super) strings: [u8; STRINGS_MAX + SLACK],
    /// Used bytes of `strings`.
    pub(super) used: u64,
    pub(super) dentry: u64,
    pub(super) mount: u64,
    /// The mount's `mnt_root`.
    pub(super) root: u64,
    pub(super) retries: u64,
    pub(super) sieve: Sieve,
}

#[map]
static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(program::COUNT, 0);
#[map]
static EVENTS: RingBuf = RingBuf::with_byte_size(16 << 20, 0);
/// `BPF_F_MMAPABLE`; the loader sets the size: CPUs x programs.
#[map]
static COUNTERS: Array<Counters> = Array::with_max_entries(program::COUNT, 1 << 10);

/// The counters of this program on this CPU: nobody else writes them, so a plain increment is exact.
#[inline(always)]
fn counters(program: u32) -> Option<*mut Counters> {
    // SAFETY: no arguments, no preconditions.
    let cpu = unsafe { bpf_get_smp_processor_id() } as u32;
    COUNTERS.get_ptr_mut(cpu * program::COUNT + program)
}

/// Adds one to a counter of this program on this CPU.
#[inline(always)]
pub(super) fn count(program: u32, field: impl FnOnce(&mut Counters) -> &mut u64) {
    if let Some(counters) = counters(program) {
        // SAFETY: the map's value, which lives as long as the program; nobody else writes it.
        unsafe { *field(&mut *counters) += 1 };
    }
}

/// A program's scratch on this CPU.
#[inline(always)]
pub(super) fn scratch_of(program: u32) -> Option<*mut Scratch> {
    SCRATCH.get_ptr_mut(program)
}

/// This program's scratch with a header that says who the current task is; everything else is zeroed.
#[inline(always)]
pub(super) fn begin(program: u32, kind: u32, task: u64, cgroup_id: u64) -> Option<*mut Scratch> {
    let scratch = clear(program, kind, cgroup_id)?;
    // SAFETY: this program's scratch.
    unsafe { identify::<false>(scratch, task) };
    Some(scratch)
}

/// The same, without the task: [`identify`] is still to come.
#[inline(always)]
pub(super) fn clear(program: u32, kind: u32, cgroup_id: u64) -> Option<*mut Scratch> {
    let scratch = scratch_of(program)?;
    // SAFETY: `scratch` is this program's slot of the per-CPU map; the recursion guard keeps it ours until we return.
    unsafe {
        write_volatile(&raw mut (*scratch).used, 0);
        filter::pass(scratch);
        let header = &mut (*scratch).header;
        header.cgroup_id = cgroup_id;
        header.inode = 0;
        header.identity = 0;
        header.kind = kind;
        header.program = program;
        header.flags = 0;
        header.result = 0;
        header.mask = 0;
        header.open_flags = OPEN_FLAGS_UNKNOWN;
        header.device = 0;
        header.mode = 0;
        header.retries = 0;
        header.confidence = confidence::CONFIRMED;
        // All four lengths. Volatile, as below: the compiler would call a function that sets bytes.
        write_volatile((&raw mut header.requested_len).cast::<u64>(), 0);
    }
    Some(scratch)
}

/// Says who the current task is, and when this is.
#[inline(always)]
pub(super) unsafe fn identify<const TYPED: bool>(scratch: *mut Scratch, task: u64) {
    // SAFETY: the caller's scratch; `task` is as `TYPED` says.
    unsafe {
        let leader: u64 = load::<TYPED, _>(task, at!(task_group_leader));
        let parent: u64 = load::<TYPED, _>(task, at!(task_real_parent));
        let cred: u64 = load::<TYPED, _>(task, at!(task_real_cred));
        let header = &mut (*scratch).header;
        header.time_ns = bpf_ktime_get_boot_ns();
        header.process_start_ns = load::<TYPED, _>(leader, at!(task_start_boottime));
        header.cpu = bpf_get_smp_processor_id() as u32;
        header.tgid = load::<TYPED, _>(task, at!(task_tgid));
        header.tid = load::<TYPED, _>(task, at!(task_pid));
        header.ppid = load::<TYPED, _>(parent, at!(task_tgid));
        header.uid = load::<TYPED, _>(cred, at!(cred_uid));
        header.euid = load::<TYPED, _>(cred, at!(cred_euid));
        header.gid = load::<TYPED, _>(cred, at!(cred_gid));
        // Before 6.4 the helper leaves what is behind the name: here the last record's.
        let comm = header.comm.as_mut_ptr().cast::<u64>();
        write_volatile(comm, 0);
        write_volatile(comm.add(1), 0);
        bpf_get_current_comm(header.comm.as_mut_ptr().cast::<c_void>(), header.comm.len() as u32);
    }
}

/// The current task, as a number: every read of it is a probe read.
#[inline(always)]
pub(super) fn current() -> u64 {
    kernel::current::<false>()
}

/// The current task's thread group, by a helper: every access that nobody wants would pay for a probe read.
#[inline(always)]
pub(super) fn current_tgid() -> u32 {
    (bpf_get_current_pid_tgid() >> 32) as u32
}

/// Copies the kernel's NUL-ended string as the requested path. Call it before any other string is written.
#[inline(always)]
pub(super) fn requested_from_kernel(scratch: *mut Scratch, string: u64) {
    // SAFETY: the destination is the start of `strings`, which is longer than REQUESTED_MAX.
    unsafe {
        let copied = bpf_probe_read_kernel_str(
            (&raw mut (*scratch).strings).cast::<c_void>(),
            REQUESTED_MAX as u32,
            string as *const c_void,
        );
        set_requested(scratch, copied);
    }
}

/// Copies the kernel's NUL-ended string as the text of a symbolic link. Call it before any other string is written.
#[inline(always)]
pub(super) fn target_from_kernel(scratch: *mut Scratch, string: u64) {
    requested_from_kernel(scratch, string);
    // SAFETY: the caller's scratch.
    unsafe {
        (*scratch).header.target_len = (*scratch).header.requested_len;
        (*scratch).header.requested_len = 0;
    }
}

/// Takes the answer of a string helper, which counts the NUL, as the requested path's length; false on a fault.
#[inline(always)]
pub(super) unsafe fn set_requested(scratch: *mut Scratch, copied: i64) -> bool {
    let length = if copied > 0 { copied as u32 - 1 } else { 0 } & (REQUESTED_MAX as u32 - 1);
    // SAFETY: the caller's scratch.
    unsafe {
        (*scratch).header.requested_len = length as u16;
        write_volatile(&raw mut (*scratch).used, length as u64);
    }
    copied > 0
}

/// Numbers the record and gives it to the ring. The number goes up whether or not the record fits: a gap proves loss.
#[inline(always)]
pub(super) fn emit(scratch: *mut Scratch, program: u32) {
    if !output(scratch, program) {
        count(program, |counters| &mut counters.ring_full);
    }
}

/// Like [`emit`], for a record that is an access: one that the filter does not let pass is none, one that equals another that
/// was told just now is counted, and where the ring has no room it is counted in the ledger.
#[inline(always)]
pub(super) fn emit_access(scratch: *mut Scratch, program: u32) {
    // SAFETY: this program's scratch.
    if unsafe { filter::passes(scratch) } {
        emit_passed(scratch, program);
    } else {
        count(program, |counters| &mut counters.filtered);
    }
}

/// Like [`emit_access`], for one that the filter lets pass.
#[inline(always)]
pub(super) fn emit_passed(scratch: *mut Scratch, program: u32) {
    if is_repeat(scratch, program) {
        count(program, |counters| &mut counters.repeated);
        return;
    }
    if !output(scratch, program) {
        count(program, |counters| &mut counters.ring_full);
        // SAFETY: this program's scratch.
        unsafe { account(&(*scratch).header, program) };
    }
}

#[inline(always)]
fn output(scratch: *mut Scratch, program: u32) -> bool {
    let Some(counters) = counters(program) else { return false };
    // SAFETY: this program's counters and scratch; the length is bounded by the mask and so stays inside it.
    unsafe {
        // Every record is counted either way, and by this program alone on this CPU.
        (*scratch).header.sequence = (*counters).emitted + (*counters).ring_full + 1;
        let used = read_volatile(&raw const (*scratch).used) as usize & (STRINGS_MAX - 1);
        let record = core::slice::from_raw_parts(scratch.cast::<u8>(), size_of::<Header>() + used);
        if EVENTS.output::<[u8]>(record, u64::from(BPF_RB_NO_WAKEUP)).is_err() {
            return false;
        }
        (*counters).emitted += 1;
    }
    true
}
