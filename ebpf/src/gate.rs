//! What most calls of a hook that reports accesses need, and all of it in one place: an access that nobody wants costs one look-up.

use crate::program;

/// Cgroups that a hook remembers on each CPU: a power of two.
pub const REMEMBERED: usize = 32;

/// [`Gate::generation`] is a multiple of this. Every [`crate::scope`] is below it.
pub const GENERATION: u64 = 1 << 16;

/// One hook on one CPU.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Gate {
    /// User space's: another number after each change of [`crate::map::CGROUPS`] by user space and of [`crate::Control::default_scope`], never
    /// one that was there before. 0: nothing is remembered.
    pub generation: u64,
    /// The program's: accesses of cgroups that are not in scope, beside those of [`crate::Counters`].
    pub ignored: u64,
    /// The program's, by the cgroup's number.
    pub remembered: [Remembered; REMEMBERED],
}

/// What the map had for one cgroup. Looking it up there takes a hash, which most accesses that nobody wants would pay for.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Remembered {
    /// The cgroup.
    pub cgroup_id: u64,
    /// The generation before the look-up and the [`crate::scope`], which is never 0 here.
    pub scope: u64,
}

/// The programs that have gates, by their series.
pub const GATED: [u32; 3] = [program::FEXIT, program::SYS_EXIT, program::KPROBE];

/// All gates of one CPU, so that one index finds each, in the order of [`GATED`].
pub type Gates = [Gate; GATED.len()];

const _: () = assert!(crate::scope::FILTERED as u64 + crate::filter::FILTERS_MAX as u64 <= GENERATION);
const _: () = assert!(size_of::<Gates>() == GATED.len() * (16 + 16 * REMEMBERED));
