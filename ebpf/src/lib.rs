//! The contract between the kernel half and the user half: what one ring buffer record holds, where the kernel keeps
//! what the programs read ([`Layout`]), what is counted ([`Counters`]), and the names and sizes of maps and programs.
//!
//! A record is a [`Header`] followed by three byte strings, without padding:
//!
//! ```text
//! Header | requested (requested_len) | arguments (arguments_len) | path (path_len)
//! ```
//!
//! `path` lists the components leaf first, each ended by NUL: `passwd\0etc\0` is `/etc/passwd`. No component can hold a
//! NUL, so a component that holds `/` is proof of a fault and user space refuses the record.
#![no_std]

mod counters;
mod header;
mod layout;

pub use counters::{COUNTERS, Control, Counters};
pub use header::{Header, confidence, flags, kind, mask};
pub use layout::{ABSENT, Layout};

/// Version of everything in this crate; a pinned map of another version is never adopted.
pub const VERSION: u32 = 1;

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
/// Bytes of scratch for the three strings: a power of two, so that the verifier can bound an offset by a mask.
pub const STRINGS_MAX: usize = 16384;
/// Steps of the path walk: one per component, per mount crossed and per retried name.
pub const WALK_STEPS: u32 = 256;
/// Retries of one walk, all names together, before a name is given up as raced.
pub const WALK_RETRIES: u32 = 32;

/// Each program writes its own series of sequence numbers per CPU, so that two programs on one CPU never share a slot.
pub mod program {
    /// `inode_permission`, by fexit or kprobe.
    pub const INODE_PERMISSION: u32 = 0;
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
    /// How many series there are.
    pub const COUNT: u32 = 8;
    /// Names of the series, in order, for counters and messages.
    pub const NAMES: [&str; COUNT as usize] = [
        "inode_permission",
        "sys_exit",
        "sched_process_exec",
        "sched_process_fork",
        "sched_process_exit",
        "cgroup_mkdir",
        "cgroup_release",
        "io_uring_complete",
    ];
}

/// What the filter does with a cgroup: value of the map [`map::CGROUPS`].
pub mod scope {
    /// Accesses are recorded.
    pub const KEEP: u32 = 1;
    /// Accesses are not recorded (own stack, or outside the configured cgroup root).
    pub const IGNORE: u32 = 2;
    /// Accesses are recorded for the time of the self-test; cgroups made below meanwhile are ignored.
    pub const SELF_TEST: u32 = 3;
}

/// Map names as they stand in the object.
pub mod map {
    /// Ring buffer of records.
    pub const EVENTS: &str = "EVENTS";
    /// cgroup id -> [`crate::scope`].
    pub const CGROUPS: &str = "CGROUPS";
    /// `[Counters; cpus * program::COUNT]`, index `cpu * program::COUNT + program`, mapped read-only by user space.
    pub const COUNTERS: &str = "COUNTERS";
    /// One [`crate::Control`], mapped writable by user space.
    pub const CONTROL: &str = "CONTROL";
}

/// Read-only globals that the loader sets before it loads the object.
pub mod global {
    /// [`crate::Layout`].
    pub const LAYOUT: &str = "LAYOUT";
}
