//! `io_uring_complete`: opens that never pass a system call of their own. Only beside the `sys_exit` programs; the hook on
//! `inode_permission` sees these opens by itself.

use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use inotrail_ebpf::{flags, kind, mask, program};

use super::filter;
use super::kernel::{at, read};
use super::record::{begin, count, current, emit_access};
use super::scope::{cgroup_id, keeps, scope_of};
use super::sys_exit::{descriptor, opened};
use super::turn::yields;

/// include/uapi/linux/io_uring.h
const IORING_OP_OPENAT: u8 = 18;
const IORING_OP_OPENAT2: u8 = 28;

#[inline(always)]
fn complete(request: u64, result: i32) {
    let opcode: u8 = read(request, at!(io_opcode));
    if request == 0 || (opcode != IORING_OP_OPENAT && opcode != IORING_OP_OPENAT2) {
        return;
    }
    let task = current();
    let cgroup = cgroup_id(task);
    let scope = scope_of(cgroup, read(task, at!(task_tgid)));
    if !keeps(scope) {
        count(program::IO_URING, |counters| &mut counters.ignored);
        return;
    }
    if yields(program::IO_URING, false) {
        return;
    }
    // A slot other than 0 means a file without a descriptor (a fixed file): its path is not known.
    let slot: u32 = read(request + u64::from(at!(io_cmd)), at!(io_open_slot));
    let found = descriptor(task, result as u32);
    let Some(scratch) = begin(program::IO_URING, kind::ACCESS, task, cgroup) else { return };
    // SAFETY: this program's scratch.
    unsafe {
        filter::set(scratch, scope);
        let header = &mut (*scratch).header;
        header.flags = flags::IO_URING;
        header.mask = mask::OPEN;
        if result >= 0 && slot == 0 {
            opened(scratch, program::IO_URING, &found);
        } else {
            header.flags |= flags::PATH_UNKNOWN;
            header.result = if result < 0 { result } else { 0 };
        }
    }
    emit_access(scratch, program::IO_URING);
}

/// `(ctx, req, cqe)`: the result is in the completion entry.
#[raw_tracepoint(tracepoint = "io_uring_complete")]
pub(crate) fn io_uring_complete_cqe(ctx: RawTracePointContext) -> i32 {
    complete(ctx.arg(1), read(ctx.arg(2), at!(io_cqe_res)));
    0
}

/// `(ctx, req, user_data, res, ...)`: before.
#[raw_tracepoint(tracepoint = "io_uring_complete")]
pub(crate) fn io_uring_complete_result(ctx: RawTracePointContext) -> i32 {
    complete(ctx.arg(1), ctx.arg(3));
    0
}
