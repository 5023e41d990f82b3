//! What of this run would outlive it, for its account: the next start tells of the rest.

use std::collections::BTreeMap;

use crate::lane::Lane;
use crate::sensor::Account;
use crate::spool::Spool;

/// A request's number in its spool has this many bits in the account; the lane is above.
const ID_BITS: u32 = 60;

/// Requests of the account's route that nobody has and no disk is sure of, and how many accesses were taken for each.
#[derive(Debug)]
pub(super) struct Keeping {
    account: Account,
    /// By lane and number.
    unsure: BTreeMap<(usize, u64), Unsure>,
    /// Places of the account.
    free: Vec<usize>,
}

#[derive(Debug)]
struct Unsure {
    accesses: u64,
    /// Where the account has it, if it was written.
    place: Option<usize>,
}

impl Keeping {
    pub(super) fn new(account: Account) -> Self {
        Self { account, unsure: BTreeMap::new(), free: (0..Account::PLACES).collect() }
    }

    /// Whether the account has no place for another request until some are durable.
    pub(super) fn is_full(&self) -> bool {
        self.free.is_empty()
    }

    /// A request is about to be appended to a spool, with this number: where a kill comes in the middle, the next start sees
    /// whether it is there. Returns the account's place for it, if there is one.
    pub(super) fn announce(&mut self, lane: Lane, id: u64, accesses: u64) -> Option<usize> {
        let place = self.free.pop()?;
        self.account.write(place, number(lane, id), accesses);
        Some(place)
    }

    /// It was appended: with this number, or not, as it was lost at once. `place` is [`Self::announce`]'s.
    pub(super) fn append(&mut self, lane: Lane, id: Option<u64>, accesses: u64, place: Option<usize>, spool: &Spool) {
        let unsure = id.filter(|id| !spool.is_safe(*id));
        let is_written = unsure.is_some_and(|id| spool.is_written(id));
        let place = if is_written { place } else { place.and_then(|place| self.vacate(place)) };
        match unsure {
            Some(id) => _ = self.unsure.insert((lane as usize, id), Unsure { accesses, place }),
            None => self.account.kept(accesses),
        }
    }

    /// Frees a place. Returns what one has that is in none.
    fn vacate(&mut self, place: usize) -> Option<usize> {
        self.account.free(place);
        self.free.push(place);
        None
    }

    /// Takes note of what is durable, or is not needed any more. Looks until the first that is neither: the rest is later.
    pub(super) fn look(&mut self, lane: Lane, spool: &Spool) {
        let first = |unsure: &BTreeMap<(usize, u64), Unsure>| {
            unsure.range((lane as usize, 0)..=(lane as usize, u64::MAX)).next().map(|((_, id), _)| *id)
        };
        while let Some(id) = first(&self.unsure).filter(|id| spool.is_safe(*id)) {
            self.keep(lane, id);
        }
    }

    /// The same of one.
    pub(super) fn look_at(&mut self, lane: Lane, id: u64, spool: &Spool) {
        if spool.is_safe(id) {
            self.keep(lane, id);
        }
    }

    fn keep(&mut self, lane: Lane, id: u64) {
        let Some(Unsure { accesses, place }) = self.unsure.remove(&(lane as usize, id)) else { return };
        if let Some(place) = place {
            self.vacate(place);
        }
        self.account.kept(accesses);
    }
}

/// As the account has it: never 0.
fn number(lane: Lane, id: u64) -> u64 {
    (lane as u64 + 1) << ID_BITS | id
}

/// Whether the spools had a request that the account names.
pub(super) fn is_there(number: u64, spools: &[Spool]) -> bool {
    let lane = (number >> ID_BITS).checked_sub(1).and_then(|lane| spools.get(lane as usize));
    lane.is_some_and(|spool| number & ((1 << ID_BITS) - 1) <= spool.inherited())
}
