//! What the cookbook's programs and their reader agree on.
#![no_std]

/// One access, of a fixed size: what such programs commonly send.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Record {
    /// `CLOCK_MONOTONIC`
    pub time_ns: u64,
    /// The task's cgroup in version 2.
    pub cgroup_id: u64,
    /// Inode number, where the hook has the inode.
    pub inode: u64,
    /// `super_block.s_dev`
    pub device: u32,
    /// What was asked for: `MAY_*`, or flags as open(2) takes them.
    pub mask: u32,
    /// Thread group.
    pub pid: u32,
    /// Thread.
    pub tid: u32,
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Name of the thread.
    pub comm: [u8; 16],
    /// The path that the caller gave, where the hook has it, cut.
    pub name: [u8; 48],
}

const _: () = assert!(size_of::<Record>() == 112);

/// Names of a path that are sent.
pub const NAMES: usize = 8;
/// Bytes of each.
pub const NAME_BYTES: usize = 32;

/// An access with its path, leaf first.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct PathRecord {
    /// The access.
    pub record: Record,
    /// NUL-ended names; the first empty one ends the path.
    pub names: [[u8; NAME_BYTES]; NAMES],
}

/// Where a record keeps [`Record::cgroup_id`].
pub const CGROUP_ID: core::ops::Range<usize> = 8..16;

const _: () = assert!(core::mem::offset_of!(Record, cgroup_id) == CGROUP_ID.start);

/// Names of the programs.
pub mod program {
    /// Reports every permission check; two arguments before 5.12.
    pub const PERMISSION_ALL: [&str; 2] = ["permission_all_2", "permission_all_3"];
    /// The same, with the names on the file's path behind the record.
    pub const PERMISSION_PATHS: [&str; 2] = ["permission_paths_2", "permission_paths_3"];
    /// The same, for opens alone and not for folders on the way.
    pub const PERMISSION_OPENS: [&str; 2] = ["permission_opens_2", "permission_opens_3"];
    /// As the first, but the reader is not woken: it looks now and then.
    pub const PERMISSION_LAZY: [&str; 2] = ["permission_lazy_2", "permission_lazy_3"];
    /// As the first, but what a record would hold goes nowhere.
    pub const PERMISSION_QUIET: [&str; 2] = ["permission_quiet_2", "permission_quiet_3"];
    /// Reports a system call.
    pub const CALL_WOKEN: &str = "call_woken";
    /// The same, and the reader is not woken.
    pub const CALL_LAZY: &str = "call_lazy";
    /// The same, but what a record would hold goes nowhere.
    pub const CALL_QUIET: &str = "call_quiet";
    /// Reports permission checks of listed inodes.
    pub const PERMISSION_INODES: [&str; 2] = ["permission_inodes_2", "permission_inodes_3"];
    /// Reports every open.
    pub const OPEN_ALL: &str = "open_all";
    /// Remembers opens of listed cgroups.
    pub const OPEN_CGROUPS: &str = "open_cgroups";
    /// Reports them when they return.
    pub const OPEN_CGROUPS_RETURN: &str = "open_cgroups_return";
    /// Return at once: what the kernel's way to a program on the permission check costs.
    pub const FLOOR_FEXIT: &str = "floor_fexit";
    /// The same.
    pub const FLOOR_KPROBE: &str = "floor_kprobe";
}

/// Names of the maps.
pub mod map {
    /// Ring buffer of [`crate::Record`].
    pub const EVENTS: &str = "EVENTS";
    /// `[inode number, s_dev]` -> 1: files that are reported.
    pub const INODES: &str = "INODES";
    /// cgroup id -> 1: cgroups that are reported.
    pub const CGROUPS: &str = "CGROUPS";
}

/// Names of the read-only globals that the loader sets: offsets of members.
pub mod global {
    /// `inode.i_ino`
    pub const INODE_NUMBER: &str = "INODE_NUMBER";
    /// `inode.i_sb`
    pub const INODE_SUPER: &str = "INODE_SUPER";
    /// `super_block.s_dev`
    pub const SUPER_DEVICE: &str = "SUPER_DEVICE";
    /// `inode.i_dentry`
    pub const INODE_DENTRIES: &str = "INODE_DENTRIES";
    /// `dentry.d_u.d_alias`
    pub const DENTRY_ALIAS: &str = "DENTRY_ALIAS";
    /// `dentry.d_parent`
    pub const DENTRY_PARENT: &str = "DENTRY_PARENT";
    /// `dentry.d_name.name`
    pub const DENTRY_NAME: &str = "DENTRY_NAME";
    /// Number of the system call that is reported.
    pub const CALL: &str = "CALL";
}
