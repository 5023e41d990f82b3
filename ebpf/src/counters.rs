//! What the programs count and what user space may change while they run.

/// Counts of one program on one CPU since it was loaded. Only that program on that CPU writes them.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(
    not(target_arch = "bpf"),
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::KnownLayout, zerocopy::Immutable)
)]
#[repr(C)]
pub struct Counters {
    /// Records handed to the ring.
    pub emitted: u64,
    /// Records that the ring had no room for.
    pub ring_full: u64,
    /// Accesses of cgroups that are not in scope, and our own.
    pub ignored: u64,
    /// Permission checks that were not the lookup's own file (overlay's inner inode, exec's second check).
    pub internal: u64,
    /// Paths cut at the step limit.
    pub truncated: u64,
    /// Paths cut because a rename never let go of a name.
    pub raced: u64,
    /// Opens whose descriptor was gone before it could be looked at.
    pub descriptor_gone: u64,
    /// Requested paths that could not be read.
    pub unreadable: u64,
    /// Cgroups whose scope the map had no room for.
    pub scope_full: u64,
}

/// Names of the fields of [`Counters`], in order, for metrics.
pub const COUNTERS: [&str; 9] = [
    "emitted",
    "ring_full",
    "ignored",
    "internal",
    "truncated",
    "raced",
    "descriptor_gone",
    "unreadable",
    "scope_full",
];

const _: () = assert!(size_of::<Counters>() == COUNTERS.len() * 8);

/// What user space changes while the programs run, by a write to mapped memory and never by a system call.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Control {
    /// Thread group id of the exporter, whose own accesses are not recorded; 0 records them.
    pub self_tgid: u32,
    /// What happens to a cgroup that [`crate::map::CGROUPS`] does not list: one of [`crate::scope`], 0 like `IGNORE`.
    pub default_scope: u32,
}

const _: () = assert!(size_of::<Control>() == 8);
