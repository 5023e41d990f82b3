//! Where an access is counted that equals one that user space has told just now. User space says which those are, by writes
//! to mapped memory and never by a system call.

use crate::LedgerKey;

/// Slots of the table: a power of two.
pub const REPEAT_SLOTS: u32 = 8192;
/// Slots that are looked at for one access.
pub const REPEAT_PROBES: u32 = 4;
/// Bytes of a record's strings up to which it can be a repeat: longer ones are rare, and what is done for all of them is not free.
pub const REPEAT_STRINGS: usize = 1024;

/// Accesses that are equal in all that a policy and an event can say of them, but for their time and for which process it was.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct RepeatSlot {
    /// [`crate::Header::identity`] of what is counted; 0: nothing is. Like all up to `key`, user space alone writes it.
    pub identity: u64,
    /// `CLOCK_BOOTTIME`: later ones are records again, so that nothing is kept back when user space has ended.
    pub until_ns: u64,
    /// What a later run of user space can tell of them.
    pub key: LedgerKey,
    /// Accesses since the map was made.
    pub count: u64,
    /// Of these, the ones that user space has told: it alone writes this.
    pub taken: u64,
    /// `CLOCK_BOOTTIME` of the first one since user space has set this to 0.
    pub first_ns: u64,
    /// `CLOCK_BOOTTIME` of one of the last ones.
    pub last_ns: u64,
    /// The thread group that made the last one.
    pub tgid: u32,
    /// How often it was another one than just before, since the map was made. Threads of one that come at the same moment may each count it:
    /// kernels that are supported have no exchange that would tell them apart.
    pub changes: u32,
    /// Of these, the ones that user space has told: it alone writes this.
    pub changes_taken: u32,
    /// Keeps slots of a multiple of eight bytes.
    pub reserved: u32,
}

const _: () = assert!(size_of::<RepeatSlot>() == 96);
