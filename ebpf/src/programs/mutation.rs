//! What is done to files without opening them: the functions by which the kernel asks its security modules.
//!
//! They run after the file was found and before most of what can refuse the operation, so that an answer of 0 says no more
//! than that no security module objects: what becomes of the operation is not known here.

use aya_ebpf::macros::{fexit, kprobe};
use aya_ebpf::programs::{FExitContext, ProbeContext};
use inotrail_ebpf::{ABSENT, RESULT_UNKNOWN, flags, kind, mask, mutation, program};

use super::filter;
use super::kernel::{at, read};
use super::record::{Scratch, begin, count, current, emit_access, target_from_kernel};
use super::scope::{cgroup_id, keeps, scope_of};
use super::turn::yields;
use super::walk::walk;

/// include/uapi/linux/fs.h
const RENAME_EXCHANGE: u32 = 1 << 1;
/// include/uapi/asm-generic/mman-common.h
const PROT_EXEC: u64 = 0x4;
/// A thread of `io_uring` (include/linux/sched.h, since 5.12).
const PF_IO_WORKER: u32 = 0x10;
/// What the walk of a second path may say about it.
const OF_A_PATH: u32 = flags::TRUNCATED | flags::RACED | flags::DETACHED;

/// One call of a hook.
#[derive(Clone, Copy)]
struct Call {
    program: u32,
    /// What the security modules answered, or [`RESULT_UNKNOWN`].
    result: i32,
}

impl Call {
    /// A record of this mutation, or nothing where it is none of ours.
    #[inline(always)]
    fn begin(self, operation: u32) -> Option<*mut Scratch> {
        let task = current();
        let cgroup = cgroup_id(task);
        let scope = scope_of(cgroup, read(task, at!(task_tgid)));
        if !keeps(scope) {
            count(self.program, |counters| &mut counters.ignored);
            return None;
        }
        if yields(self.program, self.program == program::MUTATION_KPROBE) {
            return None;
        }
        let scratch = begin(self.program, kind::ACCESS, task, cgroup)?;
        // SAFETY: this program's scratch.
        unsafe {
            filter::set(scratch, scope);
            (*scratch).header.mask = operation << mask::MUTATION_SHIFT;
            (*scratch).header.result = if self.result == 0 { RESULT_UNKNOWN } else { self.result };
        }
        Some(scratch)
    }

    /// The second path. Comes before [`Self::end`].
    #[inline(always)]
    fn target(self, scratch: *mut Scratch, vfsmount: u64, dentry: u64) {
        // SAFETY: this program's scratch.
        unsafe {
            walk(scratch, self.program, vfsmount, dentry);
            let header = &mut (*scratch).header;
            header.target_len = header.path_len;
            let known = if vfsmount == 0 { OF_A_PATH & !flags::DETACHED } else { OF_A_PATH };
            header.flags = (header.flags & known) << flags::TARGET_SHIFT;
        }
    }

    /// The file itself; hands the record over.
    #[inline(always)]
    fn end(self, scratch: *mut Scratch, vfsmount: u64, dentry: u64) {
        let inode: u64 = read(dentry, at!(dentry_inode));
        // SAFETY: this program's scratch.
        unsafe {
            // A file that is yet to be made has none.
            if inode != 0 {
                let header = &mut (*scratch).header;
                header.inode = read(inode, at!(inode_ino));
                header.mode = read(inode, at!(inode_mode));
                header.device = read(read(inode, at!(inode_sb)), at!(sb_dev));
                if read::<u32>(inode, at!(inode_nlink)) == 0 {
                    header.flags |= flags::UNLINKED;
                }
            }
            walk(scratch, self.program, vfsmount, dentry);
            if vfsmount == 0 {
                let header = &mut (*scratch).header;
                header.flags = header.flags & !flags::DETACHED | flags::MOUNT_UNKNOWN;
            }
        }
        emit_access(scratch, self.program);
    }

