//! The contract between the kernel half and the user half: what one ring buffer record holds, where the kernel keeps
//! what the programs read ([`Layout`]), what is counted ([`Counters`]), and the names and sizes of maps and programs.
//!
//! A record is a [`Header`] followed by four byte strings, without padding:
//!
//! ```text
//! Header | requested (requested_len) | arguments (arguments_len) | target (target_len) | path (path_len)
//! ```
//!
//! `path` lists the components leaf first, each ended by NUL: `passwd\0etc\0` is `/etc/passwd`. No component can hold a
//! NUL, so a component that holds `/` is proof of a fault and user space refuses the record.
#![no_std]

mod control;
mod counters;
pub mod filter;
mod gate;
mod header;
mod layout;
mod ledger;
mod repeats;

pub use control::{Control, Handover, NOBODY, WRITTEN_MAX, Written, role, turn};
pub use counters::{COUNTERS, Counters};
pub use gate::{GATED, GENERATION, Gate, Gates, REMEMBERED, Remembered};
pub use header::{Header, confidence, flags, kind, mask, mutation};
pub use layout::{ABSENT, ENTRY_WORDS, Layout};
pub use ledger::{LEDGER_PROBES, LEDGER_SLOTS, LedgerKey, LedgerSlot, OVERFLOW_SLOTS};
pub use repeats::{REPEAT_PROBES, REPEAT_SLOTS, REPEAT_STRINGS, RepeatSlot};

/// Version of everything in this crate but the programs: raise it with any change of a record or of a map. What is pinned under
/// another version is never adopted.
pub const VERSION: u32 = 9;

/// `result` of an access whose outcome this backend cannot know (kprobe: the function has not run yet).
pub const RESULT_UNKNOWN: i32 = 1;

/// `open_flags` where the backend sees a permission mask and not the caller's flags.
pub const OPEN_FLAGS_UNKNOWN: u32 = u32::MAX;

/// Longest requested path copied from the caller, NUL included (`PATH_MAX`, include/uapi/linux/limits.h).
pub const REQUESTED_MAX: usize = 4096;
/// Longest argument list copied at exec.
pub const ARGUMENTS_MAX: usize = 2048;
/// The walk stops, and flags the path as truncated, where the next name would not end below this offset.
pub const STRINGS_LIMIT: usize = 12288;
/// Bytes of scratch for the strings: a power of two, so that the verifier can bound an offset by a mask.
pub const STRINGS_MAX: usize = 16384;
/// Steps of the path walk: one per component, per mount crossed and per retried name.
pub const WALK_STEPS: u32 = 256;
/// Retries of one walk, all names together, before a name is given up as raced.
pub const WALK_RETRIES: u32 = 32;

/// Each program writes its own series of sequence numbers per CPU, so that two programs on one CPU never share a slot.
pub mod program {
    /// `inode_permission`, by fexit.
    pub const FEXIT: u32 = 0;
    /// `sys_exit`, by raw tracepoint or its BTF twin.
    pub const SYS_EXIT: u32 = 1;
    /// `sched_process_exec`.
    pub const PROCESS_EXEC: u32 = 2;
    /// `sched_process_fork`.
    pub const PROCESS_FORK: u32 = 3;
    /// `sched_process_exit`.
    pub const PROCESS_EXIT: u32 = 4;
    /// `cgroup_mkdir`.
    pub const CGROUP_MKDIR: u32 = 5;
    /// `cgroup_release`.
    pub const CGROUP_RELEASE: u32 = 6;
    /// `io_uring_complete`.
    pub const IO_URING: u32 = 7;
    /// `inode_permission`, by kprobe: not fexit's series, because both run while one takes over from the other.
    pub const KPROBE: u32 = 8;
    /// How many series there are without mutations.
    pub const WITHOUT_MUTATIONS: u32 = 9;
    /// All mutations, by kprobe: the kernel runs one program of a kprobe at a time on a CPU (`bpf_prog_active`).
    pub const MUTATION_KPROBE: u32 = 9;
    /// `security_path_unlink`, by fexit, as all that follow: one may be preempted by another.
    pub const UNLINK: u32 = 10;
    /// `security_path_rename`
    pub const RENAME: u32 = 11;
    /// `security_path_link`
    pub const LINK: u32 = 12;
    /// `security_path_symlink`
    pub const SYMLINK: u32 = 13;
    /// `security_path_mkdir`
    pub const MKDIR: u32 = 14;
    /// `security_path_rmdir`
    pub const RMDIR: u32 = 15;
    /// `security_path_mknod`
    pub const MKNOD: u32 = 16;
    /// `security_path_chmod`
    pub const CHMOD: u32 = 17;
    /// `security_path_chown`
    pub const CHOWN: u32 = 18;
    /// `security_path_truncate`
    pub const TRUNCATE: u32 = 19;
    /// `security_file_truncate`
    pub const FILE_TRUNCATE: u32 = 20;
    /// `security_inode_setxattr`
    pub const SETXATTR: u32 = 21;
    /// `security_inode_set_acl`
    pub const SET_ACL: u32 = 22;
    /// `security_mmap_file`
    pub const MMAP: u32 = 23;
    /// `security_inode_create`, where there is no `security_path_mknod`
    pub const INODE_CREATE: u32 = 24;
    /// How many series there are.
    pub const COUNT: u32 = 25;
    /// Those of mutations.
    pub const MUTATIONS: [u32; (COUNT - WITHOUT_MUTATIONS) as usize] = [
        MUTATION_KPROBE,
        UNLINK,
        RENAME,
        LINK,
        SYMLINK,
        MKDIR,
        RMDIR,
        MKNOD,
        CHMOD,
        CHOWN,
        TRUNCATE,
        FILE_TRUNCATE,
        SETXATTR,
        SET_ACL,
        MMAP,
        INODE_CREATE,
    ];
    /// Names of the series, in order, for counters and messages.
    pub const NAMES: [&str; COUNT as usize] = [
        "inode_permission_fexit",
        "sys_exit",
        "sched_process_exec",
        "sched_process_fork",
        "sched_process_exit",
        "cgroup_mkdir",
        "cgroup_release",
        "io_uring_complete",
        "inode_permission_kprobe",
        "mutations_kprobe",
        "unlink_fexit",
        "rename_fexit",
        "link_fexit",
        "symlink_fexit",
        "mkdir_fexit",
        "rmdir_fexit",
        "mknod_fexit",
        "chmod_fexit",
        "chown_fexit",
        "truncate_fexit",
        "file_truncate_fexit",
        "setxattr_fexit",
        "set_acl_fexit",
        "mmap_fexit",
        "inode_create_fexit",
    ];
}

