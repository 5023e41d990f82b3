//! `inode_permission` (fs/namei.c): the one check that every open passes on its way, by whatever system call.
//!
//! At the call from `may_open`, `current->nameidata->path` is the finished lookup: the very dentry and mount, with
//! references held. A call for any other inode is internal (overlayfs asking its lower file system, exec's second
//! look) and not an access of its own.

use core::arch::asm;
use core::ffi::c_void;
use core::ptr::{read_volatile, write_volatile};

use aya_ebpf::EbpfContext as _;
use aya_ebpf::macros::{fexit, kprobe};
use aya_ebpf::programs::{FExitContext, ProbeContext};
use inotrail_ebpf::{ABSENT, RESULT_UNKNOWN, flags, kind, mask, program};

use super::filter;
use super::gate;
use super::kernel::{at, current, has_typed_task, load, read};
use super::record::{Scratch, clear, count, emit_passed, identify, requested_from_kernel};
use super::scope::{current_cgroup_id, keeps, scope_of_current};
use super::turn::yields;
use super::walk::walk;

#[inline(always)]
fn permission<const PROGRAM: u32, const FIRST: usize>(ctx: *mut c_void) {
    let asked = if PROGRAM == program::KPROBE {
        ProbeContext::new(ctx).arg(FIRST + 1).unwrap_or(0)
    } else {
        FExitContext::new(ctx).arg(FIRST + 1)
    };
    if !is_open(asked) {
        return;
    }
    let mut kept = ctx;
    // SAFETY: a local variable.
    unsafe { write_volatile(&raw mut kept, ctx) };
    let Some(cgroup) = gate::turns_away(PROGRAM) else { return };
    // SAFETY: as above.
    let (inode, asked, result) = arguments::<PROGRAM, FIRST>(unsafe { read_volatile(&raw const kept) });
    let told = u64::from(asked) << 32 | u64::from(result as u32);
    if has_typed_task() {
        open::<true, PROGRAM>(inode, told, cgroup);
    } else {
        open::<false, PROGRAM>(inode, told, cgroup);
    }
}

/// Whether a mask is an open's, by the one instruction that tests a bit: every folder on the way to a file pays for this.
#[inline(always)]
fn is_open(asked: u64) -> bool {
    // SAFETY: a jump inside of the function.
    unsafe { asm!("if {0} & {1} goto {2}", in(reg) asked, const mask::OPEN, label { return true }) };
    false
}

/// The inode, what is asked, and the outcome; the inode is the function's argument of this number.
#[inline(always)]
fn arguments<const PROGRAM: u32, const FIRST: usize>(ctx: *mut c_void) -> (u64, u32, i32) {
    if PROGRAM == program::KPROBE {
        let ctx = ProbeContext::new(ctx);
        (ctx.arg(FIRST).unwrap_or(0), ctx.arg(FIRST + 1).unwrap_or(0), RESULT_UNKNOWN)
    } else {
        let ctx = FExitContext::new(ctx);
        (ctx.arg(FIRST), ctx.arg(FIRST + 1), ctx.arg(FIRST + 2))
    }
}

/// A function of its own: most calls end before, and do not pay for its registers. `told` is what is asked, and the outcome.
#[inline(never)]
fn open<const TYPED: bool, const PROGRAM: u32>(inode: u64, told: u64, cgroup: u64) {
    let (program, asked, result) = (PROGRAM, (told >> 32) as u32, told as i32);
    let cgroup = current_cgroup_id(cgroup);
    let scope = scope_of_current(program, cgroup);
    if !keeps(scope) {
        count(program, |counters| &mut counters.ignored);
        return;
    }
    let task = current::<TYPED>();
    let nameidata: u64 = load::<TYPED, _>(task, at!(task_nameidata));
    let path = nameidata.wrapping_add(u64::from(at!(nameidata_path)));
    let found: u64 = load::<TYPED, _>(path, at!(path_dentry));
    let is_found = load::<TYPED, u64>(found, at!(dentry_inode)) == inode;
    let dentry = if is_found { found } else { nameless(task, asked, inode, found) };
    if nameidata == 0 || dentry == 0 {
        count(program, |counters| &mut counters.internal);
        return;
    }
    if yields(program, program == program::KPROBE) {
        return;
    }
    // A file that this open created is not checked against a mode: the mask is MAY_OPEN alone.
    let bits = if asked == mask::OPEN { asked | mask::CREATED } else { asked & !mask::MUTATION };
    if !filter::wants(scope, bits) {
        count(program, |counters| &mut counters.filtered);
        return;
    }
    let Some(scratch) = start(program, cgroup, scope, bits, result) else { return };
    // SAFETY: this program's scratch.
    unsafe {
        if is_found {
            // Read once more: the compiler would take the argument, which is the same and may be just a number.
            describe::<TYPED>(scratch, load::<TYPED, _>(found, at!(dentry_inode)));
        } else {
            describe::<false>(scratch, inode);
        }
        if cfg!(ids_only) {
            // The test bench shows what a record costs without its path.
            (*scratch).header.flags |= flags::PATH_UNKNOWN;
        } else {
            requested::<TYPED>(scratch, nameidata);
            walk(scratch, program, load::<TYPED, _>(path, at!(path_mnt)), dentry);
        }
        if !filter::passes(scratch) {
            count(program, |counters| &mut counters.filtered);
            return;
        }
        identify::<TYPED>(scratch, task);
    }
    emit_passed(scratch, program);
}

