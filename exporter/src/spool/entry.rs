//! What goes into the spool, what comes out of it, and what is lost in it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::Error;
use crate::metrics::Dropped;

/// Bytes of a body at most.
pub const BODY_MAX: usize = 4 << 20;
/// Bytes of a tenant's name at most.
pub const TENANT_MAX: usize = 128;
/// Readers at most.
pub const READERS_MAX: usize = 32;
/// Streams of one reader at most.
pub const STREAMS_MAX: usize = 64;
/// Bytes of a reader's name at most.
pub const NAME_MAX: usize = 64;
/// Bytes of a segment at most, besides a last entry.
pub(super) const SEGMENT_MAX: u64 = 64 << 20;
/// Entries at most, however small they are. One costs about 150 bytes of memory besides its body: 10 MiB in all.
pub const ENTRIES_MAX: usize = 65_536;

/// Bounds of a spool.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of all segments on disk, or of all bodies where there is no disk.
    pub bytes: u64,
    /// How long an entry may wait. Of what an earlier run has left, from [`Entry::time_ns`] on.
    pub age: Duration,
    /// Bytes of one segment at most, unless a single entry is larger; never more than a quarter of `bytes`, and 64 MiB.
    pub segment_bytes: u64,
    /// Bytes of bodies that are kept in memory beside the disk: a reader that keeps up never reads it. What the disk does not
    /// take waits here too. Not used where there is no disk.
    pub memory_bytes: u64,
}

impl Limits {
    /// Bytes of a segment where nothing else is asked for.
    pub const SEGMENT_BYTES: u64 = 8 << 20;
}

/// One who reads: a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reader {
    /// What its cursor is kept under: 1 to [`NAME_MAX`] of a-z, 0-9 and `-`.
    pub name: String,
    /// The streams whose entries it is given; at most [`STREAMS_MAX`].
    pub streams: Vec<u64>,
}

/// A request that waits to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whose it is: opaque.
    pub stream: u64,
    /// The run of the exporter that made it: opaque.
    pub run: u128,
    /// The tenant to send it as, at most [`TENANT_MAX`] bytes: opaque.
    pub tenant: Arc<str>,
    /// When it was made, nanoseconds since the Unix epoch.
    pub time_ns: u64,
    /// Log records in it.
    pub records: u32,
    /// Accesses that they stand for.
    pub accesses: u64,
    /// The request, at most [`BODY_MAX`] bytes: opaque.
    pub body: Bytes,
}

/// An entry, given to a reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// What it is settled by. Ids rise; they outlive a restart.
    pub id: u64,
    /// The entry, byte for byte as it was appended.
    pub entry: Entry,
}

/// Entries that a reader does not get, or has settled without an acknowledgement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The reader's name. It may be one that is not configured any more.
    pub reader: Arc<str>,
    /// Why: [`Dropped::SpoolFull`] (no room, or damaged on disk), [`Dropped::Expired`], [`Dropped::Shutdown`] (the reader, or
    /// its stream, is not configured any more), [`Dropped::Encode`] (too large), or what the reader said.
    pub reason: Dropped,
    /// Whose they were; nothing where too much is damaged to tell.
    pub stream: Option<u64>,
    /// The run that had made them; 0 where too much is damaged to tell.
    pub run: u128,
    /// The tenant; empty where too much is damaged to tell.
    pub tenant: Arc<str>,
    /// Log records in them.
    pub records: u64,
    /// Accesses that they stood for. Where `stream` is nothing, some may have been settled, or other readers' only: an upper
    /// bound.
    pub accesses: u64,
}

/// What waits for a reader: not settled by it yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Entries.
    pub entries: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// Accesses that they stand for.
    pub accesses: u64,
    /// When the first of them was made, nanoseconds since the Unix epoch.
    pub oldest_ns: Option<u64>,
}

/// Losses that were not told yet, one sum for each reader, reason, stream, run and tenant.
#[derive(Debug, Default)]
pub(super) struct Losses(BTreeMap<Account, (u64, u64)>);

type Account = (Arc<str>, Dropped, Option<u64>, u128, Arc<str>);

impl Losses {
    pub(super) fn add(&mut self, lost: Lost) {
        // Streams and tenants come from others: were there ever more, they are told as nobody's.
        let full = self.0.len() >= ENTRIES_MAX;
        let mut key = (lost.reader, lost.reason, lost.stream, lost.run, lost.tenant);
        if full && !self.0.contains_key(&key) {
            key = (key.0, key.1, None, key.3, "".into());
        }
        let sum = self.0.entry(key).or_default();
        sum.0 += lost.records;
        sum.1 = sum.1.saturating_add(lost.accesses);
    }

    pub(super) fn take(&mut self) -> Vec<Lost> {
        let lost = |((reader, reason, stream, run, tenant), (records, accesses))| Lost {
            reader,
            reason,
            stream,
            run,
            tenant,
            records,
            accesses,
        };
        std::mem::take(&mut self.0).into_iter().map(lost).collect()
    }
}

/// Whether there can be such readers together.
pub(super) fn check(readers: &[Reader]) -> Result<(), Error> {
    if readers.len() > READERS_MAX || readers.iter().any(|reader| reader.streams.len() > STREAMS_MAX) {
        return Err(Error::TooMany);
    }
    for (at, Reader { name, .. }) in readers.iter().enumerate() {
        let is_name = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        let is_valid = (1..=NAME_MAX).contains(&name.len()) && name.bytes().all(is_name);
        if !is_valid || readers[..at].iter().any(|other| other.name == *name) {
            return Err(Error::Name(name.clone()));
        }
    }
    Ok(())
}
