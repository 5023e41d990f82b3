//! From the bytes of one ring buffer record to a [`Record`], without copying more than the path.

use inotrail_ebpf::{Header, flags, kind};
use zerocopy::FromBytes as _;

use crate::event::Access;

/// What the kernel told.
#[derive(Clone, Copy, Debug)]
pub enum Record<'a> {
    /// A file was opened, or an open was refused.
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

/// Reads one record. `path` is a buffer that is used again and again: the path is put together in it.
///
/// # Errors
/// The bytes are no record.
pub fn parse<'a>(bytes: &'a [u8], path: &'a mut Vec<u8>) -> Result<Record<'a>, Malformed> {
    let (header, strings) = Header::ref_from_prefix(bytes).map_err(|_| Malformed("shorter than a header"))?;
    let requested_end = usize::from(header.requested_len);
    let arguments_end = requested_end + usize::from(header.arguments_len);
    let path_end = arguments_end + usize::from(header.path_len);
    if strings.len() != path_end {
        return Err(Malformed("not as long as its strings"));
    }
    let requested = &strings[..requested_end];
    let access = |path| Access { header, path, requested, arguments: &strings[requested_end..arguments_end] };
    Ok(match header.kind {
        kind::ACCESS | kind::EXEC => {
            compose(header.flags, &strings[arguments_end..path_end], requested, path)?;
            if header.kind == kind::EXEC { Record::Exec(access(path)) } else { Record::Access(access(path)) }
        }
        kind::FORK => Record::Fork(header),
        kind::EXIT => Record::Exit(header),
        kind::CGROUP_MKDIR => Record::CgroupMade(header, requested),
        kind::CGROUP_RELEASE => Record::CgroupReleased(header),
        _ => return Err(Malformed("of unknown kind")),
    })
}

/// Puts the components together, root first. A path that was cut short has no `/` in front: it is a suffix.
fn compose(bits: u32, components: &[u8], requested: &[u8], path: &mut Vec<u8>) -> Result<(), Malformed> {
    path.clear();
    if bits & flags::PATH_UNKNOWN != 0 {
        return Ok(());
    }
    let Some(components) = components.strip_suffix(&[0]) else {
        if !components.is_empty() {
            return Err(Malformed("an open component"));
        }
        root(bits, requested, path);
        return Ok(());
    };
    for component in components.rsplit(|byte| *byte == 0) {
        // No file system has such a name: what the kernel copied was no name.
        if component.contains(&b'/') {
            return Err(Malformed("a component that holds a slash"));
        }
        path.push(b'/');
        path.extend_from_slice(component);
    }
    if bits & flags::BASE != 0 {
        join(path, requested);
    }
    if bits & (flags::TRUNCATED | flags::RACED) != 0 {
        path.remove(0);
    }
    Ok(())
}

/// No component at all: the root itself, unless the walk was cut before the first.
fn root(bits: u32, requested: &[u8], path: &mut Vec<u8>) {
    if bits & (flags::TRUNCATED | flags::RACED) == 0 {
        if bits & flags::BASE != 0 {
            join(path, requested);
        }
        if path.is_empty() {
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
