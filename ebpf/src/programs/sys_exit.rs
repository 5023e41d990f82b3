//! `sys_exit`: opens seen by the descriptor they return, where neither fexit nor kprobe can be had.
//!
//! Everything is read when the call returns, registers included, so nothing is kept between two hooks. The descriptor is
//! looked up before anything else: another thread may replace it at any moment, and a process whose descriptor table
//! is shared gets its events marked as unconfirmed.

use core::ffi::c_void;
use core::ptr::read_volatile;

use aya_ebpf::helpers::generated::{bpf_get_current_task_btf, bpf_probe_read_user, bpf_probe_read_user_str};
use aya_ebpf::macros::{btf_tracepoint, raw_tracepoint};
use aya_ebpf::programs::{BtfTracePointContext, RawTracePointContext};
use inotrail_ebpf::{REQUESTED_MAX, confidence, flags, kind, mask, program};

use super::filter;
use super::gate;
use super::kernel::{at, read};
use super::record::{Scratch, begin, count, current, emit_access, set_requested};
use super::scope::{current_cgroup_id, keeps, scope_of_current};
use super::syscall::{COMPAT_BIT, Call, Number, compat, native};
use super::turn::yields;
use super::walk::walk;

const O_CREAT: u32 = 0o100;
const O_WRONLY: u32 = 0o1;
const O_RDWR: u32 = 0o2;
const O_TRUNC: u32 = 0o1000;
const O_APPEND: u32 = 0o2000;
const O_PATH: u32 = 0o10_000_000;
/// `__O_TMPFILE`
const O_TMPFILE: u32 = 0o20_000_000;
/// include/uapi/linux/openat2.h
const RESOLVE_IN_ROOT: u64 = 0x10;
/// `FMODE_CREATED` (include/linux/fs.h)
const FMODE_CREATED: u32 = 1 << 20;
const AT_FDCWD: i32 = -100;
/// Results from -ERESTARTSYS to -ERESTART_RESTARTBLOCK never reach user space: the call is made again.
const RESTARTS: core::ops::RangeInclusive<i64> = -516..=-512;

/// Same in all programs that find a file by its descriptor.
pub(super) struct Descriptor {
    /// `struct file *`, 0 where the descriptor is gone.
    pub(super) file: u64,
    /// How many tasks share the table.
    pub(super) sharers: u32,
}

/// Looks a descriptor of the current task up.
#[inline(always)]
pub(super) fn descriptor(task: u64, number: u32) -> Descriptor {
    let files: u64 = read(task, at!(task_files));
    let table: u64 = read(files, at!(files_fdt));
    if number >= read::<u32>(table, at!(fdtable_max)) {
        return Descriptor { file: 0, sharers: 0 };
    }
    let array: u64 = read(table, at!(fdtable_fd));
    Descriptor { file: read(array + 8 * u64::from(number), 0), sharers: read(files, at!(files_count)) }
}

/// Fills in what the open file tells, and its path.
#[inline(always)]
pub(super) unsafe fn opened(scratch: *mut Scratch, program: u32, found: &Descriptor) {
    // SAFETY: the caller's scratch.
    unsafe {
        let header = &mut (*scratch).header;
        if found.file == 0 {
            header.confidence = confidence::DESCRIPTOR_GONE;
            header.flags |= flags::PATH_UNKNOWN;
            count(program, |counters| &mut counters.descriptor_gone);
            return;
        }
        if found.sharers > 1 {
            header.confidence = confidence::UNCONFIRMED;
        }
        header.open_flags = read(found.file, at!(file_flags));
        header.mask = asked(header.open_flags);
        if read::<u32>(found.file, at!(file_mode)) & FMODE_CREATED != 0 || header.open_flags & O_TMPFILE != 0 {
            header.mask |= mask::CREATED;
        }
        if header.open_flags & O_PATH != 0 {
            header.mask = mask::OPEN;
            header.flags |= flags::O_PATH;
        }
        file(scratch, program, found.file);
    }
}

