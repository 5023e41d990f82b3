//! Segment files and the file of cursors. It knows bytes and places; what they are worth is the spool's to know.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::num::NonZeroU32;

use bytes::Bytes;

use super::cursors::{Cursors, ENDS_MAX, Line, SLOT_BYTES};
use super::disk::{Disk, read_up_to, write_all};
use super::entry::Entry;
use super::record::{self, End, HEAD_BYTES};

pub(super) const CURSORS: &str = "cursors";

/// Where an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) segment: NonZeroU32,
    pub(super) offset: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    /// Of its checksums, and in its name, where no bit flips.
    pub(super) salt: u32,
    pub(super) bytes: u64,
    /// Entries in it that somebody has not settled.
    pub(super) live: u32,
    /// What of it is durable.
    pub(super) durable: End,
}

/// What is appended to.
#[derive(Debug)]
struct Current<F> {
    segment: NonZeroU32,
    file: F,
    end: End,
    is_dirty: bool,
}

#[derive(Debug)]
pub(super) struct Store<D: Disk> {
    pub(super) disk: D,
    pub(super) segments: BTreeMap<NonZeroU32, Segment>,
    current: Option<Current<D::File>>,
    /// A segment's name may not be durable.
    is_folder_dirty: bool,
    /// What both slots together say for sure. The newest one is at `generation % 2`.
    cursors: Cursors,
    cursor_file: Option<D::File>,
    /// Slots of [`Self::cursors`] that know all readers that there are.
    slots_ready: u8,
    /// The last segment that was read.
    reading: Option<(NonZeroU32, D::File)>,
    buffer: Vec<u8>,
}

