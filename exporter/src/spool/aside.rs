//! Reading, and entries that could not be read: whether it is them or the disk is to be seen, and nobody else waits for it.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::disk::Disk;
use super::entry::Given;
use super::index::Slot;
use super::{Spool, failure};
use crate::metrics::Dropped;

/// How long they are left alone, nanoseconds.
const PAUSE_NS: u64 = 1_000_000_000;

/// What there is of an entry's body.
pub(super) enum Body {
    Here(Bytes),
    /// Nothing can be read now.
    Later,
    /// It cannot be read.
    Unreadable,
    /// It is damaged, or is not there.
    Gone,
}

/// Readers, with ids of what they did not get.
#[derive(Debug, Default)]
pub(super) struct Aside {
    entries: BTreeSet<(usize, u64)>,
    /// The disk has worked since the last one was put here: what still cannot be read is lost.
    is_due: bool,
    /// When it was tried last whether the disk works, nanoseconds since the Unix epoch.
    tried_ns: u64,
}

impl Aside {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn put(&mut self, reader: usize, id: u64) {
        self.entries.insert((reader, id));
        self.is_due = false;
    }

    pub(super) fn has(&self, reader: usize, id: u64) -> bool {
        self.entries.contains(&(reader, id))
    }

    /// Whether the next one of a reader is to be tried again now.
    pub(super) fn has_next(&self, reader: usize) -> bool {
        self.is_due && self.entries.range((reader, 0)..=(reader, u64::MAX)).next().is_some()
    }

    fn take(&mut self, reader: usize) -> Option<u64> {
        let (_, id) = *self.entries.range((reader, 0)..=(reader, u64::MAX)).next().filter(|_| self.is_due)?;
        self.entries.remove(&(reader, id));
        Some(id)
    }
}

impl<D: Disk> Spool<D> {
    /// To be called now and then: what could not be read is given by [`Self::next`] again once the disk takes what is
    /// written; what cannot be read then is told as [`Dropped::SpoolFull`]. Until then it waits, also for the next run: told, it
    /// might come all the same. Returns whether it is time.
    pub fn look_again(&mut self, now_ns: u64) -> bool {
        let is_fresh = (self.aside.tried_ns..self.aside.tried_ns.saturating_add(PAUSE_NS)).contains(&now_ns);
        self.aside.entries.retain(|(_, id)| self.index.slots.contains_key(id));
        if self.aside.is_empty() || self.aside.is_due || is_fresh || !self.may_try(now_ns) {
            return false;
        }
        self.aside.tried_ns = now_ns;
        if let Some(store) = &mut self.store {
            store.doubt_cursors();
        }
        self.aside.is_due = self.reclaim(now_ns);
        self.aside.is_due
    }

    /// What there is of it, in memory or on disk.
    pub(super) fn body(&mut self, id: u64, slot: &Slot) -> Body {
        if let Some(body) = self.bodies.get(&id) {
            return Body::Here(body.clone());
        }
        let (Some(store), Some(place)) = (&mut self.store, slot.place) else { return Body::Gone };
        match store.read(place, id, slot.len) {
            Ok(Some(body)) => Body::Here(body),
            Ok(None) => Body::Gone,
            Err(cause) => {
                let is_passing = failure::is_passing(&cause);
                self.failed_to_read(cause);
                if is_passing { Body::Later } else { Body::Unreadable }
            }
        }
    }

    /// The next entry of those that a reader did not get before.
    pub(super) fn next_aside(&mut self, reader: usize) -> Option<Given> {
        while let Some(id) = self.aside.take(reader) {
            let Some(slot) = self.index.slots.get(&id).cloned() else { continue };
            match self.body(id, &slot) {
                Body::Here(body) => return Some(Given { id, entry: slot.entry(body) }),
                Body::Later => {
                    self.aside.entries.insert((reader, id));
                    return None;
                }
                Body::Unreadable | Body::Gone => self.give_up(reader, id),
            }
        }
        None
    }

    /// An entry cannot be had from the disk. Those who have it may still send it.
    pub(super) fn give_up(&mut self, reader: usize, id: u64) {
        self.lose(id, Dropped::SpoolFull, false);
        self.settle_lost(reader, id, Dropped::SpoolFull);
    }
}
