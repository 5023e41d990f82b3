//! Requests wait here until every destination that wants them has settled them: in order, bounded, and on disk if there is one.
//!
//! ```text
//! append -> memory and the newest segment file -> next(reader) -> acknowledge(reader) -> gone when all readers have
//! ```
//!
//! Each reader has a cursor of its own, so that none waits for another. One owner calls; nothing here waits, but for the
//! disk. `now_ns` is a clock that takes no step, and Unix time when the spool is opened. Every entry appended is acknowledged by each of its readers, or told by [`Spool::take_losses`], exactly once; after
//! a crash what was settled since the last [`Spool::sync`] may be given again.
//!
//! Memory: bodies up to [`Limits::memory_bytes`], about 150 bytes for each entry (a full spool of 1 GiB with requests of
//! 64 KiB: 2.5 MiB), of which there are at most [`entry::ENTRIES_MAX`], and one segment while it is opened.
//!
//! On disk: `lock`, `cursors`, and segments, whose names begin with their number. A segment is never appended to by another
//! run than its own, so that what a crash has cut stays the end of its file. It is removed once nobody needs any of it and
//! the cursors that say so are durable.

pub mod disk;
pub mod entry;

mod aside;
mod cursors;
mod failure;
mod index;
mod record;
mod recover;
mod room;
mod store;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;

use crate::metrics::Dropped;
use aside::{Aside, Body};
use disk::{Disk, Os};
use entry::{
    BODY_MAX, Depth, Entry, Given, Limits, Losses, Lost, NAME_MAX, READERS_MAX, Reader, STREAMS_MAX, TENANT_MAX,
};
use failure::Failure;
use index::{Index, Slot};
use store::Store;

