//! `inode_permission` (fs/namei.c): the one check that every open passes on its way, by whatever system call.
//!
//! At the call from `may_open`, `current->nameidata->path` is the finished lookup: the very dentry and mount, with
//! references held. A call for any other inode is internal (overlayfs asking its lower file system, exec's second
//! look) and not an access of its own.

use aya_ebpf::macros::{fexit, kprobe};
use aya_ebpf::programs::{FExitContext, ProbeContext};
use inotrail_ebpf::{ABSENT, RESULT_UNKNOWN, flags, kind, mask, program};

use super::filter;
use super::kernel::{at, read};
use super::record::{begin, count, current, emit_access, requested_from_kernel};
use super::scope::{current_cgroup_id, keeps, scope_of_current};
use super::turn::yields;
use super::walk::walk;

#[inline(always)]
fn permission(program: u32, inode: u64, asked: u32, result: i32) {
    if asked & mask::OPEN != 0 {
        open(program, inode, asked, result);
    }
}

/// A function of its own: folders on the way to a file are all that most calls are about, and those do not pay for its
/// registers.
#[inline(never)]
fn open(program: u32, inode: u64, asked: u32, result: i32) {
    let cgroup = current_cgroup_id();
    let scope = scope_of_current(program, cgroup);
    if !keeps(scope) {
        count(program, |counters| &mut counters.ignored);
        return;
    }
    let task = current();
    let nameidata: u64 = read(task, at!(task_nameidata));
    let path = nameidata.wrapping_add(u64::from(at!(nameidata_path)));
    let found: u64 = read(path, at!(path_dentry));
    let is_found = read::<u64>(found, at!(dentry_inode)) == inode;
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
    let Some(scratch) = begin(program, kind::ACCESS, task, cgroup) else { return };
    // SAFETY: this program's scratch.
    unsafe {
        filter::set(scratch, scope);
        let header = &mut (*scratch).header;
        header.mask = bits;
        header.result = result;
        header.inode = read(inode, at!(inode_ino));
        header.mode = read(inode, at!(inode_mode));
        header.device = read(read(inode, at!(inode_sb)), at!(sb_dev));
        if read::<u32>(inode, at!(inode_nlink)) == 0 {
            header.flags |= flags::UNLINKED;
        }
        let filename: u64 = read(nameidata, at!(nameidata_name));
        requested_from_kernel(scratch, read(filename, at!(filename_name)));
        walk(scratch, program, read(path, at!(path_mnt)), dentry);
    }
    emit_access(scratch, program);
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
    permission(program::FEXIT, ctx.arg(0), ctx.arg(1), ctx.arg(2));
    0
}

/// `(user_namespace or idmap, inode, mask)`: since 5.12.
#[fexit(function = "inode_permission")]
pub(crate) fn fexit_3(ctx: FExitContext) -> u32 {
    permission(program::FEXIT, ctx.arg(1), ctx.arg(2), ctx.arg(3));
    0
}

/// As `fexit_2`, before the outcome is known.
#[kprobe]
pub(crate) fn kprobe_2(ctx: ProbeContext) -> u32 {
    permission(program::KPROBE, ctx.arg(0).unwrap_or(0), ctx.arg(1).unwrap_or(0), RESULT_UNKNOWN);
    0
}

/// As `fexit_3`, before the outcome is known.
#[kprobe]
pub(crate) fn kprobe_3(ctx: ProbeContext) -> u32 {
    permission(program::KPROBE, ctx.arg(1).unwrap_or(0), ctx.arg(2).unwrap_or(0), RESULT_UNKNOWN);
    0
}