    /// A mutation of the file `{vfsmount, dentry}`.
    #[inline(always)]
    fn of(self, operation: u32, vfsmount: u64, dentry: u64) {
        if let Some(scratch) = self.begin(operation) {
            self.end(scratch, vfsmount, dentry);
        }
    }

    /// Of what a `struct path *` leads to.
    #[inline(always)]
    fn of_path(self, operation: u32, path: u64) {
        self.of(operation, mount(path), read(path, at!(path_dentry)));
    }

    /// Of a `struct dentry *` in a mount that nobody tells.
    #[inline(always)]
    fn of_dentry(self, operation: u32, dentry: u64) {
        if !self.is_echo() {
            self.of(operation, 0, dentry);
        }
    }

    /// Whether a file system asks for its own sake.
    #[inline(always)]
    fn is_echo(self) -> bool {
        let echo = is_internal(current());
        if echo {
            count(self.program, |counters| &mut counters.internal);
        }
        echo
    }

    /// Of a name in the directory of a `struct path *`, where an open asks the same about the file that it makes.
    #[inline(always)]
    fn of_node(self, directory: u64, dentry: u64) {
        if read::<u64>(current(), at!(task_nameidata)) != 0 {
            count(self.program, |counters| &mut counters.internal);
        } else {
            self.of(mutation::MKNOD, mount(directory), dentry);
        }
    }

    #[inline(always)]
    fn symlink(self, vfsmount: u64, dentry: u64, text: u64) {
        if let Some(scratch) = self.begin(mutation::SYMLINK) {
            target_from_kernel(scratch, text);
            self.end(scratch, vfsmount, dentry);
        }
    }

    /// Both names are in one mount, or the kernel would not have come this far (`EXDEV`).
    #[inline(always)]
    fn link(self, vfsmount: u64, old: u64, new: u64) {
        if let Some(scratch) = self.begin(mutation::LINK) {
            self.target(scratch, vfsmount, new);
            self.end(scratch, vfsmount, old);
        }
    }

    #[inline(always)]
    fn rename(self, from: (u64, u64), to: (u64, u64), how: u32) {
        if let Some(scratch) = self.begin(mutation::RENAME) {
            self.target(scratch, to.0, to.1);
            if how & RENAME_EXCHANGE != 0 {
                // SAFETY: this program's scratch.
                unsafe { (*scratch).header.flags |= flags::EXCHANGED };
            }
            self.end(scratch, from.0, from.1);
        }
    }

    #[inline(always)]
    fn mmap(self, file: u64, protection: u64) {
        if file != 0 && protection & PROT_EXEC != 0 {
            self.of_path(mutation::MMAP_EXECUTE, file + u64::from(at!(file_path)));
        }
    }
}

#[inline(always)]
fn mount(path: u64) -> u64 {
    read(path, at!(path_mnt))
}

/// Whether a file system does this to another one's file on behalf of a caller who has asked for the same already: overlayfs
/// takes the rights of whoever mounted it for that. So does a request of `io_uring` with rights of its own (`personality`),
/// and that is nobody's echo: where there may be one, nothing is internal.
#[inline(always)]
fn is_internal(task: u64) -> bool {
    let borrows = read::<u64>(task, at!(task_cred)) != read::<u64>(task, at!(task_real_cred));
    let requests = at!(task_io_uring) != ABSENT
        && (read::<u64>(task, at!(task_io_uring)) != 0 || read::<u32>(task, at!(task_flags)) & PF_IO_WORKER != 0);
    borrows && !requests
}

