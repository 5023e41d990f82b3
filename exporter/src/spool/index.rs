//! Which entries there are, and who has not settled them. Bodies are elsewhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::cursors::Line;
use super::entry::{Depth, Entry, Lost, Reader};
use super::record::Head;
use super::store::Place;
use crate::metrics::Dropped;

/// An entry that at least one reader has not settled.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) stream: u64,
    pub(super) run: u128,
    pub(super) tenant: Arc<str>,
    pub(super) time_ns: u64,
    /// When it was appended, by the clock of the one who calls.
    since_ns: u64,
    pub(super) accesses: u64,
    pub(super) records: u32,
    pub(super) len: u32,
    /// Readers that have not settled it, one bit each.
    waiting: u32,
    /// Where it is on disk.
    pub(super) place: Option<Place>,
}

impl Slot {
    /// The entry as it was appended.
    pub(super) fn entry(&self, body: Bytes) -> Entry {
        let Self { stream, run, time_ns, accesses, records, .. } = *self;
        Entry { stream, run, tenant: Arc::clone(&self.tenant), time_ns, records, accesses, body }
    }
}

#[derive(Debug)]
struct State {
    name: Arc<str>,
    /// Sorted.
    streams: Vec<u64>,
    /// The last one that it was given.
    given: u64,
    /// It has settled all before this one.
    first: u64,
    depth: Depth,
}

/// All entries, in order.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) slots: BTreeMap<u64, Slot>,
    readers: Vec<State>,
    pub(super) next_id: u64,
}

impl Index {
    pub(super) fn new(readers: Vec<Reader>, next_id: u64) -> Self {
        let state = |Reader { name, mut streams }| {
            streams.sort_unstable();
            streams.dedup();
            State { name: name.into(), streams, given: 0, first: next_id, depth: Depth::default() }
        };
        Self { slots: BTreeMap::new(), readers: readers.into_iter().map(state).collect(), next_id }
    }

    /// Readers that read a stream, one bit each.
    pub(super) fn readers_of(&self, stream: u64) -> u32 {
        let reads = |state: &State| state.streams.binary_search(&stream).is_ok();
        self.readers.iter().enumerate().filter(|(_, state)| reads(state)).fold(0, |bits, (at, _)| bits | 1 << at)
    }

    pub(super) fn name(&self, reader: usize) -> &Arc<str> {
        &self.readers[reader].name
    }

    pub(super) fn readers(&self) -> std::ops::Range<usize> {
        0..self.readers.len()
    }