/// Identity and path of a `struct file`.
#[inline(always)]
pub(super) unsafe fn file(scratch: *mut Scratch, program: u32, file: u64) {
    // SAFETY: the caller's scratch.
    unsafe {
        let inode: u64 = read(file, at!(file_inode));
        let header = &mut (*scratch).header;
        header.inode = read(inode, at!(inode_ino));
        header.mode = read(inode, at!(inode_mode));
        header.device = read(read(inode, at!(inode_sb)), at!(sb_dev));
        if read::<u32>(inode, at!(inode_nlink)) == 0 {
            header.flags |= flags::UNLINKED;
        }
        let path = file + u64::from(at!(file_path));
        walk(scratch, program, read(path, at!(path_mnt)), read(path, at!(path_dentry)));
    }
}

/// The permission mask of open flags, as `build_open_flags` (fs/open.c) makes it.
#[inline(always)]
fn asked(open_flags: u32) -> u32 {
    let mode = match open_flags & (O_WRONLY | O_RDWR) {
        0 => mask::READ,
        O_WRONLY => mask::WRITE,
        _ => mask::READ | mask::WRITE,
    };
    mask::OPEN | mode | if open_flags & O_APPEND != 0 { mask::APPEND } else { 0 }
}

/// The first three arguments of a call.
struct Arguments(u64, u64, u64);

#[inline(always)]
fn arguments(registers: u64, is_compat: bool) -> Arguments {
    if is_compat {
        // Only the low half of a register is a 32-bit caller's.
        let read = |offset| u64::from(read::<u32>(registers, offset));
        return Arguments(read(at!(regs_compat0)), read(at!(regs_compat1)), read(at!(regs_compat2)));
    }
    Arguments(read(registers, at!(regs_arg0)), read(registers, at!(regs_arg1)), read(registers, at!(regs_arg2)))
}

#[inline(always)]
fn exit(registers: u64, number: Number, result: i64, status: impl FnOnce() -> u32) {
    let number = number as u64;
    let (as_native, as_compat) = (native(number), compat(number));
    if as_native == Call::None && as_compat == Call::None {
        return;
    }
    let is_compat = status() & COMPAT_BIT != 0;
    let call = if is_compat { as_compat } else { as_native };
    // A successful exec is told by sched_process_exec: here the caller's memory is gone already.
    if call == Call::None || (result >= 0 && call.is_exec()) || RESTARTS.contains(&result) {
        return;
    }
    let Some(cgroup) = gate::turns_away(program::SYS_EXIT) else { return };
    let cgroup = current_cgroup_id(cgroup);
    let scope = scope_of_current(program::SYS_EXIT, cgroup);
    if !keeps(scope) {
        count(program::SYS_EXIT, |counters| &mut counters.ignored);
        return;
    }
    let task = current();
    if yields(program::SYS_EXIT, false) {
        return;
    }
    let found = if result >= 0 { descriptor(task, result as u32) } else { Descriptor { file: 0, sharers: 0 } };
    let Some(scratch) = begin(program::SYS_EXIT, kind::ACCESS, task, cgroup) else { return };
    let arguments = arguments(registers, is_compat);
    // SAFETY: this program's scratch.
    unsafe {
        filter::set(scratch, scope);
        if is_compat {
            (*scratch).header.flags |= flags::COMPAT;
        }
        requested_from_user(scratch, call, &arguments);
        if result >= 0 {
            opened(scratch, program::SYS_EXIT, &found);
        } else {
            (*scratch).header.result = result as i32;
            refused(scratch, task, call, &arguments);
        }
    }
    emit_access(scratch, program::SYS_EXIT);
}

/// Copies the requested path out of the caller's memory, which the caller may have changed since.
#[inline(always)]
unsafe fn requested_from_user(scratch: *mut Scratch, call: Call, arguments: &Arguments) {
    if call == Call::Handle {
        return;
    }
    let pointer = if call.has_directory() { arguments.1 } else { arguments.0 };
    // SAFETY: the destination is the start of `strings`, which is longer than REQUESTED_MAX.
    unsafe {
        let copied = bpf_probe_read_user_str(
            (&raw mut (*scratch).strings).cast::<c_void>(),
            REQUESTED_MAX as u32,
            pointer as *const c_void,
        );
        if !set_requested(scratch, copied) {
            (*scratch).header.flags |= flags::UNREADABLE;
            count(program::SYS_EXIT, |counters| &mut counters.unreadable);
        }
    }
}

