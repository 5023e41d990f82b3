//! Entries as bytes of a segment, and how what is whole of a damaged segment is found.
//!
//! ```text
//! record: head, body, head again (another magic number)
//! head:   magic, CRC32C of what follows, then [`Head`]'s fields; little-endian, always HEAD_BYTES
//! ```
//!
//! Any flipped bit is in one head, which the other one stands in for, or in the body, whose account both heads have. Where
//! both are gone, the next record says what was before it.

use std::sync::Arc;

use bytes::{Buf as _, BufMut as _};
use memchr::memmem::Finder;

use super::entry::{BODY_MAX, Entry, TENANT_MAX};

/// Bytes of a head, padded.
pub(super) const HEAD_BYTES: usize = 216;
/// Both begin alike, so that one search finds either.
const MAGIC: &[u8; 3] = b"\xf1in";
const FIRST: u8 = b'1';
const SECOND: u8 = b'2';

/// Records and accesses of a segment up to some place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) records: u64,
    pub(super) accesses: u64,
}

impl Totals {
    fn since(self, earlier: Self) -> Self {
        Self {
            records: self.records.saturating_sub(earlier.records),
            accesses: self.accesses.saturating_sub(earlier.accesses),
        }
    }
}

/// Where a segment ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct End {
    /// Of its last entry.
    pub(super) id: u64,
    pub(super) totals: Totals,
}

/// An entry without its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) id: u64,
    pub(super) stream: u64,
    pub(super) run: u128,
    pub(super) tenant: Arc<str>,
    pub(super) time_ns: u64,
    pub(super) records: u32,
    pub(super) accesses: u64,
    pub(super) len: u32,
    body_crc: u32,
    /// Of all records before it in its segment.
    pub(super) before: Totals,
}

impl Head {
    fn new(id: u64, entry: &Entry, before: Totals) -> Self {
        Self {
            id,
            stream: entry.stream,
            run: entry.run,
            tenant: Arc::clone(&entry.tenant),
            time_ns: entry.time_ns,
            records: entry.records,
            accesses: entry.accesses,
            len: entry.body.len() as u32,
            body_crc: crc32c::crc32c(&entry.body),
            before,
        }
    }

    /// Totals behind it.
    pub(super) fn after(&self) -> Totals {
        Totals {
            records: self.before.records.saturating_add(u64::from(self.records)),
            accesses: self.before.accesses.saturating_add(self.accesses),
        }
    }

    /// Whether these bytes are its body.
    pub(super) fn is_of(&self, body: &[u8]) -> bool {
        body.len() == self.len as usize && crc32c::crc32c(body) == self.body_crc
    }

    fn encode(&self, which: u8, salt: u32, to: &mut Vec<u8>) {
        let start = to.len();
        to.put_slice(MAGIC);
        to.put_u8(which);
        to.put_u32_le(0);
        to.put_u32_le(self.len);
        to.put_u32_le(self.body_crc);
        to.put_u64_le(self.id);
        to.put_u64_le(self.stream);
        to.put_u128_le(self.run);
        to.put_u64_le(self.time_ns);
        to.put_u64_le(self.accesses);
        to.put_u64_le(self.before.records);
        to.put_u64_le(self.before.accesses);
        to.put_u32_le(self.records);
        to.put_u8(self.tenant.len() as u8);
        to.put_slice(self.tenant.as_bytes());
        to.resize(start + HEAD_BYTES, 0);
        let crc = crc32c::crc32c_append(salt, &to[start + 8..]);
        to[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
    }

    fn decode(bytes: &[u8], which: u8, salt: u32) -> Option<Self> {
        let mut fields = bytes.get(..HEAD_BYTES)?;
        if !fields.starts_with(MAGIC) || fields[3] != which {
            return None;
        }
        fields.advance(4);
        if fields.get_u32_le() != crc32c::crc32c_append(salt, fields) {
            return None;
        }
        let (len, body_crc) = (fields.get_u32_le(), fields.get_u32_le());
        let (id, stream, run) = (fields.get_u64_le(), fields.get_u64_le(), fields.get_u128_le());
        let time_ns = fields.get_u64_le();
        let accesses = fields.get_u64_le();
        let before = Totals { records: fields.get_u64_le(), accesses: fields.get_u64_le() };
        let (records, tenant_len) = (fields.get_u32_le(), usize::from(fields.get_u8()));
        let tenant = std::str::from_utf8(fields.get(..tenant_len)?).ok()?;
        let is_valid = len as usize <= BODY_MAX && tenant_len <= TENANT_MAX && id > 0;
        is_valid.then(|| Self {
            id,
            stream,
            run,
            tenant: tenant.into(),
            time_ns,
            records,
            accesses,
            len,
            body_crc,
            before,
        })
    }
}

/// Bytes of a record on disk.
pub(super) fn size(body: usize) -> u64 {
    (body + 2 * HEAD_BYTES) as u64
}

/// Puts the record of an entry in place of what `to` holds. Returns the totals behind it.
///
/// `salt` is the segment's, and unknown to those whose accesses bodies tell of: none can make a body that holds a record.
pub(super) fn encode(id: u64, entry: &Entry, before: Totals, salt: u32, to: &mut Vec<u8>) -> Totals {
    let head = Head::new(id, entry, before);
    to.clear();
    head.encode(FIRST, salt, to);
    to.put_slice(&entry.body);
    head.encode(SECOND, salt, to);
    head.after()
}

/// A record of a segment.
#[derive(Debug)]
pub(super) struct Found {
    /// Where its first head begins.
    pub(super) offset: usize,
    pub(super) head: Head,
    pub(super) state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The body is as it was.
    Whole,
    /// It is not.
    Damaged,
    /// It is not, and neither is there a second head: written in part, if nothing follows.
    Torn,
}

/// Records one after the other of which nothing is left.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hole {
    /// Their ids are not above this one.
    pub(super) last: u64,
    /// Of the segment's other records; 0 where there are none.
    pub(super) run: u128,
    pub(super) totals: Totals,
}

