//! What the programs count.

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
    /// Records that the ring had no room for: of accesses, those in the ledger and in its overflow too.
    pub ring_full: u64,
    /// Accesses counted in the ledger.
    pub ledger: u64,
    /// Accesses counted in the ledger's overflow.
    pub overflow: u64,
    /// Accesses counted as repeats of one that was told.
    pub repeated: u64,
    /// Accesses that the other program of a handover reports.
    pub yielded: u64,
    /// Accesses reported by both programs of a handover, because the marks were full.
    pub unmarked: u64,
    /// Accesses of cgroups that are not in scope, and our own.
    pub ignored: u64,
    /// Accesses that no rule can be about, in cgroups with a filter.
    pub filtered: u64,
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
pub const COUNTERS: [&str; 15] = [
    "emitted",
    "ring_full",
    "ledger",
    "overflow",
    "repeated",
    "yielded",
    "unmarked",
    "ignored",
    "filtered",
    "internal",
    "truncated",
    "raced",
    "descriptor_gone",
    "unreadable",
    "scope_full",
];

const _: () = assert!(size_of::<Counters>() == COUNTERS.len() * 8);
