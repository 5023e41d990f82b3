//! The same on kernels without `security_path_*` (`CONFIG_SECURITY_PATH`): these are asked later, when the rights have been
//! looked at, and know no mount.

use aya_ebpf::macros::{fexit, kprobe};
use aya_ebpf::programs::{FExitContext, ProbeContext};
use inotrail_ebpf::{RESULT_UNKNOWN, mutation, program};

use super::super::kernel::{at, read};
use super::super::record::{count, current};
use super::Call;

/// `iattr.ia_valid` (include/linux/fs.h).
mod attr {
    pub(super) const MODE: u32 = 1 << 0;
    pub(super) const OWNER: u32 = 1 << 1 | 1 << 2;
    pub(super) const SIZE: u32 = 1 << 3;
    /// The kernel does it for its own reasons: a write takes the set-user-id bit away.
    pub(super) const FORCE: u32 = 1 << 9;
}

impl Call {
    #[inline(always)]
    fn rename_inode(self, old: u64, new: u64, how: u32) {
        if !self.is_echo() {
            self.rename((0, old), (0, new), how);
        }
    }

    #[inline(always)]
    fn link_inode(self, old: u64, new: u64) {
        if !self.is_echo() {
            self.link(0, old, new);
        }
    }

    #[inline(always)]
    fn symlink_inode(self, dentry: u64, text: u64) {
        if !self.is_echo() {
            self.symlink(0, dentry, text);
        }
    }

    /// An open that makes a file is asked the same, and tells of it itself.
    #[inline(always)]
    fn create_inode(self, dentry: u64) {
        if read::<u64>(current(), at!(task_nameidata)) != 0 {
            count(self.program, |counters| &mut counters.internal);
        } else {
            self.of_dentry(mutation::MKNOD, dentry);
        }
    }

    /// Attributes are set: some of `these`, and none of `others`.
    #[inline(always)]
    fn setattr(self, operation: u32, (these, others): (u32, u32), dentry: u64, attributes: u64) {
        let valid: u32 = read(attributes, at!(iattr_valid));
        if valid & these != 0 && valid & others == 0 {
            self.of_dentry(operation, dentry);
        }
    }
}

/// What belongs to a chmod alone.
const CHMOD: (u32, u32) = (attr::MODE, attr::OWNER | attr::SIZE | attr::FORCE);
const CHOWN: (u32, u32) = (attr::OWNER, 0);
const TRUNCATE: (u32, u32) = (attr::SIZE, 0);

hooks! {
    /// `security_inode_unlink(dir, dentry)`
    fexit_inode_unlink, kprobe_inode_unlink, UNLINK: (dentry = 1) -> 2 => of_dentry(mutation::UNLINK, dentry);
    /// `security_inode_rename(old_dir, old_dentry, new_dir, new_dentry, flags)`
    fexit_inode_rename, kprobe_inode_rename, RENAME: (old = 1, new = 3, how = 4) -> 5 => rename_inode(old, new, how as u32);
    /// `security_inode_link(old_dentry, dir, new_dentry)`
    fexit_inode_link, kprobe_inode_link, LINK: (old = 0, new = 2) -> 3 => link_inode(old, new);
    /// `security_inode_symlink(dir, dentry, old_name)`
    fexit_inode_symlink, kprobe_inode_symlink, SYMLINK: (dentry = 1, text = 2) -> 3 => symlink_inode(dentry, text);
    /// `security_inode_mkdir(dir, dentry, mode)`
    fexit_inode_mkdir, kprobe_inode_mkdir, MKDIR: (dentry = 1) -> 3 => of_dentry(mutation::MKDIR, dentry);
    /// `security_inode_rmdir(dir, dentry)`
    fexit_inode_rmdir, kprobe_inode_rmdir, RMDIR: (dentry = 1) -> 2 => of_dentry(mutation::RMDIR, dentry);
    /// `security_inode_mknod(dir, dentry, mode, dev)`: of everything but regular files.
    fexit_inode_mknod, kprobe_inode_mknod, MKNOD: (dentry = 1) -> 4 => of_dentry(mutation::MKNOD, dentry);
    /// `security_inode_create(dir, dentry, mode)`: of regular files.
    fexit_inode_create, kprobe_inode_create, INODE_CREATE: (dentry = 1) -> 3 => create_inode(dentry);
    /// `security_inode_setattr(dentry, attr)`: before 6.1.
    fexit_chmod_2, kprobe_chmod_2, CHMOD: (dentry = 0, attributes = 1) -> 2
        => setattr(mutation::CHMOD, CHMOD, dentry, attributes);
    fexit_chown_2, kprobe_chown_2, CHOWN: (dentry = 0, attributes = 1) -> 2
        => setattr(mutation::CHOWN, CHOWN, dentry, attributes);
    fexit_truncate_2, kprobe_truncate_2, TRUNCATE: (dentry = 0, attributes = 1) -> 2
        => setattr(mutation::TRUNCATE, TRUNCATE, dentry, attributes);
    /// `security_inode_setattr(user_namespace or idmap, dentry, attr)`: since then.
    fexit_chmod_3, kprobe_chmod_3, CHMOD: (dentry = 1, attributes = 2) -> 3
        => setattr(mutation::CHMOD, CHMOD, dentry, attributes);
    fexit_chown_3, kprobe_chown_3, CHOWN: (dentry = 1, attributes = 2) -> 3
        => setattr(mutation::CHOWN, CHOWN, dentry, attributes);
    fexit_truncate_3, kprobe_truncate_3, TRUNCATE: (dentry = 1, attributes = 2) -> 3
        => setattr(mutation::TRUNCATE, TRUNCATE, dentry, attributes);
}