impl<D: Disk> Store<D> {
    /// `generation` is the newest one that is on disk.
    pub(super) fn new(disk: D, segments: BTreeMap<NonZeroU32, Segment>, generation: u64) -> Self {
        let cursors = Cursors { generation, ..Cursors::default() };
        Self {
            disk,
            segments,
            current: None,
            is_folder_dirty: false,
            cursors,
            cursor_file: None,
            slots_ready: 0,
            reading: None,
            buffer: Vec::new(),
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.segments.values().map(|segment| segment.bytes).sum()
    }

    pub(super) fn current(&self) -> Option<NonZeroU32> {
        self.current.as_ref().map(|current| current.segment)
    }

    /// Whether an entry of so many bytes must not go into the current segment.
    pub(super) fn is_full(&self, record: u64, segment_bytes: u64) -> bool {
        let bytes = self.current().and_then(|segment| self.segments.get(&segment)).map_or(0, |segment| segment.bytes);
        bytes > 0 && bytes + record > segment_bytes
    }

    /// Whether something was written that is not durable.
    pub(super) fn is_dirty(&self) -> bool {
        self.current.as_ref().is_some_and(|current| current.is_dirty)
    }

    /// Writes an entry behind the last one.
    pub(super) fn append(&mut self, id: u64, entry: &Entry) -> io::Result<Place> {
        if self.current.is_none() {
            self.current = Some(self.begin()?);
        }
        let (Some(current), disk) = (&mut self.current, &self.disk) else { return Err(io::ErrorKind::NotFound.into()) };
        let Some(segment) = self.segments.get_mut(&current.segment) else { return Err(io::ErrorKind::NotFound.into()) };
        let offset = u32::try_from(segment.bytes).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let totals = record::encode(id, entry, current.end.totals, segment.salt, &mut self.buffer);
        current.is_dirty = true;
        // The room that it takes, also where it takes only a part.
        segment.bytes += self.buffer.len() as u64;
        write_all(disk, &current.file, &self.buffer, u64::from(offset))?;
        current.end = End { id, totals };
        segment.live += 1;
        Ok(Place { segment: current.segment, offset })
    }

    fn begin(&mut self) -> io::Result<Current<D::File>> {
        let last = self.segments.last_key_value().map(|(segment, of)| (*segment, *of));
        let (segment, salt) = if let Some((segment, Segment { bytes: 0, salt, .. })) = last {
            // Making it failed; there may be a file nevertheless.
            (segment, salt)
        } else {
            let last = last.map_or(0, |(segment, _)| segment.get());
            let segment = last.checked_add(1).and_then(NonZeroU32::new).ok_or(io::ErrorKind::FileTooLarge)?;
            (segment, RandomState::new().hash_one(segment) as u32)
        };
        self.segments.insert(segment, Segment { salt, bytes: 0, live: 0, durable: End::default() });
        let file = self.disk.create(&name(segment, salt))?;
        self.is_folder_dirty = true;
        Ok(Current { segment, file, end: End::default(), is_dirty: false })
    }

    /// Makes durable what was written.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if let Some(current) = self.current.as_mut().filter(|current| current.is_dirty) {
            self.disk.sync(&current.file)?;
            if self.is_folder_dirty {
                self.disk.sync_folder()?;
                self.is_folder_dirty = false;
            }
            current.is_dirty = false;
            if let Some(segment) = self.segments.get_mut(&current.segment) {
                segment.durable = current.end;
            }
        }
        Ok(())
    }

    /// The next entry goes into a new segment.
    pub(super) fn seal(&mut self) {
        self.current = None;
    }

    /// An entry in a segment is not needed any more.
    pub(super) fn release(&mut self, place: Place) {
        if let Some(segment) = self.segments.get_mut(&place.segment) {
            segment.live = segment.live.saturating_sub(1);
        }
    }

    /// An entry that an earlier run has left is needed.
    pub(super) fn hold(&mut self, place: Place) {
        if let Some(segment) = self.segments.get_mut(&place.segment) {
            segment.live += 1;
        }
    }

    /// The body of an entry; nothing where it is damaged.
    pub(super) fn read(&mut self, place: Place, id: u64, len: u32) -> io::Result<Option<Bytes>> {
        let Some(segment) = self.segments.get(&place.segment) else { return Err(io::ErrorKind::NotFound.into()) };
        if self.reading.as_ref().is_none_or(|(open, _)| *open != place.segment) {
            self.reading = Some((place.segment, self.disk.open(&name(place.segment, segment.salt))?));
        }
        let Some((_, file)) = &self.reading else { return Err(io::ErrorKind::NotFound.into()) };
        let mut bytes = vec![0; record::size(len as usize) as usize];
        let read = read_up_to(&self.disk, file, &mut bytes, u64::from(place.offset));
        if read.is_err() {
            self.reading = None;
        }
        bytes.truncate(read?);
        let is_whole = record::is_whole(&bytes, id, segment.salt);
        Ok(is_whole.then(|| Bytes::from(bytes).slice(HEAD_BYTES..HEAD_BYTES + len as usize)))
    }

    /// Whether readers can be kept, so that entries may be written for them.
    pub(super) fn is_ready(&self) -> bool {
        self.slots_ready == 2
    }

    /// Makes cursors durable, in both slots if readers are new to them.
    pub(super) fn store_cursors(&mut self, lines: Vec<Line>, next_id: u64) -> io::Result<()> {
        let ends = self.segments.iter().rev().filter(|(_, segment)| segment.durable != End::default());
        let ends: Vec<_> =
            ends.map(|(seq, segment)| ((seq.get(), segment.salt), segment.durable)).take(ENDS_MAX).collect();
        let mut cursors = Cursors { generation: self.cursors.generation, next_id, lines, ends };
        while !self.is_ready() || self.cursors != cursors {
            cursors.generation = self.cursors.generation + 1;
            self.store_slot(&cursors)?;
            self.cursors.clone_from(&cursors);
            self.slots_ready = 2.min(self.slots_ready + 1);
        }
        Ok(())
    }

    /// Cursors are to be written again, though they are as they were: whether that can be done says whether the disk works.
    pub(super) fn doubt_cursors(&mut self) {
        self.slots_ready = self.slots_ready.min(1);
    }

    /// Writes the older slot. As long as that fails, it is the same one.
    fn store_slot(&mut self, cursors: &Cursors) -> io::Result<()> {
        if self.cursor_file.is_none() {
            self.cursor_file = Some(self.disk.create(CURSORS)?);
        }
        let Some(file) = &self.cursor_file else { return Err(io::ErrorKind::NotFound.into()) };
        write_all(&self.disk, file, &cursors.encode(), cursors.generation % 2 * SLOT_BYTES as u64)?;
        self.disk.sync(file)?;
        if self.is_ready() { Ok(()) } else { self.disk.sync_folder() }
    }

    /// Removes segments that nobody needs, as cursors on disk say too.
    pub(super) fn remove_settled(&mut self) -> io::Result<()> {
        let current = self.current();
        let settled = |(seq, segment): (&NonZeroU32, &Segment)| {
            (segment.live == 0 && current != Some(*seq)).then_some((*seq, segment.salt))
        };
        for (seq, salt) in self.segments.iter().filter_map(settled).collect::<Vec<_>>() {
            if self.reading.as_ref().is_some_and(|(open, _)| *open == seq) {
                self.reading = None;
            }
            match self.disk.remove(&name(seq, salt)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => self.segments.remove(&seq),
            };
        }
        Ok(())
    }
}

/// The name of a segment's file.
pub(super) fn name(segment: NonZeroU32, salt: u32) -> String {
    format!("{segment:08x}-{salt:08x}.seg")
}

/// The segment that a file is, and its salt.
pub(super) fn parse(name: &str) -> Option<(NonZeroU32, u32)> {
    let (segment, salt) = name.strip_suffix(".seg")?.split_once('-')?;
    let hex = |text: &str| u32::from_str_radix(text, 16).ok();
    let (segment, salt) = (NonZeroU32::new(hex(segment)?)?, hex(salt)?);
    (self::name(segment, salt) == name).then_some((segment, salt))
}
