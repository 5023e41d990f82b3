//! Records of the ring.

use std::mem::offset_of;

use inotrail::sensor::{Paths, Record, record};
use inotrail_ebpf::{Header, RESULT_UNKNOWN, flags, kind, mask, program};
use zerocopy::{FromBytes as _, FromZeros as _, IntoBytes as _};

use super::corpus::{Corpus, Seed};

/// Numbers on which the decoder depends; a length twice, to be hit more often.
const FIELDS: [(usize, usize); 11] = [
    (offset_of!(Header, requested_len), 2),
    (offset_of!(Header, requested_len), 2),
    (offset_of!(Header, arguments_len), 2),
    (offset_of!(Header, arguments_len), 2),
    (offset_of!(Header, path_len), 2),
    (offset_of!(Header, path_len), 2),
    (offset_of!(Header, target_len), 2),
    (offset_of!(Header, mask), 4),
    (offset_of!(Header, kind), 4),
    (offset_of!(Header, flags), 4),
    (offset_of!(Header, program), 4),
];

/// Records of every kind, as the programs write them.
pub(super) fn corpus() -> Corpus {
    let deep: Vec<u8> = (0..60).flat_map(|depth| format!("level-{depth}\0").into_bytes()).collect();
    let access = |bits, requested: &[u8], path: &[u8]| seed(kind::ACCESS, bits, requested, b"", path);
    let small = vec![
        access(0, b"/etc/passwd", b"passwd\0etc\0"),
        access(0, b"tls.key", b"tls.key\0..2026_11_21_14_00_00.1234\0secrets\0run\0"),
        access(0, b"/", b""),
        access(flags::BASE, b"../x//./y", b"sub\0home\0"),
        access(flags::BASE, b"/etc/shadow", b""),
        access(flags::TRUNCATED, b"f", &deep),
        access(flags::RACED | flags::UNLINKED, b"", b"leaf\0"),
        access(flags::RACED, b"", b""),
        access(flags::PATH_UNKNOWN, b"/proc/self/fd/3", b""),
        access(flags::IO_URING | flags::DETACHED, b"\xff\n", b"\xff\n\0d\0"),
        seed(kind::EXEC, 0, b"./run.sh", b"sh\0-c\0exec \"$@\"\0", b"sh\0bin\0usr\0"),
        seed(kind::FORK, 0, b"", b"", b""),
        seed(kind::EXIT, 0, b"", b"", b""),
        seed(kind::CGROUP_MKDIR, 0, b"/kubepods.slice/kubepods-pod1.slice/cri-containerd-2.scope", b"", b""),
        seed(kind::CGROUP_RELEASE, 0, b"/kubepods.slice", b"", b""),
    ];
    Corpus::new(small, Vec::new())
}

fn seed(kind: u32, bits: u32, requested: &[u8], arguments: &[u8], path: &[u8]) -> Seed {
    let mut header = Header::new_zeroed();
    header.time_ns = 86_400_000_000_000;
    (header.sequence, header.cgroup_id, header.inode) = (7, 4242, 131_074);
    (header.kind, header.flags, header.program) = (kind, bits, program::SYS_EXIT);
    (header.result, header.mask, header.device, header.mode) = (RESULT_UNKNOWN, mask::READ, 8 << 20 | 1, 0o100_644);
    (header.tgid, header.tid, header.ppid) = (1234, 1235, 1);
    header.requested_len = requested.len() as u16;
    header.arguments_len = arguments.len() as u16;
    header.path_len = path.len() as u16;
    header.comm[..4].copy_from_slice(b"cat\0");
    let bytes = [header.as_bytes(), requested, arguments, path].concat();
    Seed { bytes, fields: FIELDS.to_vec() }
}

/// Whether the decoder takes it. Panics where it gives what the bytes do not hold.
pub(super) fn feed(bytes: &[u8]) -> bool {
    // Items of the ring are aligned.
    let mut words = vec![0u64; bytes.len().div_ceil(8)];
    let item = &mut words.as_mut_bytes()[..bytes.len()];
    item.copy_from_slice(bytes);
    let mut room = Paths::default();
    let first = record::parse(item, &mut room).map(|record| {
        is_true(&record, item);
        paths(&record)
    });
    // What was in the buffer before changes nothing, nor that the same file was seen before: of the third time it is kept.
    let mut used = Paths::from(vec![b'!'; 4096]);
    for _ in 0..3 {
        let again = record::parse(item, &mut used).map(|record| paths(&record));
        assert_eq!(first.is_ok(), again.is_ok(), "the verdict depends on the record before");
        assert!(first.is_err() || first.as_ref().ok() == again.as_ref().ok(), "the path depends on the one before");
    }
    first.is_ok()
}

/// What is put together of a record.
fn paths(record: &Record<'_>) -> [Vec<u8>; 2] {
    match record {
        Record::Access(access) | Record::Exec(access) => [access.path.to_vec(), access.target.to_vec()],
        _ => Default::default(),
    }
}

/// What a record claims is in the bytes.
fn is_true(record: &Record<'_>, item: &[u8]) {
    let (header, strings) = Header::read_from_prefix(item).expect("a record begins with a header");
    let lengths = [header.requested_len, header.arguments_len, header.path_len, header.target_len].map(usize::from);
    assert!(strings.len() >= lengths.iter().sum(), "a record that ends before its strings");
    let (Record::Access(access) | Record::Exec(access)) = record else { return };
    assert_eq!([access.requested.len(), access.arguments.len()], lengths[..2]);
    let path = access.path;
    assert!(path.len() <= lengths[0] + lengths[2] + 1, "a path longer than its parts");
    assert!(access.target.len() <= lengths[3] + 1, "a second path longer than its parts");
    let whole = header.flags & (flags::PATH_UNKNOWN | flags::TRUNCATED | flags::RACED) == 0;
    assert!(!whole || path.first() == Some(&b'/'), "a whole path without a root");
    assert!(access.requested.contains(&0) || !path.contains(&0), "a path with a NUL");
}