/// What the filter does with a cgroup: value of the map [`map::CGROUPS`].
pub mod scope {
    /// Accesses are recorded.
    pub const KEEP: u32 = 1;
    /// Accesses are not recorded (own stack, or outside the configured cgroup root).
    pub const IGNORE: u32 = 2;
    /// Accesses are not recorded, because no policy is about them; processes are: a policy may be at any time.
    pub const UNWATCHED: u32 = 3;
    /// From here on: accesses are recorded that the filter of this number less this one lets pass.
    pub const FILTERED: u32 = 16;
}

/// Map names as they stand in the object.
pub mod map {
    /// Ring buffer of records.
    pub const EVENTS: &str = "EVENTS";
    /// cgroup id -> [`crate::scope`].
    pub const CGROUPS: &str = "CGROUPS";
    /// `[filter::Filter; filter::FILTERS_MAX]`, mapped writable by user space.
    pub const FILTERS: &str = "FILTERS";
    /// [`crate::filter::NameKey`] -> operations.
    pub const NAMES: &str = "NAMES";
    /// [`crate::filter::FileKey`] -> nothing.
    pub const FILES: &str = "FILES";
    /// `[Counters; cpus * program::COUNT]`, index `cpu * program::COUNT + program`, mapped read-only by user space.
    pub const COUNTERS: &str = "COUNTERS";
    /// `[Gates; cpus]`, mapped writable by user space.
    pub const GATES: &str = "GATES";
    /// One [`crate::Control`], mapped writable by user space.
    pub const CONTROL: &str = "CONTROL";
    /// `[LedgerSlot; 2 * LEDGER_SLOTS]`: accesses that the ring had no room for, mapped writable by user space.
    pub const LEDGER: &str = "LEDGER";
    /// `[LedgerSlot; 2 * OVERFLOW_SLOTS]`: the same, where the ledger had no room either, by cgroup alone.
    pub const OVERFLOW: &str = "OVERFLOW";
    /// `[RepeatSlot; REPEAT_SLOTS]`: accesses that equal one that was told just now, mapped writable by user space.
    pub const REPEATS: &str = "REPEATS";
    /// Half and slot -> nothing: which slots are taken. The kernel's alone.
    pub const CLAIMS: &str = "CLAIMS";
    /// Thread -> time of the access that the first of two programs reported. Written only during a handover.
    pub const MARKS: &str = "MARKS";
    /// One [`crate::Handover`], which only user space reads and writes: what one run leaves to the next.
    pub const HANDOVER: &str = "HANDOVER";
    /// Scratch memory of each program on each CPU.
    pub const SCRATCH: &str = "SCRATCH";
    /// All that outlive a run of user space.
    pub const PINNED: [&str; 14] = [
        EVENTS, CGROUPS, FILTERS, NAMES, FILES, COUNTERS, GATES, CONTROL, LEDGER, OVERFLOW, CLAIMS, REPEATS, MARKS,
        HANDOVER,
    ];
}

/// Read-only globals that the loader sets before it loads the object.
pub mod global {
    /// [`crate::Layout`].
    pub const LAYOUT: &str = "LAYOUT";
    /// `u32`, from 1: numbers the loads of the object since the maps were made; see [`crate::role`].
    pub const INSTANCE: &str = "INSTANCE";
}
