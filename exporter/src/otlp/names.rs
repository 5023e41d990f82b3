//! The byte strings of one event as UTF-8.

use crate::event::Event;

use crate::escape;

/// What the kernel gave as bytes, valid UTF-8 now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names<'a> {
    pub(super) path: &'a [u8],
    pub(super) target: &'a [u8],
    pub(super) requested: &'a [u8],
    pub(super) comm: &'a [u8],
    pub(super) executable: &'a [u8],
    /// One of them was not UTF-8: all are escaped, so that a reader knows what a backslash means in each of them.
    pub(super) escaped: bool,
}

impl<'a> Names<'a> {
    /// Borrows from the event where it is UTF-8, else from `scratch`.
    pub(super) fn new(event: &Event<'a>, scratch: &'a mut Vec<u8>) -> Self {
        let access = event.access;
        let header: &'a inotrail_ebpf::Header = access.header;
        let comm = &header.comm[..header.comm.iter().position(|byte| *byte == 0).unwrap_or(header.comm.len())];
        let (path, target, requested) = (access.path, access.target, access.requested);
        let names = Self { path, target, requested, comm, executable: event.executable, escaped: false };
        let raw = [path, target, requested, comm, names.executable];
        if raw.iter().all(|name| str::from_utf8(name).is_ok()) {
            return names;
        }
        scratch.clear();
        let ends = raw.map(|name| {
            escape::push(scratch, name);
            scratch.len()
        });
        let scratch: &'a [u8] = scratch;
        Self {
            path: &scratch[..ends[0]],
            target: &scratch[ends[0]..ends[1]],
            requested: &scratch[ends[1]..ends[2]],
            comm: &scratch[ends[2]..ends[3]],
            executable: &scratch[ends[3]..],
            escaped: true,
        }
    }
}
