//! Paths of files that were seen lately. The same containers use the same files again and again: of those the path is put together once.
//!
//! What is found is of the very same file under the same names, because all of that is compared: a hash only says where to look.

use inotrail_ebpf::{Header, kind};

use crate::event::{Access, Sight};
use crate::ids;

/// Files that are kept, and bytes of names of each: together 300 KiB. Those with longer names are not kept. Tests fill it often.
const KEPT: usize = if cfg!(test) { 8 } else { 1024 };
const BYTES: usize = 256;
/// Groups of places in which files are looked for, and how many places are in one: together 32 KiB.
const GROUPS: usize = if cfg!(test) { 4 } else { 1024 };
const PLACES: usize = 4;

/// Paths of the files seen lately. It grows as there are more, up to what it keeps.
#[derive(Debug)]
pub(super) struct Lately {
    groups: Box<[[Place; PLACES]]>,
    kept: Vec<Kept>,
    /// The next one that makes room where all is taken.
    next: usize,
    /// Counts files that were not found.
    turn: usize,
}

/// The end of a hash, and where its file is kept, counted from 1; 0: it was seen only once.
///
/// A file that nobody uses twice takes nothing else.
type Place = (u32, u32);

#[derive(Debug)]
struct Kept {
    key: Key,
    hash: u64,
    /// No other file, and no other name, ever has it.
    number: u64,
    /// Names as the record has them, and behind them the path.
    names: [u8; BYTES],
}

/// All that is compared beside names: by whom, which file, of which device, and how long its names are.
type Key = [u64; 3];

/// What is known of a record's file.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found {
    /// Its path, by the index for [`Lately::access`].
    Kept(usize),
    /// It was there before: to be kept, by this hash.
    Again(u64),
    /// Nothing.
    New,
}

impl Default for Lately {
    fn default() -> Self {
        Self { groups: vec![[(0, 0); PLACES]; GROUPS].into(), kept: Vec::new(), next: 0, turn: 0 }
    }
}

impl Lately {
    /// Looks the file of a record up; `names` are all bytes behind the header.
    #[inline]
    pub(super) fn find(&mut self, header: &Header, names: &[u8]) -> Found {
        let path = usize::from(header.path_len);
        let is_plain = header.kind == kind::ACCESS
            && header.flags | u32::from(header.arguments_len | header.target_len) == 0
            && names.len() == usize::from(header.requested_len) + path;
        if !is_plain || path == 0 || names.len() + path > BYTES {
            return Found::New;
        }
        let hash = hash(header);
        let Some((_, place)) = self.groups[group(hash)].iter().find(|(end, _)| *end == hash as u32) else {
            self.note(hash);
            return Found::New;
        };
        let index = (*place as usize).wrapping_sub(1);
        match self.kept.get(index) {
            Some(kept) if kept.key == key(header) && is_equal(names, &kept.names) => Found::Kept(index),
            _ => Found::Again(hash),
        }
    }

    /// The access to a file that was found.
    #[inline]
    pub(super) fn access<'a>(&'a self, index: usize, header: &'a Header, names: &'a [u8]) -> Access<'a> {
        let (kept, path) = (&self.kept[index], usize::from(header.path_len));
        Access {
            header,
            path: &kept.names[names.len()..][..path],
            target: b"",
            requested: &names[..names.len() - path],
            arguments: b"",
            seen: Some(kept.sight(index)),
        }
    }

    /// Keeps what was seen again. Returns what tells its file and names from all others.
    #[inline(never)]
    pub(super) fn keep(&mut self, hash: u64, header: &Header, names: &[u8], path: &[u8]) -> Sight {
        let group = group(hash);
        let place = self.groups[group].iter().position(|(end, _)| *end == hash as u32).unwrap_or(0);
        // Else the same file has other names.
        let index = match self.groups[group][place].1 {
            0 => self.make_room(),
            known => known as usize - 1,
        };
        self.groups[group][place] = (hash as u32, index as u32 + 1);
        let kept = &mut self.kept[index];
        (kept.key, kept.hash, kept.number) = (key(header), hash, ids::unique());
        kept.names[..names.len()].copy_from_slice(names);
        kept.names[names.len()..][..path.len()].copy_from_slice(path);
        kept.sight(index)
    }

    /// Notes that a file was seen, in the place of one that was not seen again.
    fn note(&mut self, hash: u64) {
        self.turn = self.turn.wrapping_add(1);
        let group = &mut self.groups[group(hash)];
        let any = self.turn % PLACES;
        let place = if group[any].1 == 0 { any } else { group.iter().position(|(_, kept)| *kept == 0).unwrap_or(any) };
        group[place] = (hash as u32, 0);
    }

    fn make_room(&mut self) -> usize {
        if self.kept.len() < KEPT {
            self.kept.push(Kept { key: [0; 3], hash: 0, number: 0, names: [0; BYTES] });
            return self.kept.len() - 1;
        }
        let index = self.next;
        self.next = (index + 1) % KEPT;
        let hash = self.kept[index].hash;
        let place = self.groups[group(hash)].iter_mut().find(|(_, kept)| *kept as usize == index + 1);
        if let Some((_, kept)) = place {
            *kept = 0;
        }
        index
    }
}

impl Kept {
    #[inline]
    const fn sight(&self, index: usize) -> Sight {
        Sight { number: self.number, view: 0, place: index as u32, is_kept: false }
    }
}

#[inline]
fn key(header: &Header) -> Key {
    let lengths = u64::from(header.requested_len) << 32 | u64::from(header.path_len) << 48;
    [header.cgroup_id, header.inode, u64::from(header.device) | lengths]
}

/// A number that says where to look: names of another length go elsewhere, so that a file may have two.
#[inline]
fn hash(header: &Header) -> u64 {
    // An odd number without a pattern: the fractional part of the golden ratio.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let rest = u64::from(header.device) << 32 | u64::from(header.requested_len);
    let mixed = header.inode.wrapping_mul(SPREAD) ^ header.cgroup_id ^ rest;
    // A place that is free has a 0.
    (mixed ^ mixed >> 32).wrapping_mul(SPREAD) | 1
}

const fn group(hash: u64) -> usize {
    (hash >> (u64::BITS - GROUPS.ilog2())) as usize
}

/// As `==`, which calls a function that is slow where the exporter is linked with musl.
#[inline]
fn is_equal(names: &[u8], kept: &[u8]) -> bool {
    let kept = &kept[..names.len()];
    let (Some(one), Some(other)) = (names.last_chunk(), kept.last_chunk()) else { return names == kept };
    let ((ones, _), (others, _)) = (names.as_chunks(), kept.as_chunks());
    ones.iter().zip(others).fold(difference(one, other), |found, (one, other)| found | difference(one, other)) == 0
}

/// The bits in which these differ, all words together.
#[inline]
fn difference(one: &[u8; 32], other: &[u8; 32]) -> u64 {
    let ((ones, _), (others, _)) = (one.as_chunks(), other.as_chunks());
    let differ = |one: &[u8; 8], other: &[u8; 8]| u64::from_ne_bytes(*one) ^ u64::from_ne_bytes(*other);
    ones.iter().zip(others).fold(0, |found, (one, other)| found | differ(one, other))
}

#[cfg(test)]
mod tests;
