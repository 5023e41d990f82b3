//! What user space may change while the programs run, and what one run of it leaves to the next. Both are changed by writes
//! to mapped memory and never by a system call.

/// What user space tells the programs.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Control {
    /// Thread group id of the exporter, whose own accesses are not recorded; 0 records them.
    pub self_tgid: u32,
    /// What happens to a cgroup that [`crate::map::CGROUPS`] does not list: one of [`crate::scope`], 0 like `IGNORE`.
    pub default_scope: u32,
    /// Not 0: the exporter's own accesses are recorded, because it tests itself.
    pub self_test: u32,
    /// The half of ledger and overflow that is written to: its lowest bit. Counted up at each change.
    pub ledger_half: u32,
    /// Not 0: a process's new executable is an access of its own (beside `sys_exit`, which does not tell of them).
    pub exec_is_access: u32,
    /// The only field that a program writes: the thread group that called `whoami`, as the kernel numbers it.
    pub caller: u32,
    /// Not 0: accesses are numbered, and counted where [`crate::RepeatSlot`] says so.
    pub aggregates: u32,
    /// Always 0: there is no padding.
    pub reserved: u32,
    /// Key of the hash that numbers them.
    pub secret: [u64; 2],
    /// Two [`role`]s, changed together. The low half reports accesses; 0: all do. The high half reports an access only where
    /// the other has left no mark; 0: there is none; [`NOBODY`]: the first leaves marks, and all others are silent.
    pub turn: u64,
    /// `CLOCK_BOOTTIME`: older marks do not count.
    pub since_ns: u64,
}

const _: () = assert!(size_of::<Control>() == 64);

/// [`Control::turn`] of two roles.
#[must_use]
#[inline]
pub const fn turn(first: u32, second: u32) -> u64 {
    (second as u64) << 32 | first as u64
}

/// No [`role`].
pub const NOBODY: u32 = u32::MAX;

/// Names who reports an access while one program takes over from another: the hook by kprobe, or any other one, of the
/// object that was loaded as number `instance`.
#[must_use]
#[inline]
pub const fn role(instance: u32, is_kprobe: bool) -> u32 {
    instance << 1 | is_kprobe as u32
}

/// What a run of user space leaves to the next.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Handover {
    /// `CLOCK_BOOTTIME` when the ring was last emptied. First in every version of this crate: a run that finds another
    /// version's pins reads this and nothing else.
    pub drained_ns: u64,
    /// Which object is attached: the start of its hash.
    pub object: u64,
    /// What it was loaded with, hashed: the layout.
    pub options: u64,
    /// The object's number, see [`crate::global::INSTANCE`].
    pub instance: u32,
    /// The [`crate::program`] series that reports accesses: fexit, kprobe or `sys_exit`.
    pub hook: u32,
    /// Accesses that were neither emitted nor counted anywhere and have been reported as lost.
    pub lost: u64,
    /// Missed calls of the attached programs that have been reported.
    pub missed: u64,
    /// How often kprobe has taken over from fexit.
    pub swaps: u64,
    /// Accesses that were taken from the ring to be told.
    pub wanted: u64,
    /// Of these, the ones that are where they outlive the run, or were told as lost there.
    pub kept: u64,
    /// Names the run that these two are of, as two halves of a UUID.
    pub stream: [u64; 2],
    /// What of the rest may outlive the run.
    pub written: [Written; WRITTEN_MAX],
}

/// A request that the run has written to its disk's cache: it outlives the run, but no power cut.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Written {
    /// Its number, as the run has it; 0: there is none here.
    pub number: u64,
    /// Accesses that were taken from the ring for it.
    pub accesses: u64,
}

/// Requests at most that are written and not durable at a time.
pub const WRITTEN_MAX: usize = 32;

const _: () = assert!(size_of::<Handover>() == 88 + WRITTEN_MAX * size_of::<Written>());