/// Why there is no spool.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another one has it open.
    #[error("the spool in {} is used by another exporter; stop it or name another folder by --state", folder.display())]
    Used {
        /// Where.
        folder: PathBuf,
    },
    /// The folder cannot be used at all.
    #[error("cannot use {} for the spool: check that it is a folder of ours on a disk that works", folder.display())]
    Folder {
        /// Where.
        folder: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// What an earlier run has left cannot be read.
    #[error("cannot read the spool: check its disk, or name another folder by --state")]
    Read(#[source] io::Error),
    /// A destination's name cannot be that of a cursor.
    #[error("{0:?} is no name for a destination: use 1 to {NAME_MAX} of a-z, 0-9 and -, each name once")]
    Name(String),
    /// There are too many.
    #[error("at most {READERS_MAX} destinations, and {STREAMS_MAX} filters of one, have room in a spool")]
    TooMany,
}

/// Entries that wait, and how far each reader is. A reader is named by its place in the list that the spool was made with.
pub struct Spool<D: Disk = Os> {
    limits: Limits,
    index: Index,
    /// Bodies in memory: of all entries that are not durable, and of the newest ones.
    bodies: BTreeMap<u64, Bytes>,
    body_bytes: u64,
    losses: Losses,
    store: Option<Store<D>>,
    /// No entry before this one waits to be written.
    unwritten: u64,
    /// Entries on disk before this one are durable.
    unsynced: u64,
    failure: Option<Failure>,
    aside: Aside,
    inherited: u64,
}

impl Spool<Os> {
    /// A spool without a disk: what is in it ends with it.
    ///
    /// # Errors
    ///
    /// [`Error::Name`], [`Error::TooMany`]
    pub fn memory(limits: Limits, readers: Vec<Reader>) -> Result<Self, Error> {
        entry::check(&readers)?;
        Ok(Self::new(limits, Index::new(readers, 1), None))
    }
}

impl<D: Disk> Spool<D> {
    /// Opens what an earlier run has left, or begins anew. A reader that is not known yet starts with what is appended from
    /// now on; one that reads more streams than before may be given what of them is still there. What belonged to a reader, or to a stream of one, that is not configured any more is told as
    /// [`Dropped::Shutdown`]; what is damaged, as [`Dropped::SpoolFull`].
    ///
    /// A disk that cannot be written to now is tried again later: see [`Self::degraded`].
    ///
    /// # Errors
    ///
    /// [`Error::Name`], [`Error::TooMany`]; [`Error::Read`] where not even the names of the files, or the cursors, can be read.
    pub fn open(disk: D, limits: Limits, readers: Vec<Reader>, now_ns: u64) -> Result<Self, Error> {
        entry::check(&readers)?;
        let recovered = recover::recover(disk, readers, now_ns).map_err(Error::Read)?;
        let mut spool = Self::new(limits, recovered.index, Some(recovered.store));
        spool.losses = recovered.losses;
        spool.inherited = recovered.last_id;
        spool.expire(now_ns);
        spool.drop_excess(now_ns);
        spool.reclaim(now_ns);
        Ok(spool)
    }

    fn new(limits: Limits, index: Index, store: Option<Store<D>>) -> Self {
        let next = index.next_id;
        Self {
            limits,
            index,
            bodies: BTreeMap::new(),
            body_bytes: 0,
            losses: Losses::default(),
            store,
            unwritten: next,
            unsynced: next,
            failure: None,
            aside: Aside::default(),
            inherited: 0,
        }
    }

    /// Adds an entry behind all others, and writes it to the disk's cache: it outlives this process from here on, and a power
    /// cut after [`Self::sync`]. Returns its id; nothing where no reader reads its stream, or where it is larger than may be
    /// ([`Dropped::Encode`]).
    pub fn append(&mut self, entry: Entry, now_ns: u64) -> Option<u64> {
        let waiting = self.index.readers_of(entry.stream);
        if waiting == 0 {
            return None;
        }
        let id = self.index.push(&entry, waiting, now_ns);
        if entry.body.len() > BODY_MAX || entry.tenant.len() > TENANT_MAX {
            self.lose(id, Dropped::Encode, true);
            return None;
        }
        self.body_bytes += entry.body.len() as u64;
        self.bodies.insert(id, entry.body);
        self.expire(now_ns);
        self.flush(now_ns);
        self.drop_excess(now_ns);
        Some(id)
    }

    /// The id of the next entry that [`Self::append`] takes.
    #[must_use]
    pub fn next_id(&self) -> u64 {
        self.index.next_id
    }

    /// Makes durable what is new: entries, then cursors; and removes segments that nobody needs. Returns whether all entries
    /// outlive a power cut now; never, where there is no disk.
    pub fn sync(&mut self, now_ns: u64) -> bool {
        self.expire(now_ns);
        self.flush(now_ns);
        let is_done = self.sync_entries(now_ns) && self.reclaim(now_ns);
        if is_done && self.aside.is_empty() {
            self.failure = None;
        }
        self.drop_excess(now_ns);
        is_done && self.unsynced == self.index.next_id
    }

    /// The next entry that a reader was not given since the spool was made. It waits until the reader settles it.
    pub fn next(&mut self, reader: usize) -> Option<Given> {
        if !self.index.readers().contains(&reader) {
            return None;
        }
        if let Some(given) = self.next_aside(reader) {
            return Some(given);
        }
        loop {
            let (id, slot) = self.index.next(reader).map(|(id, slot)| (id, slot.clone()))?;
            match self.body(id, &slot) {
                Body::Here(body) => return Some(Given { id, entry: slot.entry(body) }),
                Body::Later => {
                    self.index.take_back(reader, id);
                    return None;
                }
                Body::Unreadable => self.aside.put(reader, id),
                Body::Gone => self.give_up(reader, id),
            }
        }
    }

    /// Whether [`Self::next`] may have an entry; it has none where not.
    #[must_use]
    pub fn has_next(&self, reader: usize) -> bool {
        self.aside.has_next(reader) || self.index.has_next(reader)
    }

    /// When an entry was appended, as `now_ns` said then. Of what an earlier run has left, what its calendar said; nothing
    /// where there is no such entry.
    #[must_use]
    pub fn since(&self, id: u64) -> Option<u64> {
        self.index.since(id)
    }

    /// A reader has delivered an entry. Returns whether that is news: false where the entry was settled before, or was told
    /// as lost meanwhile, and is in the books already.
    pub fn acknowledge(&mut self, reader: usize, id: u64) -> bool {
        self.settle(reader, id).is_some()
    }

    /// A reader gives an entry up: told with this reason. Returns whether that is news, as [`Self::acknowledge`] does.
    pub fn drop_entry(&mut self, reader: usize, id: u64, reason: Dropped) -> bool {
        self.settle_lost(reader, id, reason)
    }

    /// Bytes of what is kept: of the segments, or of all bodies where there is no disk.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.store.as_ref().map_or(self.body_bytes, Store::bytes)
    }

    /// Changes [`Limits::bytes`]; what has no room any more is dropped now, or by the next that is appended where the disk
    /// fails.
    pub fn set_bytes(&mut self, bytes: u64, now_ns: u64) {
        self.limits.bytes = bytes;
        self.drop_excess(now_ns);
        if let Err(cause) = self.drop_segments(0) {
            self.failed(cause, now_ns);
        }
    }

    /// Changes [`Limits::age`]; what is older is told as [`Dropped::Expired`] by the next call that looks.
    pub fn set_age(&mut self, age: Duration) {
        self.limits.age = age;
    }

    /// What was lost since the last call.
    pub fn take_losses(&mut self) -> Vec<Lost> {
        self.losses.take()
    }

    /// What waits for a reader.
    #[must_use]
    pub fn depth(&self, reader: usize) -> Depth {
        self.index.depth(reader)
    }

    /// The last entry that an earlier run had left, whatever became of it: none that came behind was there. 0: there was none.
    #[must_use]
    pub fn inherited(&self) -> u64 {
        self.inherited
    }

    /// Whether nobody needs an entry any more, or it outlives a power cut.
    #[must_use]
    pub fn is_safe(&self, id: u64) -> bool {
        !self.index.slots.contains_key(&id) || self.is_durable(id)
    }

    /// Whether an entry outlives this process.
    #[must_use]
    pub fn is_written(&self, id: u64) -> bool {
        id < self.unwritten && self.index.slots.get(&id).is_some_and(|slot| slot.place.is_some())
    }

    /// Why the disk is not used, or not trusted, at the moment; nothing where all is well.
    #[must_use]
    pub fn degraded(&self) -> Option<&io::Error> {
        self.failure.as_ref().map(Failure::cause)
    }

    /// Makes durable what can be, and ends. Returns the losses that were not taken, with what ends here
    /// ([`Dropped::Shutdown`]).
    #[must_use]
    pub fn close(mut self, now_ns: u64) -> Vec<Lost> {
        self.give_up_unkept(now_ns);
        self.take_losses()
    }

    /// Makes durable what can be; what is not then is lost ([`Dropped::Shutdown`]).
    pub fn give_up_unkept(&mut self, now_ns: u64) {
        self.failure = None;
        self.sync(now_ns);
        let ids: Vec<_> = self.bodies.keys().copied().filter(|id| !self.is_durable(*id)).collect();
        for id in ids {
            self.lose(id, Dropped::Shutdown, true);
        }
    }

    fn settle(&mut self, reader: usize, id: u64) -> Option<Slot> {
        let settled = self.index.settle(reader, id)?;
        if settled.is_last {
            self.forget_body(id);
            if let (Some(store), Some(place)) = (&mut self.store, settled.slot.place) {
                store.release(place);
            }
        }
        Some(settled.slot)
    }

    fn settle_lost(&mut self, reader: usize, id: u64, reason: Dropped) -> bool {
        let Some(slot) = self.settle(reader, id) else { return false };
        self.losses.add(self.index.lost(reader, reason, &slot));
        true
    }

    /// Readers that have not settled an entry lose it; those that have it in their hands too, if so asked.
    fn lose(&mut self, id: u64, reason: Dropped, with_given: bool) {
        for reader in self.index.waiting(id, with_given) {
            self.settle_lost(reader, id, reason);
        }
    }
}

impl<D: Disk> fmt::Debug for Spool<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.index.slots.len();
        f.debug_struct("Spool").field("entries", &entries).field("failure", &self.failure).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
