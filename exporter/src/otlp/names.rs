//! The byte strings of one event as UTF-8.

use crate::event::{Access, Event};
use crate::process::Ancestor;

use crate::escape;

/// Between an ancestor and the next: no path holds two slashes in a row.
const SEPARATOR: &[u8] = b" // ";

/// Where names are put together. Both grow to the longest seen and stay.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    ancestors: Vec<u8>,
    escaped: Vec<u8>,
}

/// Names of the files of an access, as Unicode text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Files<'a> {
    pub(super) path: &'a [u8],
    pub(super) target: &'a [u8],
    pub(super) requested: &'a [u8],
    /// The request is known, and is not the path.
    pub(super) requested_otherwise: bool,
    /// One name of the event was not UTF-8: all are escaped, so that a reader knows what a backslash means in each of them.
    pub(super) escaped: bool,
}

/// What the kernel gave as bytes, valid UTF-8 now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names<'a> {
    pub(super) files: Files<'a>,
    pub(super) comm: &'a [u8],
    pub(super) executable: &'a [u8],
    /// In one line.
    pub(super) ancestors: &'a [u8],
    /// As [`crate::process::Process::arguments`].
    pub(super) arguments: &'a [u8],
}

impl<'a> Files<'a> {
    /// As they are; `None`: one is not UTF-8.
    #[inline]
    pub(super) fn of(access: &Access<'a>) -> Option<Self> {
        let Access { path, target, requested, .. } = *access;
        let files = Self::text(access);
        let is_text = is_text(path)
            && (target.is_empty() || is_text(target))
            && (!files.requested_otherwise || is_text(requested));
        is_text.then_some(files)
    }

    /// As they are, where they are UTF-8.
    #[inline]
    pub(super) fn text(access: &Access<'a>) -> Self {
        Self::new([access.path, access.target, access.requested], false)
    }

    fn new([path, target, requested]: [&'a [u8]; 3], escaped: bool) -> Self {
        Self { path, target, requested, requested_otherwise: !requested.is_empty() && requested != path, escaped }
    }
}

impl<'a> Names<'a> {
    /// Borrows from the event where it is UTF-8, else from `buffers`.
    pub(super) fn new(event: &Event<'a>, buffers: &'a mut Buffers) -> Self {
        let (access, process) = (event.access, event.process);
        let header: &'a inotrail_ebpf::Header = access.header;
        let comm = &header.comm[..header.comm.iter().position(|byte| *byte == 0).unwrap_or(header.comm.len())];
        let Buffers { ancestors, escaped } = buffers;
        line(ancestors, &process.ancestors);
        let (executable, ancestors, arguments): (&'a [u8], &'a [u8], &'a [u8]) =
            (&process.executable, ancestors, &process.arguments);
        let raw = [access.path, access.target, access.requested, comm, executable, ancestors, arguments];
        if raw.iter().all(|name| is_text(name)) {
            return Self::of(raw, false);
        }
        escaped.clear();
        let ends = raw.map(|name| {
            escape::push(escaped, name);
            escaped.len()
        });
        let mut start = 0;
        Self::of(ends.map(|end| &escaped[std::mem::replace(&mut start, end)..end]), true)
    }

    fn of(names: [&'a [u8]; 7], escaped: bool) -> Self {
        let [path, target, requested, comm, executable, ancestors, arguments] = names;
        Self { files: Files::new([path, target, requested], escaped), comm, executable, ancestors, arguments }
    }
}

/// Nearly all names are ASCII, which is quicker to see.
#[inline]
fn is_text(name: &[u8]) -> bool {
    is_ascii(name) || str::from_utf8(name).is_ok()
}

/// As `<[u8]>::is_ascii`, which is made for longer texts.
#[inline]
fn is_ascii(name: &[u8]) -> bool {
    let Some(last) = name.last_chunk() else { return name.is_ascii() };
    let (chunks, _) = name.as_chunks();
    chunks.iter().fold(all(last), |found, chunk| found | all(chunk)) & u64::from_ne_bytes([0x80; 8]) == 0
}

/// The bits that any of these words has.
#[inline]
fn all(chunk: &[u8; 32]) -> u64 {
    let (words, _) = chunk.as_chunks();
    words.iter().fold(0, |found, word| found | u64::from_ne_bytes(*word))
}

/// `7:/bin/sh // 1:/sbin/init`
fn line(out: &mut Vec<u8>, ancestors: &[Ancestor]) {
    out.clear();
    for Ancestor { tgid, executable } in ancestors {
        if !out.is_empty() {
            out.extend_from_slice(SEPARATOR);
        }
        out.extend_from_slice(itoa::Buffer::new().format(*tgid).as_bytes());
        out.push(b':');
        out.extend_from_slice(executable);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_byte_of_any_makes_the_difference() {
        for len in 0..70 {
            let mut name = vec![0x7f; len];
            assert!(is_ascii(&name), "{len}");
            for at in 0..len {
                name[at] = 0x80;
                assert!(!is_ascii(&name), "{at} of {len}");
                name[at] = b'a';
            }
        }
    }
}
