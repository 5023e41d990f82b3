//! What an earlier run has left.

use std::collections::BTreeMap;
use std::io;
use std::num::NonZeroU32;
use std::sync::Arc;

use rustix::io::Errno;

use super::cursors::{Cursors, Line, SLOT_BYTES};
use super::disk::{Disk, read_up_to};
use super::entry::{BODY_MAX, Losses, Lost, Reader, SEGMENT_MAX};
use super::index::Index;
use super::record::{self, End, Head, Hole, Scan, State};
use super::store::{self, CURSORS, Place, Segment, Store};
use crate::metrics::Dropped;

/// Bytes of which a read error takes all.
const PAGE: usize = 4096;

#[derive(Debug)]
pub(super) struct Recovered<D: Disk> {
    pub(super) index: Index,
    pub(super) store: Store<D>,
    pub(super) losses: Losses,
    /// The last entry of all.
    pub(super) last_id: u64,
}

/// Entries of all segments that somebody has a claim to, by id.
#[derive(Debug, Default)]
struct Entries {
    whole: BTreeMap<u64, (Head, Place)>,
    damaged: BTreeMap<u64, Head>,
    holes: Vec<Hole>,
    /// The last one of all, claimed or not.
    last_id: u64,
}

/// Who had a claim to entries when they were written.
#[derive(Debug)]
struct Claim {
    line: Line,
    /// Place among today's readers, and which of its streams it reads today.
    reader: Option<(usize, Vec<u64>)>,
}

pub(super) fn recover<D: Disk>(disk: D, readers: Vec<Reader>, now_ns: u64) -> io::Result<Recovered<D>> {
    let names = disk.list()?;
    let cursors = if names.iter().any(|name| name == CURSORS) { read_cursors(&disk)? } else { None };
    let ends: BTreeMap<_, _> = cursors.iter().flat_map(|cursors| cursors.ends.iter().copied()).collect();
    let mut found: Vec<_> = names.iter().filter_map(|name| Some((store::parse(name)?, name))).collect();
    found.sort_unstable();
    let generation = cursors.as_ref().map_or(0, |cursors| cursors.generation);
    let floor = cursors.as_ref().map_or(1, Cursors::floor);
    let claims = claims(cursors, &readers, !found.is_empty());
    let mut segments = BTreeMap::new();
    let mut entries = Entries::default();
    for ((segment, salt), name) in found {
        let durable = ends.get(&(segment.get(), salt)).copied().unwrap_or_default();
        let bytes = read_segment(&disk, name)?;
        let durable = entries.add(record::scan(&bytes, salt, durable), segment, &claims);
        segments.insert(segment, Segment { salt, bytes: bytes.len() as u64, live: 0, durable });
    }
    let next_id = floor.max(entries.last_id + 1);
    let mut recovered = Recovered {
        index: Index::new(readers, next_id),
        store: Store::new(disk, segments, generation),
        losses: Losses::default(),
        last_id: entries.last_id,
    };
    recovered.fill(&entries, &claims, now_ns);
    Ok(recovered)
}

impl<D: Disk> Recovered<D> {
    fn fill(&mut self, entries: &Entries, claims: &[Claim], now_ns: u64) {
        for (id, (head, place)) in &entries.whole {
            let mut waiting = 0;
            for claim in claims.iter().filter(|claim| claim.covers(*id, head.stream)) {
                match claim.reads(head.stream) {
                    Some(reader) => waiting |= 1 << reader,
                    None => self.losses.add(claim.lost(head, Dropped::Shutdown)),
                }
            }
            if waiting != 0 {
                self.index.restore(head, waiting, *place, now_ns);
                self.store.hold(*place);
            }
        }
        for (id, head) in entries.damaged.iter().filter(|(id, _)| !entries.whole.contains_key(id)) {
            for claim in claims.iter().filter(|claim| claim.covers(*id, head.stream)) {
                let is_read = claim.reads(head.stream).is_some();
                self.losses.add(claim.lost(head, if is_read { Dropped::SpoolFull } else { Dropped::Shutdown }));
            }
        }
        for hole in &entries.holes {
            for claim in claims.iter().filter(|claim| claim.line.cursor < hole.last) {
                self.losses.add(claim.lost_hole(hole));
            }
        }
    }
}

impl Entries {
    /// Adds a segment's. Returns where it ends.
    fn add(&mut self, scan: Scan, segment: NonZeroU32, claims: &[Claim]) -> End {
        self.holes.extend(scan.holes);
        self.last_id = self.last_id.max(scan.end.id);
        for found in scan.found {
            if !claims.iter().any(|claim| claim.covers(found.head.id, found.head.stream)) {
                continue;
            }
            let place = Place { segment, offset: found.offset as u32 };
            // Of what was written again, the last one is it.
            match found.state {
                State::Whole => drop(self.whole.insert(found.head.id, (found.head, place))),
                State::Damaged | State::Torn => drop(self.damaged.insert(found.head.id, found.head)),
            }
        }
        scan.end
    }
}

