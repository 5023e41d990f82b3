//! Who accessed a file: what all records of a thread have in common, encoded once.

use inotrail_ebpf::Header;

use crate::container::Origin;
use crate::event::{Backend, Event};
use crate::process::Process;

use super::attribute;
use super::names::Names;
use super::phrase::Phrase;
use super::wire::{self, attribute};

/// Threads that are kept.
const KEPT: usize = 512;
/// Bytes of one that is kept: together they must stay small, whatever processes call themselves.
const KEPT_BYTES: usize = 2048;

/// The threads seen lately, each by the end of its id: ids are given out in turn, so those that live at the same time seldom
/// meet.
#[derive(Debug)]
pub(super) struct Threads {
    kept: Vec<Kept>,
    /// The last one that was not found.
    made: Encoded,
}

/// A thread's part of a record.
#[derive(Debug, Default)]
pub(super) struct Encoded {
    /// Attributes.
    pub(super) attributes: Vec<u8>,
    /// What the body starts with: `python3[1234] `.
    pub(super) label: Phrase,
}

#[derive(Debug, Default)]
struct Kept {
    key: Option<Key>,
    /// Keeps what the key has addresses of.
    process: Process,
    encoded: Encoded,
}

/// All that a thread's part is made of. Of what a process shares with others the address stands for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    ids: [u32; 6],
    comm: [u8; 16],
    start_ns: u64,
    shared: [usize; 3],
    session: bool,
    backend: Backend,
}

impl Key {
    fn of(event: &Event<'_>) -> Self {
        let Header { tgid, tid, ppid, uid, euid, comm, .. } = *event.access.header;
        let Process { executable, ancestors, arguments, vpid, .. } = event.process;
        Self {
            ids: [tgid, tid, ppid, uid, euid, *vpid],
            comm,
            start_ns: event.process_start_ns,
            shared: [executable.as_ptr().addr(), ancestors.as_ptr().addr(), arguments.as_ptr().addr()],
            session: is_session(event),
            backend: event.backend,
        }
    }
}

impl Default for Threads {
    fn default() -> Self {
        Self { kept: std::iter::repeat_with(Kept::default).take(KEPT).collect(), made: Encoded::default() }
    }
}

impl Threads {
    /// Whether the thread's part is kept: then its names are UTF-8.
    #[inline]
    pub(super) fn has(&self, event: &Event<'_>) -> bool {
        self.kept[Self::place(event)].key == Some(Key::of(event))
    }

    /// The thread's part, which is kept.
    pub(super) fn get(&self, event: &Event<'_>) -> &Encoded {
        &self.kept[Self::place(event)].encoded
    }

    /// The thread's part with these names; kept, unless they are escaped for the sake of this record.
    pub(super) fn make(&mut self, event: &Event<'_>, names: &Names<'_>, text: &mut Vec<u8>) -> &Encoded {
        let Self { kept, made } = self;
        made.fill(event, names, text);
        if !names.files.escaped && made.len() <= KEPT_BYTES {
            let kept = &mut kept[Self::place(event)];
            kept.key = Some(Key::of(event));
            kept.process.clone_from(event.process);
            kept.encoded.attributes.clone_from(&made.attributes);
            kept.encoded.label.clone_from(&made.label);
        }
        made
    }

    const fn place(event: &Event<'_>) -> usize {
        event.access.header.tid as usize % KEPT
    }
}

impl Encoded {
    /// Bytes of both.
    pub(super) fn len(&self) -> usize {
        self.attributes.len() + self.label.len()
    }

    fn fill(&mut self, event: &Event<'_>, names: &Names<'_>, text: &mut Vec<u8>) {
        let (out, header) = (&mut self.attributes, event.access.header);
        out.clear();
        attribute!(string, out, attribute::BACKEND, event.backend.as_str().as_bytes());
        // Of accesses that were only counted nobody knows the process.
        if header.tgid == 0 {
            self.label.set(&[]);
        } else {
            process(out, event, names, text);
            self.label.set(&[names.comm, b"[", itoa::Buffer::new().format(header.tgid).as_bytes(), b"] "]);
        }
    }
}

/// Services of the host come and go in their cgroups.
fn is_session(event: &Event<'_>) -> bool {
    event.process.session && matches!(&event.container.origin, Origin::Container { id, .. } if !id.is_empty())
}

fn process(out: &mut Vec<u8>, event: &Event<'_>, names: &Names<'_>, text: &mut Vec<u8>) {
    let header = event.access.header;
    attribute!(int, out, attribute::PROCESS_PID, header.tgid.into());
    if event.process.vpid != 0 {
        attribute!(int, out, attribute::PROCESS_VPID, event.process.vpid.into());
    }
    attribute!(int, out, attribute::PROCESS_PARENT_PID, header.ppid.into());
    if !names.ancestors.is_empty() {
        attribute!(string, out, attribute::PROCESS_ANCESTORS, names.ancestors);
    }
    if is_session(event) {
        attribute!(string, out, attribute::PROCESS_SESSION, attribute::SESSION_EXEC.as_bytes());
    }
    attribute!(int, out, attribute::THREAD_ID, header.tid.into());
    if !names.comm.is_empty() {
        attribute!(string, out, attribute::THREAD_NAME, names.comm);
    }
    if !names.executable.is_empty() {
        attribute!(string, out, attribute::PROCESS_EXECUTABLE_PATH, names.executable);
    }
    if !names.arguments.is_empty() {
        arguments(out, names.arguments, text);
    }
    attribute!(int, out, attribute::PROCESS_USER_ID, header.euid.into());
    attribute!(int, out, attribute::PROCESS_REAL_USER_ID, header.uid.into());
    if event.process_start_ns != 0 {
        let time = super::time::iso8601(event.process_start_ns);
        attribute!(string, out, attribute::PROCESS_CREATION_TIME, &time);
    }
}

/// What it was started with.
fn arguments(out: &mut Vec<u8>, list: &[u8], text: &mut Vec<u8>) {
    let whole = list.strip_suffix(&[0]);
    text.clear();
    for argument in whole.unwrap_or(list).split(|byte| *byte == 0) {
        wire::element(text, argument);
    }
    attribute!(array, out, attribute::PROCESS_COMMAND_ARGS, text);
    if whole.is_none() {
        attribute!(boolean, out, attribute::PROCESS_ARGUMENTS_TRUNCATED, true);
    }
}