    /// Adds an entry behind all others. Returns its id.
    pub(super) fn push(&mut self, entry: &Entry, waiting: u32, now_ns: u64) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let slot = Slot {
            stream: entry.stream,
            run: entry.run,
            tenant: Arc::clone(&entry.tenant),
            time_ns: entry.time_ns,
            since_ns: self.not_before_the_last(now_ns),
            accesses: entry.accesses,
            records: entry.records,
            len: entry.body.len() as u32,
            waiting,
            place: None,
        };
        self.insert(id, slot);
        id
    }

    /// Adds an entry that an earlier run has left. They come in order, and before all others. All that is known of its age
    /// is what the calendar said when it was made.
    pub(super) fn restore(&mut self, head: &Head, waiting: u32, place: Place, now_ns: u64) {
        let slot = Slot {
            stream: head.stream,
            run: head.run,
            tenant: Arc::clone(&head.tenant),
            time_ns: head.time_ns,
            since_ns: self.not_before_the_last(head.time_ns.min(now_ns)),
            accesses: head.accesses,
            records: head.records,
            len: head.len,
            waiting,
            place: Some(place),
        };
        self.insert(head.id, slot);
    }

    /// What comes later is not older, whatever calendars said: [`Self::older_than`] looks no further than it must.
    fn not_before_the_last(&self, since_ns: u64) -> u64 {
        self.slots.last_key_value().map_or(since_ns, |(_, last)| last.since_ns.max(since_ns))
    }

    fn insert(&mut self, id: u64, slot: Slot) {
        for (at, state) in self.readers.iter_mut().enumerate().filter(|(at, _)| slot.waiting & (1 << at) != 0) {
            debug_assert!(at < 32);
            if state.depth.entries == 0 {
                state.first = id;
            }
            state.depth.entries += 1;
            state.depth.bytes += u64::from(slot.len);
            state.depth.accesses = state.depth.accesses.saturating_add(slot.accesses);
        }
        self.slots.insert(id, slot);
    }

    /// The next entry that a reader was not given.
    pub(super) fn next(&mut self, reader: usize) -> Option<(u64, &Slot)> {
        let state = &mut self.readers[reader];
        let next = self.slots.range(state.given + 1..).find(|(_, slot)| slot.waiting & (1 << reader) != 0);
        state.given = next.map_or(self.next_id - 1, |(id, _)| *id);
        next.map(|(id, slot)| (*id, slot))
    }

    /// Whether [`Self::next`] has one.
    pub(super) fn has_next(&self, reader: usize) -> bool {
        let Some(state) = self.readers.get(reader) else { return false };
        self.slots.range(state.given + 1..).any(|(_, slot)| slot.waiting & (1 << reader) != 0)
    }

    /// It was not given after all.
    pub(super) fn take_back(&mut self, reader: usize, id: u64) {
        self.readers[reader].given = id - 1;
    }

    /// A reader is done with an entry. Nothing where it was already. With the last reader, the entry is not there any more.
    pub(super) fn settle(&mut self, reader: usize, id: u64) -> Option<Settled> {
        let slot = self.slots.get_mut(&id)?;
        let state = self.readers.get_mut(reader).filter(|_| slot.waiting & (1 << reader) != 0)?;
        slot.waiting &= !(1 << reader);
        state.depth.entries -= 1;
        state.depth.bytes -= u64::from(slot.len);
        state.depth.accesses = state.depth.accesses.saturating_sub(slot.accesses);
        let settled = Settled { slot: slot.clone(), is_last: slot.waiting == 0 };
        if settled.is_last {
            self.slots.remove(&id);
        }
        if state.first == id && state.depth.entries > 0 {
            let next = self.slots.range(id..).find(|(_, slot)| slot.waiting & (1 << reader) != 0);
            state.first = next.map_or(self.next_id, |(id, _)| *id);
        }
        Some(settled)
    }

    /// Readers that have not settled an entry, but for those that it was given to, if so asked.
    pub(super) fn waiting(&self, id: u64, with_given: bool) -> Vec<usize> {
        let bits = self.slots.get(&id).map_or(0, |slot| slot.waiting);
        let waits = |at: &usize| bits & (1 << at) != 0 && (with_given || self.readers[*at].given < id);
        self.readers().filter(waits).collect()
    }

    /// Whether a reader was given an entry, or has passed it, and has not settled it.
    pub(super) fn is_given_to(&self, reader: usize, id: u64) -> bool {
        self.readers[reader].given >= id && self.slots.get(&id).is_some_and(|slot| slot.waiting & (1 << reader) != 0)
    }

    /// Whether all who have not settled an entry have it in their hands.
    pub(super) fn is_given(&self, id: u64) -> bool {
        self.waiting(id, false).is_empty()
    }

    pub(super) fn lost(&self, reader: usize, reason: Dropped, slot: &Slot) -> Lost {
        Lost {
            reader: Arc::clone(self.name(reader)),
            reason,
            stream: Some(slot.stream),
            run: slot.run,
            tenant: Arc::clone(&slot.tenant),
            records: u64::from(slot.records),
            accesses: slot.accesses,
        }
    }

    pub(super) fn depth(&self, reader: usize) -> Depth {
        let Some(state) = self.readers.get(reader) else { return Depth::default() };
        let first = self.slots.get(&state.first).filter(|_| state.depth.entries > 0);
        Depth { oldest_ns: first.map(|slot| slot.time_ns), ..state.depth }
    }

    /// Ids of entries that were appended so long before `now_ns`.
    pub(super) fn older_than(&self, age_ns: u64, now_ns: u64) -> Vec<u64> {
        let is_old = |slot: &Slot| now_ns.saturating_sub(slot.since_ns) >= age_ns;
        self.slots.iter().take_while(|(_, slot)| is_old(slot)).map(|(id, _)| *id).collect()
    }

    /// When an entry was appended.
    pub(super) fn since(&self, id: u64) -> Option<u64> {
        Some(self.slots.get(&id)?.since_ns)
    }

    /// How far each reader is.
    pub(super) fn cursors(&self) -> Vec<Line> {
        let line = |state: &State| Line {
            name: state.name.to_string(),
            cursor: if state.depth.entries > 0 { state.first - 1 } else { self.next_id - 1 },
            streams: state.streams.clone(),
        };
        self.readers.iter().map(line).collect()
    }
}

/// What a reader was done with.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) slot: Slot,
    pub(super) is_last: bool,
}