/// A record of what is asked, for the filter of its scope.
#[inline(always)]
fn start(program: u32, cgroup: u64, scope: u32, bits: u32, result: i32) -> Option<*mut Scratch> {
    let scratch = clear(program, kind::ACCESS, cgroup)?;
    // SAFETY: this program's scratch.
    unsafe {
        filter::set(scratch, scope);
        (*scratch).header.mask = bits;
        (*scratch).header.result = result;
    }
    Some(scratch)
}

/// The path that the caller gave, as the lookup has copied it.
#[inline(always)]
fn requested<const TYPED: bool>(scratch: *mut Scratch, nameidata: u64) {
    let filename: u64 = load::<TYPED, _>(nameidata, at!(nameidata_name));
    requested_from_kernel(scratch, load::<TYPED, _>(filename, at!(filename_name)));
}

/// What an inode tells of itself.
#[inline(always)]
unsafe fn describe<const TYPED: bool>(scratch: *mut Scratch, inode: u64) {
    // SAFETY: the caller's scratch; `inode` is as `TYPED` says.
    unsafe {
        let header = &mut (*scratch).header;
        header.inode = load::<TYPED, _>(inode, at!(inode_ino));
        header.mode = load::<TYPED, _>(inode, at!(inode_mode));
        header.device = load::<TYPED, _>(load::<TYPED, _>(inode, at!(inode_sb)), at!(sb_dev));
        if load::<TYPED, u32>(inode, at!(inode_nlink)) == 0 {
            header.flags |= flags::UNLINKED;
        }
    }
}

/// The dentry of a file that this lookup made without a name (`O_TMPFILE`); 0 where the inode is anything else.
///
/// Such a lookup has given its path away before the check (`do_tmpfile`, fs/namei.c), and the mount with it. An overlay
/// that makes the file on its upper file system first does so with credentials that are not the task's.
#[inline(always)]
fn nameless(task: u64, asked: u32, inode: u64, found: u64) -> u64 {
    let known = [at!(dentry_alias), at!(inode_dentries), at!(task_cred)].iter().all(|offset| *offset != ABSENT);
    if asked != mask::OPEN || found != 0 || !known || read::<u32>(inode, at!(inode_nlink)) != 0 {
        return 0;
    }
    let entry: u64 = read(inode, at!(inode_dentries));
    let own = read::<u64>(task, at!(task_cred)) == read::<u64>(task, at!(task_real_cred));
    if entry == 0 || !own { 0 } else { entry - u64::from(at!(dentry_alias)) }
}

// Two programs per backend and not one that picks its arguments: the compiler would merge the two reads into one at a
// computed offset of the context, which the verifier refuses.

/// `(inode, mask)`: before 5.12.
#[fexit(function = "inode_permission")]
pub(crate) fn fexit_2(ctx: FExitContext) -> u32 {
    permission::<{ program::FEXIT }, 0>(ctx.as_ptr());
    0
}

/// `(user_namespace or idmap, inode, mask)`: since 5.12.
#[fexit(function = "inode_permission")]
pub(crate) fn fexit_3(ctx: FExitContext) -> u32 {
    permission::<{ program::FEXIT }, 1>(ctx.as_ptr());
    0
}

/// As `fexit_2`, before the outcome is known.
#[kprobe]
pub(crate) fn kprobe_2(ctx: ProbeContext) -> u32 {
    permission::<{ program::KPROBE }, 0>(ctx.as_ptr());
    0
}

/// As `fexit_3`, before the outcome is known.
#[kprobe]
pub(crate) fn kprobe_3(ctx: ProbeContext) -> u32 {
    permission::<{ program::KPROBE }, 1>(ctx.as_ptr());
    0
}
