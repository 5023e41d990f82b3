use std::collections::HashMap;

use inotrail_ebpf::flags;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use zerocopy::{FromZeros as _, IntoBytes as _};

use super::*;
use crate::sensor::record::{Paths, Record, parse};

/// A record of an access, and its header.
fn record(header: Header, [requested, target, path]: [&[u8]; 3]) -> (Vec<u64>, usize) {
    let lengths = [requested, target, path].map(|name| name.len() as u16);
    let [requested_len, target_len, path_len] = lengths;
    let header = Header { requested_len, target_len, path_len, ..header };
    let all = [header.as_bytes(), requested, target, path].concat();
    let mut words = vec![0_u64; all.len().div_ceil(8)];
    words.as_mut_bytes()[..all.len()].copy_from_slice(&all);
    (words, all.len())
}

fn header(cgroup_id: u64, device: u32, inode: u64) -> Header {
    Header { kind: kind::ACCESS, cgroup_id, device, inode, ..Header::new_zeroed() }
}

fn sight(paths: &mut Paths, header: Header, names: [&[u8]; 3]) -> Option<Sight> {
    let (words, len) = record(header, names);
    let Ok(Record::Access(access)) = parse(&words.as_bytes()[..len], paths) else { panic!("no access") };
    access.seen
}

const NAMES: [&[u8]; 3] = [b"x", b"", b"x\0etc\0"];

#[test]
fn the_second_time_a_file_is_kept() {
    let mut paths = Paths::default();
    let file = header(1, 2, 3);
    assert_eq!(sight(&mut paths, file, NAMES), None);
    let first = sight(&mut paths, file, NAMES);
    assert!(first.is_some());
    assert_eq!(sight(&mut paths, file, NAMES), first);
}

/// Each of these is another file, or the same under another name.
#[test]
fn nothing_else_is_taken_for_it() {
    let others: [(Header, [&[u8]; 3]); 8] = [
        (header(2, 2, 3), NAMES),
        (header(1, 3, 3), NAMES),
        (header(1, 2, 4), NAMES),
        (Header { flags: flags::UNLINKED, ..header(1, 2, 3) }, NAMES),
        (header(1, 2, 3), [b"y", b"", b"x\0etc\0"]),
        (header(1, 2, 3), [b"x", b"", b"x\0etd\0"]),
        (header(1, 2, 3), [b"xx", b"", b"\0etc\0"]),
        (header(1, 2, 3), [b"x", b"t\0", b"x\0etc\0"]),
    ];
    for (file, names) in others {
        let mut paths = Paths::default();
        let known = [(); 3].map(|()| sight(&mut paths, header(1, 2, 3), NAMES));
        let other = [(); 3].map(|()| sight(&mut paths, file, names));
        assert!(known[2].is_some() && other.iter().all(|sight| sight.is_none() || *sight != known[2]), "{names:?}");
    }
}

/// Files that come once do not take the places of those that come again.
#[test]
fn who_comes_once_takes_no_room() {
    let mut paths = Paths::default();
    let known = [(); 2].map(|()| sight(&mut paths, header(1, 2, 3), NAMES))[1];
    for inode in 100..1000 {
        assert_eq!(sight(&mut paths, header(1, 2, inode), NAMES), None);
    }
    assert_eq!(sight(&mut paths, header(1, 2, 3), NAMES), known);
}

#[test]
fn one_bit_of_any_byte_makes_the_difference() {
    for len in 0..200 {
        let mut names: Vec<u8> = (0..len).collect();
        let kept = [names.as_slice(), &[7; 100]].concat();
        assert!(is_equal(&names, &kept), "{len}");
        for at in 0..usize::from(len) {
            names[at] ^= 0x80;
            assert!(!is_equal(&names, &kept), "{at} of {len}");
            names[at] ^= 0x80;
        }
    }
}

fn names() -> impl Strategy<Value = [Vec<u8>; 3]> {
    let long = |len| "n".repeat(len).into_bytes();
    let requested = select(vec![b"".to_vec(), b"a".to_vec(), b"/etc/x".to_vec(), long(40), b"\xff".to_vec()]);
    let target = select(vec![b"".to_vec(), b"".to_vec(), b"t\0".to_vec()]);
    let mut whole = long(120);
    whole.push(0);
    let path = vec![b"a\0".to_vec(), b"b\0".to_vec(), b"x\0etc\0".to_vec(), b"".to_vec(), b"a/\0".to_vec(), whole];
    (requested, target, select(path)).prop_map(|(requested, target, path)| [requested, target, path])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// More files than are kept, of which many are each other's neighbours.
    #[test]
    fn what_was_before_changes_nothing(
        files in vec((0..2u64, 0..2u32, 0..3u64, select(vec![0, 0, 0, flags::TRUNCATED, flags::BASE]), names()), 1..60),
        order in vec(any::<usize>(), 1..300),
    ) {
        let (mut paths, mut numbers) = (Paths::default(), HashMap::new());
        for index in order {
            let (cgroup, device, inode, flags, names) = &files[index % files.len()];
            let names = names.each_ref().map(Vec::as_slice);
            let (words, len) = record(Header { flags: *flags, ..header(*cgroup, *device, *inode) }, names);
            let (bytes, mut fresh) = (&words.as_bytes()[..len], Paths::default());
            match (parse(bytes, &mut paths), parse(bytes, &mut fresh)) {
                (Ok(Record::Access(access)), Ok(Record::Access(expected))) => {
                    prop_assert_eq!(expected.seen, None);
                    let all = |access: &Access<'_>| [access.path, access.target, access.requested].map(<[u8]>::to_vec);
                    prop_assert_eq!(all(&access), all(&expected));
                    if let Some(sight) = access.seen {
                        let file = (*cgroup, *device, *inode, all(&access));
                        prop_assert_eq!(numbers.entry(sight.number).or_insert_with(|| file.clone()), &file);
                    }
                }
                (given, expected) => prop_assert_eq!(given.err(), Some(expected.unwrap_err())),
            }
        }
    }
}
