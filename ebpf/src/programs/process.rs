//! `sched_process_exec`, `_fork` and `_exit`: who runs what.

use core::ffi::c_void;
use core::ptr::{read_volatile, write_volatile};

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::helpers::generated::bpf_probe_read_user;
use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use inotrail_ebpf::{ABSENT, ARGUMENTS_MAX, REQUESTED_MAX, kind, mask, program};

use super::kernel::{at, read};
use super::record::{Scratch, begin, emit, emit_access, requested_from_kernel};
use super::scope::{cgroup_id, exec_is_access, knows, scope_of, set_caller};
use super::sys_exit::file;
use super::turn::yields;

/// `MAX_PID_NS_LEVEL` (include/linux/pid_namespace.h).
const PID_LEVEL_MAX: u32 = 32;

/// `(task, old_pid, bprm)`: the new program is in place and has not run yet.
#[raw_tracepoint(tracepoint = "sched_process_exec")]
pub(crate) fn process_exec(ctx: RawTracePointContext) -> i32 {
    let (task, bprm): (u64, u64) = (ctx.arg(0), ctx.arg(2));
    let cgroup = cgroup_id(task);
    if !knows(scope_of(cgroup, read(task, at!(task_tgid)))) {
        return 0;
    }
    let is_access = exec_is_access();
    // Beside another hook this record only names the process, and may come twice.
    if is_access && yields(program::PROCESS_EXEC, false) {
        return 0;
    }
    let Some(scratch) = begin(program::PROCESS_EXEC, kind::EXEC, task, cgroup) else { return 0 };
    let mm: u64 = read(task, at!(task_mm));
    // SAFETY: this program's scratch.
    unsafe {
        (*scratch).header.mask = mask::OPEN | mask::EXEC;
        requested_from_kernel(scratch, read(bprm, at!(bprm_filename)));
        arguments(scratch, read(mm, at!(mm_arg_start)), read(mm, at!(mm_arg_end)));
        file(scratch, program::PROCESS_EXEC, read(mm, at!(mm_exe_file)));
    }
    if is_access {
        emit_access(scratch, program::PROCESS_EXEC);
    } else {
        emit(scratch, program::PROCESS_EXEC);
    }
    0
}

/// Copies the start of the argument list behind the requested path.
#[inline(always)]
unsafe fn arguments(scratch: *mut Scratch, start: u64, end: u64) {
    let all = end.wrapping_sub(start);
    let length = if all < ARGUMENTS_MAX as u64 { all as u32 } else { ARGUMENTS_MAX as u32 - 1 };
    let length = length & (ARGUMENTS_MAX as u32 - 1);
    // SAFETY: the requested path is shorter than REQUESTED_MAX, and the buffer has room for the arguments behind it.
    unsafe {
        let used = read_volatile(&raw const (*scratch).used) as usize & (REQUESTED_MAX - 1);
        let target = (&raw mut (*scratch).strings).cast::<u8>().add(used);
        if bpf_probe_read_user(target.cast::<c_void>(), length, start as *const c_void) == 0 {
            (*scratch).header.arguments_len = length as u16;
            write_volatile(&raw mut (*scratch).used, (used + length as usize) as u64);
        }
    }
}

/// `(parent, child)`
#[raw_tracepoint(tracepoint = "sched_process_fork")]
pub(crate) fn process_fork(ctx: RawTracePointContext) -> i32 {
    let (parent, child): (u64, u64) = (ctx.arg(0), ctx.arg(1));
    let (tid, tgid): (u32, u32) = (read(child, at!(task_pid)), read(child, at!(task_tgid)));
    // A new thread has its parent's tgid.
    if tid != tgid {
        return 0;
    }
    let cgroup = cgroup_id(parent);
    let parent_tgid: u32 = read(parent, at!(task_tgid));
    if !knows(scope_of(cgroup, parent_tgid)) {
        return 0;
    }
    let Some(scratch) = begin(program::PROCESS_FORK, kind::FORK, parent, cgroup) else { return 0 };
    // SAFETY: this program's scratch.
    unsafe {
        let header = &mut (*scratch).header;
        header.tid = tid;
        header.tgid = tgid;
        header.ppid = parent_tgid;
        header.process_start_ns = read(child, at!(task_start_boottime));
        header.device = namespace_pid(child);
    }
    emit(scratch, program::PROCESS_FORK);
    0
}

/// A process's id in its own PID namespace, the innermost of those that number it; 0 where it cannot be told.
#[inline(always)]
fn namespace_pid(task: u64) -> u32 {
    if at!(task_thread_pid) == ABSENT {
        return 0;
    }
    let pid: u64 = read(task, at!(task_thread_pid));
    let level: u32 = read(pid, at!(pid_level));
    if level > PID_LEVEL_MAX {
        return 0;
    }
    read(pid, at!(pid_numbers) + level * at!(upid_size) + at!(upid_nr))
}

/// `(task)`. `live` is counted down before this hook, so of two threads that end at once both may find it 0.
#[raw_tracepoint(tracepoint = "sched_process_exit")]
pub(crate) fn process_exit(ctx: RawTracePointContext) -> i32 {
    let task: u64 = ctx.arg(0);
    if read::<u32>(read(task, at!(task_signal)), at!(signal_live)) != 0 {
        return 0;
    }
    let cgroup = cgroup_id(task);
    if !knows(scope_of(cgroup, read(task, at!(task_tgid)))) {
        return 0;
    }
    let Some(scratch) = begin(program::PROCESS_EXIT, kind::EXIT, task, cgroup) else { return 0 };
    // SAFETY: this program's scratch.
    unsafe { (*scratch).header.result = read(task, at!(task_exit_code)) };
    emit(scratch, program::PROCESS_EXIT);
    0
}

/// Never attached, only called: tells the caller's thread group as the kernel numbers it, which nothing else does from
/// inside a PID namespace.
#[raw_tracepoint]
pub(crate) fn whoami(_ctx: RawTracePointContext) -> i32 {
    set_caller((bpf_get_current_pid_tgid() >> 32) as u32);
    0
}