/// Two programs of each hook: by fexit, whose context holds the result behind the last argument, and by kprobe. The places of
/// arguments stand in the code, because the verifier takes no computed ones; user space checks them by the names.
macro_rules! hooks {
    ($($(#[$doc:meta])* $fexit:ident, $kprobe:ident, $series:ident: ($($name:ident = $place:literal),*) -> $result:literal
        => $method:ident($($argument:expr),*);)*) => {$(
        $(#[$doc])*
        #[fexit]
        pub(crate) fn $fexit(ctx: FExitContext) -> u32 {
            $(let $name: u64 = ctx.arg($place);)*
            Call { program: program::$series, result: ctx.arg($result) }.$method($($argument),*);
            0
        }

        $(#[$doc])*
        #[kprobe]
        pub(crate) fn $kprobe(ctx: ProbeContext) -> u32 {
            $(let $name: u64 = ctx.arg($place).unwrap_or(0);)*
            Call { program: program::MUTATION_KPROBE, result: RESULT_UNKNOWN }.$method($($argument),*);
            0
        }
    )*};
}

mod inode;

hooks! {
    /// `security_path_unlink(dir, dentry)`
    fexit_unlink, kprobe_unlink, UNLINK: (dir = 0, dentry = 1) -> 2 => of(mutation::UNLINK, mount(dir), dentry);
    /// `security_path_rename(old_dir, old_dentry, new_dir, new_dentry, flags)`
    fexit_rename, kprobe_rename, RENAME: (from = 0, old = 1, to = 2, new = 3, how = 4) -> 5
        => rename((mount(from), old), (mount(to), new), how as u32);
    /// `security_path_link(old_dentry, new_dir, new_dentry)`
    fexit_link, kprobe_link, LINK: (old = 0, dir = 1, new = 2) -> 3 => link(mount(dir), old, new);
    /// `security_path_symlink(dir, dentry, old_name)`
    fexit_symlink, kprobe_symlink, SYMLINK: (dir = 0, dentry = 1, text = 2) -> 3 => symlink(mount(dir), dentry, text);
    /// `security_path_mkdir(dir, dentry, mode)`
    fexit_mkdir, kprobe_mkdir, MKDIR: (dir = 0, dentry = 1) -> 3 => of(mutation::MKDIR, mount(dir), dentry);
    /// `security_path_rmdir(dir, dentry)`
    fexit_rmdir, kprobe_rmdir, RMDIR: (dir = 0, dentry = 1) -> 2 => of(mutation::RMDIR, mount(dir), dentry);
    /// `security_path_mknod(dir, dentry, mode, dev)`
    fexit_mknod, kprobe_mknod, MKNOD: (dir = 0, dentry = 1) -> 4 => of_node(dir, dentry);
    /// `security_path_chmod(path, mode)`
    fexit_chmod, kprobe_chmod, CHMOD: (path = 0) -> 2 => of_path(mutation::CHMOD, path);
    /// `security_path_chown(path, uid, gid)`
    fexit_chown, kprobe_chown, CHOWN: (path = 0) -> 3 => of_path(mutation::CHOWN, path);
    /// `security_path_truncate(path)`
    fexit_truncate, kprobe_truncate, TRUNCATE: (path = 0) -> 1 => of_path(mutation::TRUNCATE, path);
    /// `security_file_truncate(file)`: since 6.2 of a file that is open.
    fexit_file_truncate, kprobe_file_truncate, FILE_TRUNCATE: (file = 0) -> 1
        => of_path(mutation::TRUNCATE, file + u64::from(at!(file_path)));
    /// `security_inode_setxattr(dentry, name, value, size, flags)`: before 5.12.
    fexit_setxattr_5, kprobe_setxattr_5, SETXATTR: (dentry = 0) -> 5 => of_dentry(mutation::SETXATTR, dentry);
    /// `security_inode_setxattr(user_namespace or idmap, dentry, name, value, size, flags)`: since 5.12.
    fexit_setxattr_6, kprobe_setxattr_6, SETXATTR: (dentry = 1) -> 6 => of_dentry(mutation::SETXATTR, dentry);
    /// `security_inode_set_acl(user_namespace or idmap, dentry, acl_name, kacl)`: since 6.2, when lists ceased to be attributes.
    fexit_set_acl, kprobe_set_acl, SET_ACL: (dentry = 1) -> 4 => of_dentry(mutation::SETXATTR, dentry);
    /// `security_mmap_file(file, prot, flags)`
    fexit_mmap, kprobe_mmap, MMAP: (file = 0, protection = 1) -> 3 => mmap(file, protection);
}
