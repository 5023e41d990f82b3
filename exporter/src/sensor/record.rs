//! From the bytes of one ring buffer record to a [`Record`], without copying more than the path.

use inotrail_ebpf::{Header, flags, kind, mask, mutation};
use zerocopy::FromBytes as _;

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

/// Reads one record. `paths` is a buffer that is used again and again: the paths are put together in it.
///
/// # Errors
/// The bytes are no record.
pub fn parse<'a>(bytes: &'a [u8], paths: &'a mut Vec<u8>) -> Result<Record<'a>, Malformed> {
    let (header, strings) = Header::ref_from_prefix(bytes).map_err(|_| Malformed("shorter than a header"))?;
    let (requested, strings) = split(strings, header.requested_len)?;
    let (arguments, strings) = split(strings, header.arguments_len)?;
    let (target, strings) = split(strings, header.target_len)?;
    let (path, rest) = split(strings, header.path_len)?;
    if !rest.is_empty() {
        return Err(UNFIT);
    }
    Ok(match header.kind {
        kind::ACCESS | kind::EXEC => {
            paths.clear();
            compose(header.flags, path, requested, paths)?;
            let end = paths.len();
            // A symbolic link's text is no path that the kernel has walked.
            let is_text = (header.mask & mask::MUTATION) >> mask::MUTATION_SHIFT == mutation::SYMLINK;
            if !is_text && !target.is_empty() {
                compose(header.flags >> flags::TARGET_SHIFT & OF_A_TARGET, target, b"", paths)?;
            }
            let (path, composed) = paths.split_at(end);
            let target = if is_text { target } else { composed };
            let access = Access { header, path, target, requested, arguments };
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

/// Puts the components together, root first, behind what `path` holds. A path that was cut short has no `/` in front: it is
/// a suffix.
fn compose(bits: u32, components: &[u8], requested: &[u8], path: &mut Vec<u8>) -> Result<(), Malformed> {
    if bits & flags::PATH_UNKNOWN != 0 {
        return Ok(());
    }
    let start = path.len();
    let Some(components) = components.strip_suffix(&[0]) else {
        if !components.is_empty() {
            return Err(Malformed("an open component"));
        }
        root(bits, requested, path);
        return Ok(());
    };
    reverse(components, path)?;
    if bits & flags::BASE != 0 {
        join(path, requested);
    }
    if bits & (flags::TRUNCATED | flags::RACED) != 0 {
        path.remove(start);
    }
    Ok(())
}

/// Appends NUL-separated components, the last one first, each behind a `/`. Each event does this: where the NULs are is found out
/// for 64 bytes at once.
fn reverse(components: &[u8], path: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut end = components.len();
    path.reserve(end + 1);
    for (index, block) in components.chunks(64).enumerate().rev() {
        let mut found = ends(block).ok_or(Malformed("a component that holds a slash"))?;
        while found != 0 {
            let last = found.ilog2();
            let at = 64 * index + last as usize;
            path.push(b'/');
            path.extend_from_slice(&components[at + 1..end]);
            end = at;
            found ^= 1 << last;
        }
    }
    path.push(b'/');
    path.extend_from_slice(&components[..end]);
    Ok(())
}

/// A bit for each NUL among up to 64 bytes; nothing where there is a slash. No file system has such a name: what the kernel copied
/// was no name.
fn ends(block: &[u8]) -> Option<u64> {
    // Takes the lowest bit of each byte into the highest byte.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let (words, rest) = block.as_chunks();
    let mut last = [0xff; 8];
    last[..rest.len()].copy_from_slice(rest);
    let (mut found, mut slashes) = (0, 0);
    for (index, word) in words.iter().chain((!rest.is_empty()).then_some(&last)).enumerate() {
        let word = u64::from_le_bytes(*word);
        slashes |= zeros(word ^ SLASHES);
        found |= (zeros(word) >> 7).wrapping_mul(GATHER) >> 56 << (8 * index);
    }
    (slashes == 0).then_some(found)
}

const LOW: u64 = u64::from_ne_bytes([0x7f; 8]);
const SLASHES: u64 = u64::from_ne_bytes([b'/'; 8]);

/// The highest bit of each byte that is 0.
const fn zeros(word: u64) -> u64 {
    !(((word & LOW) + LOW) | word | LOW)
}

/// No component at all: the root itself, unless the walk was cut before the first.
fn root(bits: u32, requested: &[u8], path: &mut Vec<u8>) {
    if bits & (flags::TRUNCATED | flags::RACED) == 0 {
        let start = path.len();
        if bits & flags::BASE != 0 {
            join(path, requested);
        }
        if path.len() == start {
            path.push(b'/');
        }
    }
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
