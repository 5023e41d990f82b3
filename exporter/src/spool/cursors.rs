//! How far each reader is, as the bytes of a file: two slots, written in turn, of which the newest valid one counts.

use bytes::{Buf as _, BufMut as _};

use super::entry::{NAME_MAX, READERS_MAX, STREAMS_MAX};
use super::record::{End, Totals};

/// Bytes of a slot: more than the most readers need.
pub(super) const SLOT_BYTES: usize = 64 << 10;
/// Segments whose ends have room in a slot, beside the most readers.
pub(super) const ENDS_MAX: usize = 1400;
const MAGIC: u32 = 0x6375_7231;

/// Number and salt of a segment: a number alone may be another one's later.
pub(super) type Name = (u32, u32);

/// What one slot says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cursors {
    /// Rises with each one written.
    pub(super) generation: u64,
    /// No entry had this id, or a higher one.
    pub(super) next_id: u64,
    pub(super) lines: Vec<Line>,
    /// Where segments end at least, the newest ones: what is missing of them is told.
    pub(super) ends: Vec<(Name, End)>,
}

/// How far one reader is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) name: String,
    /// It has settled every entry of its streams up to this one.
    pub(super) cursor: u64,
    pub(super) streams: Vec<u64>,
}

impl Cursors {
    /// magic, CRC32C of what follows, length of what follows that; little-endian.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        body.put_u64_le(self.generation);
        body.put_u64_le(self.next_id);
        body.put_u8(self.lines.len() as u8);
        for line in &self.lines {
            body.put_u8(line.name.len() as u8);
            body.put_slice(line.name.as_bytes());
            body.put_u64_le(line.cursor);
            body.put_u8(line.streams.len() as u8);
            line.streams.iter().for_each(|stream| body.put_u64_le(*stream));
        }
        body.put_u16_le(self.ends.len() as u16);
        for ((segment, salt), end) in &self.ends {
            body.put_u32_le(*segment);
            body.put_u32_le(*salt);
            body.put_u64_le(end.id);
            body.put_u64_le(end.totals.records);
            body.put_u64_le(end.totals.accesses);
        }
        let mut slot = Vec::with_capacity(12 + body.len());
        slot.put_u32_le(MAGIC);
        slot.put_u32_le(0);
        slot.put_u32_le(body.len() as u32);
        slot.put_slice(&body);
        let crc = crc32c::crc32c(&slot[8..]);
        slot[4..8].copy_from_slice(&crc.to_le_bytes());
        slot
    }

    /// Reads a slot; nothing where it is damaged, or was never written.
    pub(super) fn decode(mut slot: &[u8]) -> Option<Self> {
        if slot.try_get_u32_le().ok()? != MAGIC {
            return None;
        }
        let crc = slot.try_get_u32_le().ok()?;
        let len = u32::from_le_bytes(*slot.first_chunk()?) as usize;
        let guarded = slot.get(..len.checked_add(4)?)?;
        if crc32c::crc32c(guarded) != crc {
            return None;
        }
        let mut body = &guarded[4..];
        let (generation, next_id) = (body.try_get_u64_le().ok()?, body.try_get_u64_le().ok()?);
        let lines = usize::from(body.try_get_u8().ok()?);
        if lines > READERS_MAX {
            return None;
        }
        let lines = (0..lines).map(|_| line(&mut body)).collect::<Option<_>>()?;
        let ends = usize::from(body.try_get_u16_le().ok()?);
        if ends > ENDS_MAX {
            return None;
        }
        let ends = (0..ends).map(|_| end(&mut body)).collect::<Option<_>>()?;
        Some(Self { generation, next_id, lines, ends })
    }
}

fn end(body: &mut &[u8]) -> Option<(Name, End)> {
    let name = (body.try_get_u32_le().ok()?, body.try_get_u32_le().ok()?);
    let id = body.try_get_u64_le().ok()?;
    let totals = Totals { records: body.try_get_u64_le().ok()?, accesses: body.try_get_u64_le().ok()? };
    Some((name, End { id, totals }))
}

fn line(body: &mut &[u8]) -> Option<Line> {
    let name = usize::from(body.try_get_u8().ok()?);
    let name = std::str::from_utf8(body.split_off(..name)?).ok().filter(|name| name.len() <= NAME_MAX)?.to_owned();
    let cursor = body.try_get_u64_le().ok()?;
    let streams = usize::from(body.try_get_u8().ok()?);
    if streams > STREAMS_MAX {
        return None;
    }
    let streams = (0..streams).map(|_| body.try_get_u64_le().ok()).collect::<Option<_>>()?;
    Some(Line { name, cursor, streams })
}
