//! Where an access is counted that the ring had no room for: who, which file, what. User space reads and frees the slots
//! in mapped memory, without system calls, which would make the kernel skip kprobes.

use crate::Header;

/// Slots of one half of the ledger: a power of two. Programs write to the half that [`crate::Control`] names.
pub const LEDGER_SLOTS: u32 = 8192;
/// Slots of one half of the second table, which only knows the cgroup: a power of two.
pub const OVERFLOW_SLOTS: u32 = 1024;
/// Slots that are looked at for one key before it counts as full.
pub const LEDGER_PROBES: u32 = 16;

/// What is counted together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct LedgerKey {
    /// As in [`crate::Header`].
    pub cgroup_id: u64,
    /// As in [`crate::Header`].
    pub inode: u64,
    /// As in [`crate::Header`].
    pub device: u32,
    /// As in [`crate::Header`].
    pub mask: u32,
    /// As in [`crate::Header`].
    pub result: i32,
    /// As in [`crate::Header`].
    pub kind: u32,
}

/// One slot of the ledger or, with only the cgroup in its key, of the second table.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct LedgerSlot {
    /// Valid where `check` is [`LedgerKey::check`] of it.
    pub key: LedgerKey,
    /// Accesses since the slot was claimed.
    pub count: u64,
    /// Of these, the ones that user space has reported: it alone writes this.
    pub taken: u64,
    /// 0: free, or not written to the end yet. It proves the key, because not every processor keeps stores in order.
    pub check: u32,
    /// Always 0: keeps the size a multiple of eight without padding.
    pub reserved: u32,
}

const _: () = assert!(size_of::<LedgerSlot>() == 56);

impl LedgerKey {
    /// What an access has in common with others.
    #[must_use]
    #[inline]
    pub const fn of(header: &Header) -> Self {
        Self {
            cgroup_id: header.cgroup_id,
            inode: header.inode,
            device: header.device,
            mask: header.mask,
            result: header.result,
            kind: header.kind,
        }
    }

    /// A hash that is never 0: where the key's slots start, and the proof that a slot holds it.
    #[must_use]
    #[inline]
    pub const fn check(&self) -> u32 {
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        let words = [
            self.inode,
            self.cgroup_id,
            (self.device as u64) << 32 | self.mask as u64,
            (self.result as u32 as u64) << 32 | self.kind as u64,
        ];
        let mut hash = words[0];
        hash = (hash ^ words[1]).wrapping_mul(ODD);
        hash = ((hash ^ hash >> 29) ^ words[2]).wrapping_mul(ODD);
        hash = ((hash ^ hash >> 29) ^ words[3]).wrapping_mul(ODD);
        (hash >> 32) as u32 | 1
    }
}
