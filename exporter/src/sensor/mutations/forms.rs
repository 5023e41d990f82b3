//! The functions by which kernels ask their security modules, with the parameters they have had.

use crate::event::Operation;

/// A function in one of the forms it has had: `_` is a parameter that no program looks at.
pub(super) struct Form {
    pub(super) operation: Operation,
    pub(super) function: &'static str,
    pub(super) parameters: &'static [&'static str],
    pub(super) fexit: &'static str,
    pub(super) kprobe: &'static str,
}

const fn form(
    operation: Operation,
    function: &'static str,
    parameters: &'static [&'static str],
    [fexit, kprobe]: [&'static str; 2],
) -> Form {
    Form { operation, function, parameters, fexit, kprobe }
}

/// Of one function's forms the first that fits is taken.
pub(super) const FORMS: [Form; 15] = [
    form(Operation::Delete, "security_path_unlink", &["dir", "dentry"], ["fexit_unlink", "kprobe_unlink"]),
    form(
        Operation::Rename,
        "security_path_rename",
        &["old_dir", "old_dentry", "new_dir", "new_dentry", "flags"],
        ["fexit_rename", "kprobe_rename"],
    ),
    form(
        Operation::Link,
        "security_path_link",
        &["old_dentry", "new_dir", "new_dentry"],
        ["fexit_link", "kprobe_link"],
    ),
    form(
        Operation::Symlink,
        "security_path_symlink",
        &["dir", "dentry", "old_name"],
        ["fexit_symlink", "kprobe_symlink"],
    ),
    form(Operation::Mkdir, "security_path_mkdir", &["dir", "dentry", "_"], ["fexit_mkdir", "kprobe_mkdir"]),
    form(Operation::Rmdir, "security_path_rmdir", &["dir", "dentry"], ["fexit_rmdir", "kprobe_rmdir"]),
    form(Operation::Create, "security_path_mknod", &["dir", "dentry", "_", "_"], ["fexit_mknod", "kprobe_mknod"]),
    form(Operation::Chmod, "security_path_chmod", &["path", "_"], ["fexit_chmod", "kprobe_chmod"]),
    form(Operation::Chown, "security_path_chown", &["path", "_", "_"], ["fexit_chown", "kprobe_chown"]),
    form(Operation::Truncate, "security_path_truncate", &["path"], ["fexit_truncate", "kprobe_truncate"]),
    form(Operation::Truncate, "security_file_truncate", &["file"], ["fexit_file_truncate", "kprobe_file_truncate"]),
    form(
        Operation::Setxattr,
        "security_inode_setxattr",
        &["_", "dentry", "_", "_", "_", "_"],
        ["fexit_setxattr_6", "kprobe_setxattr_6"],
    ),
    form(
        Operation::Setxattr,
        "security_inode_setxattr",
        &["dentry", "_", "_", "_", "_"],
        ["fexit_setxattr_5", "kprobe_setxattr_5"],
    ),
    form(
        Operation::Setxattr,
        "security_inode_set_acl",
        &["_", "dentry", "_", "_"],
        ["fexit_set_acl", "kprobe_set_acl"],
    ),
    form(Operation::MmapExecute, "security_mmap_file", &["file", "prot", "_"], ["fexit_mmap", "kprobe_mmap"]),
];

/// Functions that are told the mount (`CONFIG_SECURITY_PATH`).
pub(super) const BY_PATH: &str = "security_path_";

/// What a kernel without `security_path_*` asks instead, later and without the mount. Of one function's forms the first that
/// fits is taken.
pub(super) const INSTEAD: [Form; 14] = [
    form(Operation::Delete, "security_inode_unlink", &["dir", "dentry"], ["fexit_inode_unlink", "kprobe_inode_unlink"]),
    form(
        Operation::Rename,
        "security_inode_rename",
        &["old_dir", "old_dentry", "new_dir", "new_dentry", "flags"],
        ["fexit_inode_rename", "kprobe_inode_rename"],
    ),
    form(
        Operation::Link,
        "security_inode_link",
        &["old_dentry", "dir", "new_dentry"],
        ["fexit_inode_link", "kprobe_inode_link"],
    ),
    form(
        Operation::Symlink,
        "security_inode_symlink",
        &["dir", "dentry", "old_name"],
        ["fexit_inode_symlink", "kprobe_inode_symlink"],
    ),
    form(
        Operation::Mkdir,
        "security_inode_mkdir",
        &["dir", "dentry", "_"],
        ["fexit_inode_mkdir", "kprobe_inode_mkdir"],
    ),
    form(Operation::Rmdir, "security_inode_rmdir", &["dir", "dentry"], ["fexit_inode_rmdir", "kprobe_inode_rmdir"]),
    form(
        Operation::Create,
        "security_inode_mknod",
        &["dir", "dentry", "_", "_"],
        ["fexit_inode_mknod", "kprobe_inode_mknod"],
    ),
    form(
        Operation::Create,
        "security_inode_create",
        &["dir", "dentry", "_"],
        ["fexit_inode_create", "kprobe_inode_create"],
    ),
    form(Operation::Chmod, "security_inode_setattr", &["_", "dentry", "attr"], ["fexit_chmod_3", "kprobe_chmod_3"]),
    form(Operation::Chmod, "security_inode_setattr", &["dentry", "attr"], ["fexit_chmod_2", "kprobe_chmod_2"]),
    form(Operation::Chown, "security_inode_setattr", &["_", "dentry", "attr"], ["fexit_chown_3", "kprobe_chown_3"]),
    form(Operation::Chown, "security_inode_setattr", &["dentry", "attr"], ["fexit_chown_2", "kprobe_chown_2"]),
    form(
        Operation::Truncate,
        "security_inode_setattr",
        &["_", "dentry", "attr"],
        ["fexit_truncate_3", "kprobe_truncate_3"],
    ),
    form(Operation::Truncate, "security_inode_setattr", &["dentry", "attr"], ["fexit_truncate_2", "kprobe_truncate_2"]),
];

/// Newer kernels ask these for a part of what others ask another function of the list for: their absence is no lack.
pub(super) const SPLIT_OFF: [&str; 2] = ["security_file_truncate", "security_inode_set_acl"];