impl Cursors {
    /// No entry had this id, or a higher one, as far as cursors know.
    fn floor(&self) -> u64 {
        self.lines.iter().map(|line| line.cursor + 1).max().unwrap_or(1).max(self.next_id)
    }
}

impl Claim {
    fn covers(&self, id: u64, stream: u64) -> bool {
        id > self.line.cursor && self.line.streams.contains(&stream)
    }

    /// The reader, where it reads the stream today.
    fn reads(&self, stream: u64) -> Option<usize> {
        self.reader.as_ref().filter(|(_, streams)| streams.contains(&stream)).map(|(reader, _)| *reader)
    }

    fn lost(&self, head: &Head, reason: Dropped) -> Lost {
        Lost {
            reader: self.line.name.as_str().into(),
            reason,
            stream: Some(head.stream),
            run: head.run,
            tenant: Arc::clone(&head.tenant),
            records: u64::from(head.records),
            accesses: head.accesses,
        }
    }

    fn lost_hole(&self, hole: &Hole) -> Lost {
        let reason = if self.reader.is_some() { Dropped::SpoolFull } else { Dropped::Shutdown };
        let Hole { run, totals, .. } = *hole;
        let (reader, tenant) = (self.line.name.as_str().into(), "".into());
        Lost { reader, reason, stream: None, run, tenant, records: totals.records, accesses: totals.accesses }
    }
}

/// Claims of the readers of the last run. Where nothing is left that says who they were, today's have all of it: twice is
/// better than not at all.
fn claims(cursors: Option<Cursors>, readers: &[Reader], has_segments: bool) -> Vec<Claim> {
    let place = |name: &str| {
        let reader = readers.iter().position(|reader| reader.name == name)?;
        Some((reader, readers[reader].streams.clone()))
    };
    let all = |reader: &Reader| Line { name: reader.name.clone(), cursor: 0, streams: reader.streams.clone() };
    let lines = match cursors {
        Some(cursors) => cursors.lines,
        None if has_segments => readers.iter().map(all).collect(),
        None => Vec::new(),
    };
    lines.into_iter().map(|line| Claim { reader: place(&line.name), line }).collect()
}

fn read_cursors<D: Disk>(disk: &D) -> io::Result<Option<Cursors>> {
    let Some(file) = or_bad_sector(disk.open(CURSORS), CURSORS)? else { return Ok(None) };
    let slot = |slot: u64| {
        let mut bytes = vec![0; SLOT_BYTES];
        let read = or_bad_sector(read_up_to(disk, &file, &mut bytes, slot * SLOT_BYTES as u64), CURSORS)?;
        io::Result::Ok(Cursors::decode(&bytes[..read.unwrap_or(0)]))
    };
    let slots = [slot(0)?, slot(1)?];
    Ok(slots.into_iter().flatten().max_by_key(|cursors| cursors.generation))
}

fn read_segment<D: Disk>(disk: &D, name: &str) -> io::Result<Vec<u8>> {
    let Some(file) = or_bad_sector(disk.open(name), name)? else { return Ok(Vec::new()) };
    let len = or_bad_sector(disk.len(&file), name)?.unwrap_or(0);
    // A run that was killed has not: this one promises that what it has read outlives a power cut.
    if let Err(error) = disk.sync(&file) {
        tracing::warn!(%error, "the spool's {name} may not be durable");
    }
    // None of ours is larger.
    let mut bytes = vec![0; len.min(SEGMENT_MAX + record::size(BODY_MAX)) as usize];
    if or_bad_sector(read_up_to(disk, &file, &mut bytes, 0), name)?.is_none() {
        // Page by page: those that cannot be read are as damaged as they can be.
        for (page, to) in bytes.chunks_mut(PAGE).enumerate() {
            if or_bad_sector(read_up_to(disk, &file, to, (page * PAGE) as u64), name)?.is_none() {
                to.fill(0);
            }
        }
    }
    Ok(bytes)
}

/// Nothing where the disk has lost what was asked for: the rest is of use. Other errors may pass.
fn or_bad_sector<T>(result: io::Result<T>, name: &str) -> io::Result<Option<T>> {
    match result {
        Err(error) if Errno::from_io_error(&error) == Some(Errno::IO) => {
            tracing::warn!(%error, "a part of the spool's {name} cannot be read");
            Ok(None)
        }
        result => result.map(Some),
    }
}