/// What a segment holds, in its order.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) found: Vec<Found>,
    pub(super) holes: Vec<Hole>,
    pub(super) end: End,
}

/// Reads a segment. `durable` is where it ended at least: a last record behind that, written in part, is not there.
pub(super) fn scan(bytes: &[u8], salt: u32, durable: End) -> Scan {
    let mut scan = Scan::default();
    let mut at = 0;
    while let Some(found) = record_at(bytes, at, salt).or_else(|| search(bytes, at, salt)) {
        let head = &found.head;
        scan.skip_to(End { id: head.id - 1, totals: head.before });
        scan.end = End { id: head.id, totals: head.after() };
        at = found.offset + size(head.len as usize) as usize;
        scan.found.push(found);
    }
    if let Some(torn) = scan.found.pop_if(|found| found.state == State::Torn && found.head.id > durable.id) {
        scan.end = End { id: torn.head.id - 1, totals: torn.head.before };
    }
    scan.skip_to(durable);
    // A segment is one run's.
    let run = scan.found.first().map_or(0, |found| found.head.run);
    scan.holes.iter_mut().for_each(|hole| hole.run = run);
    scan
}

impl Scan {
    /// The segment went on until here at least.
    fn skip_to(&mut self, end: End) {
        let totals = end.totals.since(self.end.totals);
        if totals != Totals::default() {
            self.holes.push(Hole { last: end.id, run: 0, totals });
            self.end = end;
        }
    }
}

/// Whether these are the bytes of an entry's record with the body as it was; one head may be damaged.
pub(super) fn is_whole(bytes: &[u8], id: u64, salt: u32) -> bool {
    scan(bytes, salt, End::default())
        .found
        .first()
        .is_some_and(|found| found.offset == 0 && found.head.id == id && found.state == State::Whole)
}

fn record_at(bytes: &[u8], offset: usize, salt: u32) -> Option<Found> {
    let head = Head::decode(bytes.get(offset..)?, FIRST, salt)?;
    let start = offset + HEAD_BYTES;
    let end = start + head.len as usize;
    let is_whole = bytes.get(start..end).is_some_and(|body| head.is_of(body));
    let has_second = || bytes.get(end..).and_then(|rest| Head::decode(rest, SECOND, salt)).is_some();
    let state = match is_whole {
        true => State::Whole,
        false if has_second() => State::Damaged,
        false => State::Torn,
    };
    Some(Found { offset, head, state })
}

/// The first record from `at` on of which a head is left.
fn search(bytes: &[u8], at: usize, salt: u32) -> Option<Found> {
    let rest = bytes.get(at..)?;
    Finder::new(MAGIC).find_iter(rest).find_map(|place| {
        let place = at + place;
        record_at(bytes, place, salt).or_else(|| {
            let head = Head::decode(&bytes[place..], SECOND, salt)?;
            let start = place.checked_sub(head.len as usize)?;
            let offset = start.checked_sub(HEAD_BYTES).filter(|offset| *offset >= at)?;
            let state = if head.is_of(&bytes[start..place]) { State::Whole } else { State::Damaged };
            Some(Found { offset, head, state })
        })
    })
}
