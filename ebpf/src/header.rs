//! The fixed part of a record.

/// One record's fixed part, in native byte order. Every byte is written for every record; there is no padding.
///
/// Records of [`kind::ACCESS`] and [`kind::EXEC`] fill every field. Of the others, only what their kind says.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    not(target_arch = "bpf"),
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::KnownLayout, zerocopy::Immutable)
)]
#[repr(C)]
pub struct Header {
    /// `CLOCK_BOOTTIME`, nanoseconds.
    pub time_ns: u64,
    /// Number of this record in the series of (program, CPU), from 1; a gap is a record that the ring had no room for.
    pub sequence: u64,
    /// kernfs id of the task's cgroup in the chosen hierarchy, as `stat` shows it for the cgroup's directory.
    pub cgroup_id: u64,
    /// `inode.i_ino`. Of a cgroup record: the cgroup's level.
    pub inode: u64,
    /// `CLOCK_BOOTTIME` at which the thread group started: with `tgid` the identity of a process.
    pub process_start_ns: u64,
    /// Of an access: the number by which equal ones can be counted instead ([`crate::RepeatSlot`]); 0: it has none.
    pub identity: u64,
    /// One of [`kind`].
    pub kind: u32,
    /// One of [`crate::program`].
    pub program: u32,
    /// Bits of [`flags`].
    pub flags: u32,
    /// 0, a negated errno, or [`crate::RESULT_UNKNOWN`].
    pub result: i32,
    /// Bits of [`mask`]: what was asked of the file, or which [`mutation`] it is.
    pub mask: u32,
    /// Flags of the open file (`file.f_flags`) or of the failed call, or [`crate::OPEN_FLAGS_UNKNOWN`].
    pub open_flags: u32,
    /// `super_block.s_dev`: major << 20 | minor. Of a cgroup record: the hierarchy's id. Of a fork record: the child's
    /// thread group id as its own PID namespace numbers it, 0 where that is not known.
    pub device: u32,
    /// `inode.i_mode`; 0 where there is no inode.
    pub mode: u16,
    /// Reads of the walk that were made again because a rename or a moved mount touched them.
    pub retries: u16,
    /// CPU on which the record was written.
    pub cpu: u32,
    /// Thread group id, as the initial PID namespace numbers it ("pid" in user space).
    pub tgid: u32,
    /// Thread id.
    pub tid: u32,
    /// Thread group id of the parent.
    pub ppid: u32,
    /// Real user id of the task's objective credentials, not of an overriding file system's.
    pub uid: u32,
    /// Effective user id.
    pub euid: u32,
    /// Real group id.
    pub gid: u32,
    /// One of [`confidence`].
    pub confidence: u32,
    /// Bytes of the requested path that follow, without a NUL. Of a cgroup record: the cgroup's path.
    pub requested_len: u16,
    /// Bytes of NUL-separated arguments that follow.
    pub arguments_len: u16,
    /// Bytes of NUL-ended components, leaf first, that follow.
    pub path_len: u16,
    /// Bytes of a mutation's second path, which come before those of `path`: of [`mutation::SYMLINK`] the text as given,
    /// else NUL-ended components, leaf first.
    pub target_len: u16,
    /// `task.comm`, NUL-padded.
    pub comm: [u8; 16],
}

const _: () = {
    assert!(size_of::<Header>() == 136);
    assert!(align_of::<Header>() == 8);
    // No padding: the end of the last field is the size.
    assert!(core::mem::offset_of!(Header, comm) + 16 == size_of::<Header>());
    assert!(core::mem::offset_of!(Header, kind) == 48);
    assert!(core::mem::offset_of!(Header, requested_len) == 112);
};

/// What a record tells.
pub mod kind {
    /// A file was opened or changed, or that was refused.
    pub const ACCESS: u32 = 1;
    /// A process started a new executable; `path` is the executable, `requested` what the caller named, then arguments.
    pub const EXEC: u32 = 2;
    /// A new process (never a thread): `tgid`, `tid`, `process_start_ns`, `device` (its id in its PID namespace) are the
    /// child's; `ppid` is the `tgid` of the process that forked, and the rest is that one's, its cgroup too.
    pub const FORK: u32 = 3;
    /// All threads of a process have ended or are on their way out: it makes no access any more. Comes more than once
    /// when its last threads end at the same moment. `result` holds a thread's exit code as the kernel stores it.
    pub const EXIT: u32 = 4;
    /// A cgroup was made: `cgroup_id`, `inode` (level), `device` (hierarchy), `requested` (path).
    pub const CGROUP_MKDIR: u32 = 5;
    /// A cgroup was released: the same fields.
    pub const CGROUP_RELEASE: u32 = 6;
}

