use std::sync::Arc;

use inotrail_ebpf::{Header, flags, kind, mask};
use zerocopy::FromZeros as _;

use super::*;
use crate::container::{Container, File, Origin};
use crate::event::{Access, Backend};
use crate::process::{Ancestor, Process};

/// What an event is made of.
#[derive(Clone)]
struct Made {
    header: Header,
    process: Process,
    start_ns: u64,
    backend: Backend,
}

impl Made {
    fn new() -> Self {
        let header = Header {
            kind: kind::ACCESS,
            mask: mask::OPEN | mask::READ,
            inode: 7,
            tgid: 10,
            tid: 11,
            ppid: 1,
            device: 0x80_0001,
            comm: *b"python3\0\0\0\0\0\0\0\0\0",
            ..Header::new_zeroed()
        };
        let process = Process { executable: b"/bin/a".as_slice().into(), vpid: 3, ..Process::default() };
        Self { header, process, start_ns: 1_795_244_690_000_000_000, backend: Backend::Fexit }
    }

    fn record(&self, encoder: &mut Encoder) -> Vec<u8> {
        let id = "a".repeat(64);
        let origin = Origin::Container { id, name: "app".into(), runtime: "containerd", resolved: true };
        let (container, mut out) = (Arc::new(Container::new(origin)), Room::default());
        let access = Access { path: b"/etc/passwd", ..Access::of(&self.header) };
        let event = Event {
            time_ns: 1,
            observed_ns: 2,
            access,
            process: &self.process,
            process_start_ns: self.start_ns,
            container: &container,
            file: File::default(),
            judgement: None,
            backend: self.backend,
            sequence: 1,
            count: 1,
            processes: 0,
            last_ns: 0,
        };
        encoder.record(&mut out, &event);
        out.written().to_vec()
    }
}

/// What is changed, and how.
type Change<'a> = (&'a str, &'a dyn Fn(&mut Made));

/// Nothing of one event is taken for another's that differs from it in one thing only.
#[test]
fn what_is_kept_is_of_the_very_same() {
    let ancestor = || [Ancestor { tgid: 1, executable: b"/bin/sh".as_slice().into() }];
    let changes: [Change<'_>; 18] = [
        ("tgid", &|made| made.header.tgid = 12),
        ("tid", &|made| made.header.tid += 512),
        ("ppid", &|made| made.header.ppid = 2),
        ("uid", &|made| made.header.uid = 1000),
        ("euid", &|made| made.header.euid = 1000),
        ("comm", &|made| made.header.comm[0] = b'P'),
        ("device", &|made| made.header.device += 1),
        ("inode", &|made| made.header.inode += 1),
        ("mask", &|made| made.header.mask |= mask::WRITE),
        ("result", &|made| made.header.result = -13),
        ("open flags", &|made| made.header.open_flags = 1),
        ("confidence", &|made| made.header.confidence = 1),
        ("flags", &|made| made.header.flags = flags::RACED),
        ("start", &|made| made.start_ns += 1_000_000_000),
        ("backend", &|made| made.backend = Backend::Kprobe),
        ("executable", &|made| made.process.executable = b"/bin/b".as_slice().into()),
        ("session", &|made| made.process.session = true),
        ("ancestors", &|made| made.process.ancestors = ancestor().into()),
    ];
    for (what, change) in changes {
        let one = Made::new();
        let mut other = one.clone();
        change(&mut other);
        let (mut encoder, mut fresh) = (Encoder::new(&Node::default()), Encoder::new(&Node::default()));
        let (first, again) = (one.record(&mut encoder), one.record(&mut encoder));
        let expected = other.record(&mut fresh);
        assert_eq!(first, again, "{what}");
        assert_ne!(first, expected, "{what}: it is in no record");
        assert_eq!(other.record(&mut encoder), expected, "{what}");
    }
}
