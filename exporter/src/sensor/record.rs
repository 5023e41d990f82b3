//! From the bytes of one ring buffer record to a [`Record`], without copying more than the path.

use std::ops::Range;

use inotrail_ebpf::{Header, flags, kind, mask, mutation};
use zerocopy::FromBytes as _;

use super::paths::{Found, Lately};
use crate::event::Access;

/// Flags that each path of two has of its own.
const OF_A_TARGET: u32 = flags::TRUNCATED | flags::RACED | flags::DETACHED;

/// What the kernel told.
#[derive(Clone, Copy, Debug)]
pub enum Record<'a> {
    /// A file was opened or changed, or that was refused.
    Access(Access<'a>),
    /// A process started a new executable.
    Exec(Access<'a>),
    /// A process was born; see [`kind::FORK`] for the fields.
    Fork(&'a Header),
    /// A process ended.
    Exit(&'a Header),
    /// A cgroup was made; with its path below the hierarchy's root.
    CgroupMade(&'a Header, &'a [u8]),
    /// A cgroup was released.
    CgroupReleased(&'a Header),
}

/// A record that breaks the contract: it is counted and never guessed at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed record: {0}")]
pub struct Malformed(&'static str);

impl Record<'_> {
    /// The record's fixed part.
    #[must_use]
    pub const fn header(&self) -> &Header {
        match self {
            Self::Access(access) | Self::Exec(access) => access.header,
            Self::Fork(header) | Self::Exit(header) | Self::CgroupMade(header, _) | Self::CgroupReleased(header) => {
                header
            }
        }
    }
}

/// Where paths are put together, used again and again, and those that were lately.
#[derive(Debug, Default)]
pub struct Paths {
    room: Vec<u8>,
    lately: Lately,
}

impl From<Vec<u8>> for Paths {
    /// Paths are put together over these bytes.
    fn from(room: Vec<u8>) -> Self {
        Self { room, lately: Lately::default() }
    }
}

/// Reads one record. The paths are put together in `paths`.
///
/// # Errors
/// The bytes are no record.
#[inline]
pub fn parse<'a>(bytes: &'a [u8], paths: &'a mut Paths) -> Result<Record<'a>, Malformed> {
    let (header, strings) = Header::ref_from_prefix(bytes).map_err(|_| Malformed("shorter than a header"))?;
    let names = strings;
    let found = paths.lately.find(header, names);
    if let Found::Kept(index) = found {
        return Ok(Record::Access(paths.lately.access(index, header, names)));
    }
    let (requested, strings) = split(strings, header.requested_len)?;
    let (arguments, strings) = split(strings, header.arguments_len)?;
    let (target, strings) = split(strings, header.target_len)?;
    if strings.len() != usize::from(header.path_len) {
        return Err(UNFIT);
    }
    Ok(match header.kind {
        kind::ACCESS | kind::EXEC => {
            let Paths { room, lately } = paths;
            let path = compose(header.flags, (bytes, strings.len()), requested, room, 0)?;
            // A symbolic link's text is no path that the kernel has walked.
            let is_text = (header.mask & mask::MUTATION) >> mask::MUTATION_SHIFT == mutation::SYMLINK;
            let mut access = Access { header, path: b"", target, requested, arguments, seen: None };
            let composed = if is_text || target.is_empty() {
                path.end..path.end
            } else {
                let bits = header.flags >> flags::TARGET_SHIFT & OF_A_TARGET;
                let before = &bytes[..bytes.len() - strings.len()];
                compose(bits, (before, target.len()), b"", room, path.end)?
            };
            let room: &'a [u8] = room;
            access.path = &room[path];
            if !composed.is_empty() {
                access.target = &room[composed];
            }
            if let Found::Again(hash) = found {
                access.seen = Some(lately.keep(hash, header, names, access.path));
            }
            if header.kind == kind::EXEC { Record::Exec(access) } else { Record::Access(access) }
        }
        kind::FORK => Record::Fork(header),
        kind::EXIT => Record::Exit(header),
        kind::CGROUP_MKDIR => Record::CgroupMade(header, requested),
        kind::CGROUP_RELEASE => Record::CgroupReleased(header),
        _ => return Err(Malformed("of unknown kind")),
    })
}

const UNFIT: Malformed = Malformed("not as long as its strings");

fn split(strings: &[u8], length: u16) -> Result<(&[u8], &[u8]), Malformed> {
    strings.split_at_checked(length.into()).ok_or(UNFIT)
}

/// Puts the components together that `record` ends with, `len` bytes of it, root first, in `room` from `start` on. Returns where
/// the path is there. One that was cut short has no `/` in front: it is a suffix.
fn compose(
    bits: u32,
    (record, len): (&[u8], usize),
    requested: &[u8],
    room: &mut Vec<u8>,
    start: usize,
) -> Result<Range<usize>, Malformed> {
    if bits & flags::PATH_UNKNOWN != 0 {
        return Ok(start..start);
    }
    if len == 0 {
        return Ok(root(bits, requested, room, start));
    }
    let (begin, mut end) = (start + CHUNK, start + CHUNK + len);
    // It never shrinks by itself: to fill it again would cost each event.
    if room.len() < end {
        room.resize(end, 0);
    }
    reverse(record, len, &mut room[start..end])?;
    if bits & flags::BASE != 0 {
        room.truncate(end);
        join(room, requested);
        end = room.len();
    }
    // The slash in front goes.
    let cut = bits & (flags::TRUNCATED | flags::RACED) != 0;
    Ok(begin + usize::from(cut)..end)
}

/// Bytes that are copied at once, without a look at how many are needed; so many are before the components, in the record as in the
/// room for the path.
const CHUNK: usize = 32;
/// Bytes in which ends of components are looked for at once.
const BLOCK: usize = 64;
const _: () = assert!(size_of::<Header>() >= BLOCK);

/// Puts NUL-ended components, the last `len` bytes of `record`, behind the first [`CHUNK`] bytes of `room`: the last one first, each
/// behind a `/`. Each event does this. They come from the end of the path to its start, and so each may spoil what is before it.
fn reverse(record: &[u8], len: usize, room: &mut [u8]) -> Result<(), Malformed> {
    if record.last() != Some(&0) {
        return Err(Malformed("an open component"));
    }
    let mut from = record.len() - len;
    let (mut start, mut room) = (from, room);
    while start < record.len() {
        let end = record.len().min(start + BLOCK);
        let block = record[..end].last_chunk().ok_or(UNFIT)?;
        let before = BLOCK - (end - start);
        if marks(block, b'/') >> before != 0 {
            return Err(Malformed("a component that holds a slash"));
        }
        let mut ends = marks(block, 0) >> before;
        while ends != 0 {
            let end = start + ends.trailing_zeros() as usize;
            let len = end - from;
            copy(&record[..end], room, len);
            let rest = room.len() - len - 1;
            room[rest] = b'/';
            room = &mut room[..rest];
            from = end + 1;
            ends &= ends - 1;
        }
        start = end;
    }
    Ok(())
}

/// Copies the last `len` bytes, and maybe some of those before.
#[inline]
fn copy(from: &[u8], to: &mut [u8], len: usize) {
    match (from.last_chunk::<CHUNK>(), to.last_chunk_mut()) {
        (Some(from), Some(to)) if len <= CHUNK => *to = *from,
        _ => copy_long(from, to, len),
    }
}

#[cold]
fn copy_long(from: &[u8], to: &mut [u8], len: usize) {
    let start = to.len() - len;
    to[start..].copy_from_slice(&from[from.len() - len..]);
}

/// A bit for each byte that is this one. No file system has names with a slash: what the kernel copied was no name.
#[cfg(target_arch = "x86_64")]
#[inline]
fn marks(block: &[u8; BLOCK], byte: u8) -> u64 {
    use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_movemask_epi8, _mm_set_epi64x, _mm_set1_epi8};

    #[inline]
    #[target_feature(enable = "sse2")]
    fn of_chunk(chunk: u128, byte: u8) -> u16 {
        let bytes = _mm_set_epi64x((chunk >> 64) as i64, chunk as i64);
        _mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(byte.cast_signed()))) as u16
    }

    let (chunks, _) = block.as_chunks();
    chunks.iter().rev().fold(0, |found, chunk| {
        // SAFETY: each processor of x86_64 has SSE2.
        found << 16 | u64::from(unsafe { of_chunk(u128::from_le_bytes(*chunk), byte) })
    })
}

#[cfg(not(target_arch = "x86_64"))]
use marks_by_word as marks;

/// The same on any processor.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn marks_by_word(block: &[u8; BLOCK], byte: u8) -> u64 {
    // Takes the lowest bit of each byte into the highest byte.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let (words, _) = block.as_chunks();
    words.iter().rev().fold(0, |found, word| {
        let word = u64::from_le_bytes(*word) ^ u64::from_ne_bytes([byte; 8]);
        found << 8 | (zeros(word) >> 7).wrapping_mul(GATHER) >> 56
    })
}

/// The highest bit of each byte that is 0.
#[cfg(any(test, not(target_arch = "x86_64")))]
const fn zeros(word: u64) -> u64 {
    const LOW: u64 = u64::from_ne_bytes([0x7f; 8]);
    !(((word & LOW) + LOW) | word | LOW)
}

/// No component at all: the root itself, unless the walk was cut before the first.
#[cold]
fn root(bits: u32, requested: &[u8], room: &mut Vec<u8>, start: usize) -> Range<usize> {
    room.truncate(start);
    if bits & (flags::TRUNCATED | flags::RACED) == 0 {
        if bits & flags::BASE != 0 {
            join(room, requested);
        }
        if room.len() == start {
            room.push(b'/');
        }
    }
    start..room.len()
}

/// Appends a request to the directory where it starts. `.` and empty components go; `..` stays: what it means depends on
/// symbolic links that the refused lookup may not have reached.
fn join(path: &mut Vec<u8>, requested: &[u8]) {
    for component in requested.split(|byte| *byte == b'/') {
        if !component.is_empty() && component != b"." {
            path.push(b'/');
            path.extend_from_slice(component);
        }
    }
}

#[cfg(test)]
mod tests;