/// What was asked of a file that was not opened, and the directory where the request starts.
#[inline(always)]
unsafe fn refused(scratch: *mut Scratch, task: u64, call: Call, arguments: &Arguments) {
    // SAFETY: the caller's scratch.
    unsafe {
        let header = &mut (*scratch).header;
        header.confidence = confidence::REQUESTED;
        if call.is_exec() {
            header.mask = mask::OPEN | mask::EXEC;
        } else {
            header.open_flags = match call {
                Call::Open => arguments.1 as u32,
                Call::Creat => O_CREAT | O_WRONLY | O_TRUNC,
                Call::OpenAt2 => open_how(arguments.2, 0) as u32,
                _ => arguments.2 as u32,
            };
            header.mask = asked(header.open_flags);
        }
        if call == Call::Handle || header.flags & flags::UNREADABLE != 0 {
            header.flags |= flags::PATH_UNKNOWN;
            return;
        }
        header.flags |= flags::BASE;
        // Inside of a root of its own, an absolute path starts at the directory.
        let in_root = call == Call::OpenAt2 && open_how(arguments.2, 16) & RESOLVE_IN_ROOT != 0;
        let absolute =
            !in_root && header.requested_len > 0 && read_volatile((&raw const (*scratch).strings).cast::<u8>()) == b'/';
        let fs: u64 = read(task, at!(task_fs));
        let mut base = fs + u64::from(if absolute { at!(fs_root) } else { at!(fs_pwd) });
        if !absolute && call.has_directory() && arguments.0 as i32 != AT_FDCWD {
            let directory = descriptor(task, arguments.0 as u32).file;
            if directory == 0 {
                header.flags ^= flags::BASE | flags::PATH_UNKNOWN;
                return;
            }
            base = directory + u64::from(at!(file_path));
        }
        walk(scratch, program::SYS_EXIT, read(base, at!(path_mnt)), read(base, at!(path_dentry)));
    }
}

/// A field of `open_how` (include/uapi/linux/openat2.h): `flags` at 0, of which the low half holds all there are, or
/// `resolve` at 16.
#[inline(always)]
unsafe fn open_how(how: u64, offset: u64) -> u64 {
    let mut field = 0u64;
    // SAFETY: eight bytes into a local.
    unsafe { bpf_probe_read_user((&raw mut field).cast::<c_void>(), 8, how.wrapping_add(offset) as *const c_void) };
    field
}

/// Works everywhere; the call's number and whether it is a 32-bit one cost a probe read each.
#[raw_tracepoint(tracepoint = "sys_exit")]
pub(crate) fn sys_exit_raw(ctx: RawTracePointContext) -> i32 {
    let registers: u64 = ctx.arg(0);
    exit(registers, read(registers, at!(regs_number)), ctx.arg(1), || read(current(), at!(task_compat)));
    0
}

/// Its twin with typed arguments, where both are plain loads: every system call of the node pays for the first.
#[btf_tracepoint(function = "sys_exit")]
pub(crate) fn sys_exit_btf(ctx: BtfTracePointContext) -> i32 {
    let registers: u64 = ctx.arg(0);
    // SAFETY: the verifier knows the argument as a trusted pointer to pt_regs and checks the offset.
    let number = unsafe { read_volatile((registers + u64::from(at!(regs_number))) as *const Number) };
    let status = || {
        // SAFETY: no arguments; the verifier knows the answer as a task and checks the offset.
        unsafe { read_volatile((bpf_get_current_task_btf() as u64 + u64::from(at!(task_compat))) as *const u32) }
    };
    exit(registers, number, ctx.arg(1), status);
    0
}
