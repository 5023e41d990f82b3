//! Accesses that were taken from the ring and are nowhere else yet: a run that is killed leaves their number to the next.

use std::fmt;
use std::sync::Arc;

use inotrail_ebpf::{WRITTEN_MAX, Written};

use super::memory::HandoverMap;

/// What a run that ended has taken and kept nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unkept {
    /// Accesses.
    pub count: u64,
    /// When that run last emptied the ring, `CLOCK_BOOTTIME`, nanoseconds.
    pub since_ns: u64,
    /// The run, as a number.
    pub stream: u128,
}

/// An account, with what an earlier run has kept nowhere, if there is such.
pub type Opened = (Account, Option<Unkept>);

/// What the run before has left, until somebody has looked what of it is on disk.
pub struct Inherited {
    handover: Arc<HandoverMap>,
    /// This run.
    stream: u128,
}

/// The account of this run, in memory that outlives it where programs are pinned. Clones share it: one thread says what
/// was taken, one at a time what was kept.
#[derive(Clone, Debug)]
pub struct Account {
    handover: Arc<HandoverMap>,
    /// What earlier runs have left, and nobody has kept the news of yet.
    left: u64,
}

impl Inherited {
    pub(super) const fn new(handover: Arc<HandoverMap>, stream: u128) -> Self {
        Self { handover, stream }
    }

    /// Goes on with the account of the run before, in the name of this one. `is_there` says of the number of a request that
    /// the run before had written, and that was not durable, whether it is there.
    #[must_use]
    pub fn open(self, is_there: impl Fn(u64) -> bool) -> Opened {
        let Self { handover, stream } = self;
        let before = handover.get();
        let written = before.written.iter().filter(|written| written.number != 0 && is_there(written.number));
        let kept = written.fold(before.kept, |kept, written| kept.saturating_add(written.accesses));
        let left = before.wanted.saturating_sub(kept);
        let of_run = u128::from(before.stream[0]) << 64 | u128::from(before.stream[1]);
        let unkept = Unkept { count: left, since_ns: before.drained_ns, stream: of_run };
        handover.set_account(left, 0, [(stream >> 64) as u64, stream as u64]);
        (Account { handover, left }, Some(unkept).filter(|unkept| unkept.count > 0))
    }
}

impl Account {
    /// Places for [`Self::write`].
    pub const PLACES: usize = WRITTEN_MAX;

    /// This run has taken so many accesses that are to be told, by now.
    pub fn wanted(&self, total: u64) {
        self.handover.set_wanted(self.left.saturating_add(total));
    }

    /// So many more are where they outlive this process, and a power cut: in a spool, or told as lost there; or where they
    /// were to go.
    pub fn kept(&self, count: u64) {
        self.handover.add_kept(count);
    }

    /// So many more, of the request with this number, outlive this process, but no power cut yet. `place` is one that is free.
    pub fn write(&self, place: usize, number: u64, accesses: u64) {
        self.handover.set_written(place, Written { number, accesses });
    }

    /// What [`Self::write`] said at this place is to be said by [`Self::kept`] from now on.
    pub fn free(&self, place: usize) {
        self.handover.set_written(place, Written::default());
    }
}

impl fmt::Debug for Inherited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inherited").finish_non_exhaustive()
    }
}