/// Permission bits as `inode_permission` gets them (`MAY_*`, include/linux/fs.h).
pub mod mask {
    /// `MAY_EXEC`
    pub const EXEC: u32 = 0x1;
    /// `MAY_WRITE`
    pub const WRITE: u32 = 0x2;
    /// `MAY_READ`
    pub const READ: u32 = 0x4;
    /// `MAY_APPEND`
    pub const APPEND: u32 = 0x8;
    /// `MAY_OPEN`: the check is made for an open of this very file.
    pub const OPEN: u32 = 0x20;
    /// Not a kernel bit: the open created the file (`FMODE_CREATED`, or a mask of `MAY_OPEN` alone).
    pub const CREATED: u32 = 0x8000_0000;
    /// Not kernel bits: one of [`super::mutation`], 0 for an open.
    pub const MUTATION: u32 = 0xff << MUTATION_SHIFT;
    /// Where [`MUTATION`] starts.
    pub const MUTATION_SHIFT: u32 = 16;
}

/// What was done to a file without opening it. `path` is the file that is there, or that is made.
pub mod mutation {
    /// Removed.
    pub const UNLINK: u32 = 1;
    /// Moved from `path` to the second path.
    pub const RENAME: u32 = 2;
    /// The second path is a new name of `path`.
    pub const LINK: u32 = 3;
    /// `path` is made, and points to the second path: a text, which may be relative and lead nowhere.
    pub const SYMLINK: u32 = 4;
    /// A directory is made.
    pub const MKDIR: u32 = 5;
    /// A directory is removed.
    pub const RMDIR: u32 = 6;
    /// A file, socket, pipe or device is made, other than by an open.
    pub const MKNOD: u32 = 7;
    /// Another mode.
    pub const CHMOD: u32 = 8;
    /// Another owner or group.
    pub const CHOWN: u32 = 9;
    /// Another length, also by an open with `O_TRUNC`.
    pub const TRUNCATE: u32 = 10;
    /// An extended attribute or an access control list is set.
    pub const SETXATTR: u32 = 11;
    /// Mapped into memory that may be executed.
    pub const MMAP_EXECUTE: u32 = 12;
}

/// What is known to be special about a record.
pub mod flags {
    /// The walk ended before the root: the leaf side of the path is kept.
    pub const TRUNCATED: u32 = 1 << 0;
    /// A rename kept changing a name, or a mount kept moving: the path is cut there, the leaf side before it is kept.
    pub const RACED: u32 = 1 << 1;
    /// The file is in no mount namespace, or outside its mount: the prefix above the root of its mount is missing, or that
    /// of its file system.
    pub const DETACHED: u32 = 1 << 2;
    /// The file has no name left (`i_nlink` is 0).
    pub const UNLINKED: u32 = 1 << 3;
    /// A 32-bit system call.
    pub const COMPAT: u32 = 1 << 4;
    /// `path` is the directory from which `requested` starts, not the file.
    pub const BASE: u32 = 1 << 5;
    /// The requested path could not be read from the caller's memory.
    pub const UNREADABLE: u32 = 1 << 6;
    /// The path is not known.
    pub const PATH_UNKNOWN: u32 = 1 << 7;
    /// By `io_uring`.
    pub const IO_URING: u32 = 1 << 8;
    /// The file was opened with `O_PATH`: no permission of its own was asked for.
    pub const O_PATH: u32 = 1 << 9;
    /// The mount is not known: `path` starts at the root of the file system.
    pub const MOUNT_UNKNOWN: u32 = 1 << 10;
    /// The two files of a rename changed places (`RENAME_EXCHANGE`).
    pub const EXCHANGED: u32 = 1 << 11;
    /// [`TRUNCATED`], [`RACED`] and [`DETACHED`] of a second path stand this far to the left.
    pub const TARGET_SHIFT: u32 = 16;
}

/// How sure the path is.
pub mod confidence {
    /// The kernel's own lookup result.
    pub const CONFIRMED: u32 = 0;
    /// Found through a descriptor that another thread of the process could have replaced.
    pub const UNCONFIRMED: u32 = 1;
    /// What the caller asked for: its memory could have changed since.
    pub const REQUESTED: u32 = 2;
    /// The descriptor was closed before it could be looked at.
    pub const DESCRIPTOR_GONE: u32 = 3;
}
