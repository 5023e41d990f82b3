//! What goes when there is no room, or when it is too old: the oldest.

use std::collections::BTreeSet;
use std::io;
use std::num::NonZeroU32;

use super::Spool;
use super::disk::Disk;
use super::entry::{ENTRIES_MAX, SEGMENT_MAX};
use super::record;
use crate::metrics::Dropped;

impl<D: Disk> Spool<D> {
    /// Drops what has waited too long. What a reader has in its hands may be arriving just now, and is the reader's to give up.
    pub(super) fn expire(&mut self, now_ns: u64) {
        let age_ns = u64::try_from(self.limits.age.as_nanos()).unwrap_or(u64::MAX);
        for id in self.index.older_than(age_ns, now_ns) {
            for reader in self.index.waiting(id, true) {
                if !self.is_held_by(reader, id) {
                    self.settle_lost(reader, id, Dropped::Expired);
                }
            }
        }
    }

    /// Drops the oldest entries that there is no memory for. What is on disk needs none; what a reader has in its hands may
    /// still arrive, and is the reader's to give up.
    pub(super) fn drop_excess(&mut self, now_ns: u64) {
        while self.index.slots.len() > ENTRIES_MAX
            && let Some(id) = self.index.slots.keys().copied().find(|id| !self.index.is_given(*id))
        {
            self.lose(id, Dropped::SpoolFull, false);
        }
        let memory = if self.store.is_some() { self.limits.memory_bytes } else { self.limits.bytes };
        while self.body_bytes > memory
            && let Some(id) = self.bodies.keys().copied().find(|id| self.is_durable(*id) || !self.index.is_given(*id))
        {
            if self.is_durable(id) {
                self.forget_body(id);
            } else if !self.store.as_ref().is_some_and(super::store::Store::is_dirty) || !self.sync_entries(now_ns) {
                self.lose(id, Dropped::SpoolFull, false);
            }
        }
    }

    /// Whether an entry outlives a power cut.
    pub(super) fn is_durable(&self, id: u64) -> bool {
        id < self.unsynced && self.index.slots.get(&id).is_some_and(|slot| slot.place.is_some())
    }

    pub(super) fn forget_body(&mut self, id: u64) {
        if let Some(body) = self.bodies.remove(&id) {
            self.body_bytes -= body.len() as u64;
        }
    }

    /// Makes room on disk for an entry's record, by dropping whole segments, the oldest first. Returns whether the entry may
    /// be written: false where it is larger than the spool, and told as lost.
    pub(super) fn make_room(&mut self, id: u64, body: usize) -> io::Result<bool> {
        let (record, limit) = (record::size(body), self.limits.bytes);
        let segment_bytes = self.limits.segment_bytes.min(limit / 4).min(SEGMENT_MAX);
        if record > limit {
            self.lose(id, Dropped::SpoolFull, true);
            return Ok(false);
        }
        if self.store.as_ref().is_some_and(|store| store.is_full(record, segment_bytes)) {
            // What is behind is durable only after what is before.
            self.seal()?;
        }
        self.drop_segments(record)?;
        Ok(true)
    }

    /// Drops segments, the oldest first, until there is room for so many bytes more.
    pub(super) fn drop_segments(&mut self, more: u64) -> io::Result<()> {
        while self.store.as_ref().is_some_and(|store| store.bytes() > 0 && store.bytes() + more > self.limits.bytes) {
            self.drop_segment()?;
        }
        Ok(())
    }

    fn seal(&mut self) -> io::Result<()> {
        let Some(store) = &mut self.store else { return Ok(()) };
        store.sync()?;
        store.seal();
        self.unsynced = self.unwritten;
        Ok(())
    }

    /// The oldest segment that nobody needs; or of which no reader has anything in its hands, as what it sends may be arriving
    /// just now; or at all.
    fn least_needed(&self) -> Option<NonZeroU32> {
        let store = self.store.as_ref()?;
        let is_held = |id| self.index.readers().any(|reader| self.is_held_by(reader, id));
        let slots = self.index.slots.iter().filter(|(id, _)| is_held(**id));
        let held: BTreeSet<_> = slots.filter_map(|(_, slot)| Some(slot.place?.segment)).collect();
        let segments = || store.segments.iter().map(|(segment, of)| (*segment, of.live));
        let oldest = segments().find(|(_, live)| *live == 0);
        let oldest = oldest.or_else(|| segments().find(|(segment, _)| !held.contains(segment)));
        oldest.or_else(|| segments().next()).map(|(segment, _)| segment)
    }

    /// Whether a reader was given an entry, and has not settled it.
    fn is_held_by(&self, reader: usize, id: u64) -> bool {
        self.index.is_given_to(reader, id) && !self.aside.has(reader, id)
    }

    /// Removes the file of the segment that is least needed, and drops what is in it.
    fn drop_segment(&mut self) -> io::Result<()> {
        let Some(segment) = self.least_needed() else { return Err(io::ErrorKind::StorageFull.into()) };
        let is_in = |slot: &super::Slot| slot.place.is_some_and(|place| place.segment == segment);
        let ids: Vec<_> = self.index.slots.iter().filter(|(_, slot)| is_in(slot)).map(|(id, _)| *id).collect();
        for id in ids {
            self.lose(id, Dropped::SpoolFull, true);
        }
        if self.store.as_ref().and_then(super::Store::current) == Some(segment) {
            self.seal()?;
        }
        self.try_reclaim()
    }
}
