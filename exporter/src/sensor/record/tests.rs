use super::*;
use zerocopy::{FromZeros as _, IntoBytes as _};

/// A record as the kernel would write it, 8-byte aligned like the ring's.
fn bytes(kind: u32, bits: u32, requested: &[u8], arguments: &[u8], path: &[u8]) -> Vec<u64> {
    let mut header = Header::new_zeroed();
    header.kind = kind;
    header.flags = bits;
    header.requested_len = requested.len() as u16;
    header.arguments_len = arguments.len() as u16;
    header.path_len = path.len() as u16;
    let all = [header.as_bytes(), requested, arguments, path].concat();
    let mut words = vec![0u64; all.len().div_ceil(8)];
    words.as_mut_bytes()[..all.len()].copy_from_slice(&all);
    words
}

/// Without what follows in the last word.
fn record(words: &[u64]) -> &[u8] {
    let (header, strings) = Header::ref_from_prefix(words.as_bytes()).unwrap();
    let length = header.requested_len + header.arguments_len + header.target_len + header.path_len;
    &words.as_bytes()[..size_of::<Header>() + strings.len().min(usize::from(length))]
}

fn check(bits: u32, requested: &[u8], components: &[u8], expected: &[u8]) {
    let words = bytes(kind::ACCESS, bits, requested, b"", components);
    let mut path = Paths::from(vec![1, 2, 3]);
    let Ok(Record::Access(access)) = parse(record(&words), &mut path) else { panic!("no access") };
    assert_eq!(access.path.escape_ascii().to_string(), expected.escape_ascii().to_string());
    assert_eq!(access.requested, requested);
}

#[test]
fn composes_paths() {
    check(0, b"passwd", b"passwd\0etc\0", b"/etc/passwd");
    check(0, b"/", b"", b"/");
    check(0, b"x", b"\xff\n\0d\0", b"/d/\xff\n");
    check(flags::TRUNCATED, b"", b"leaf\0dir\0", b"dir/leaf");
    check(flags::RACED, b"", b"leaf\0", b"leaf");
    check(flags::RACED, b"", b"", b"");
    check(flags::PATH_UNKNOWN, b"x", b"", b"");
}

#[test]
fn composes_paths_of_every_length() {
    for names in 1..=40 {
        for longest in [1, 7, 8, 9, 63, 64, 65, 255] {
            let names: Vec<_> = (0..names).map(|number| "x".repeat(1 + number * 5 % longest)).collect();
            let components = names.join("\0") + "\0";
            let expected = "/".to_owned() + &names.iter().rev().cloned().collect::<Vec<_>>().join("/");
            check(0, b"", components.as_bytes(), expected.as_bytes());
        }
    }
}

/// What comes before the components, in the record and in the buffer, is no part of the path.
#[test]
fn composes_paths_behind_any_bytes() {
    for len in 0..200 {
        let (requested, name) = ("/".repeat(len), "n".repeat(len + 1));
        check(0, requested.as_bytes(), format!("{name}\0d\0").as_bytes(), format!("/d/{name}").as_bytes());
    }
}

#[test]
fn marks_are_the_same_on_every_processor() {
    let mut random = 1_u64;
    for _ in 0..1000 {
        let block = std::array::from_fn(|_| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            [0, 1, b'/', b'/' | 0x80, 0x7f, 0x80, 0xff, b'.'][(random >> 61) as usize]
        });
        for byte in [0, b'/'] {
            let expected = (0..BLOCK).fold(0, |marks, at| marks | u64::from(block[at] == byte) << at);
            assert_eq!([marks(&block, byte), marks_by_word(&block, byte)], [expected; 2]);
        }
    }
}

#[test]
fn joins_refused_requests_to_their_base() {
    check(flags::BASE, b"/etc//./shadow", b"", b"/etc/shadow");
    check(flags::BASE, b"../x", b"sub\0home\0", b"/home/sub/../x");
    check(flags::BASE, b"/x", b"jail\0srv\0", b"/srv/jail/x");
    check(flags::BASE, b".", b"home\0", b"/home");
    check(flags::BASE, b"", b"", b"/");
}

/// A record with two paths.
fn check_target(operation: u32, bits: u32, target: &[u8], expected: &[u8]) {
    let mut header = Header::new_zeroed();
    (header.kind, header.flags, header.mask) = (kind::ACCESS, bits, operation << mask::MUTATION_SHIFT);
    (header.target_len, header.path_len) = (target.len() as u16, 6);
    let all = [header.as_bytes(), target, b"old\0d\0"].concat();
    let mut words = vec![0u64; all.len().div_ceil(8)];
    words.as_mut_bytes()[..all.len()].copy_from_slice(&all);
    let mut paths = Paths::from(vec![1, 2, 3]);
    let Ok(Record::Access(access)) = parse(&words.as_bytes()[..all.len()], &mut paths) else { panic!("no access") };
    assert_eq!((access.path, access.target), (&b"/d/old"[..], expected));
    assert!(parse(&words.as_bytes()[..all.len() - 1], &mut paths).is_err());
}

#[test]
fn composes_second_paths() {
    check_target(mutation::RENAME, 0, b"new\0e\0", b"/e/new");
    check_target(mutation::RENAME, flags::TRUNCATED << flags::TARGET_SHIFT, b"new\0e\0", b"e/new");
    check_target(mutation::LINK, flags::DETACHED << flags::TARGET_SHIFT, b"new\0", b"/new");
    check_target(mutation::SYMLINK, 0, b"../a//b", b"../a//b");
    check_target(mutation::UNLINK, 0, b"", b"");
}

#[test]
fn refuses_what_breaks_the_contract() {
    let mut path = Paths::default();
    let mut reason = |words: &[u64], length: usize| parse(&record(words)[..length], &mut path).unwrap_err().0;
    let slash = bytes(kind::ACCESS, 0, b"", b"", b"a/b\0");
    assert_eq!(reason(&slash, record(&slash).len()), "a component that holds a slash");
    let open = bytes(kind::ACCESS, 0, b"", b"", b"ab");
    assert_eq!(reason(&open, record(&open).len()), "an open component");
    assert_eq!(reason(&open, 100), "shorter than a header");
    let long = bytes(kind::ACCESS, 0, b"abcdefgh", b"", b"b\0");
    assert_eq!(reason(&long, size_of::<Header>() + 4), "not as long as its strings");
    assert_eq!(reason(&long, size_of::<Header>() + 9), "not as long as its strings");
    let odd = bytes(99, 0, b"", b"", b"");
    assert_eq!(reason(&odd, record(&odd).len()), "of unknown kind");
}

/// Lengths that lie are believed only as far as there are bytes.
#[test]
fn lengths_stay_inside() {
    let mut path = Paths::default();
    let whole = bytes(kind::EXEC, 0, b"sh", b"-c\0", b"sh\0");
    let length = size_of::<Header>() + 8;
    assert!(parse(&whole.as_bytes()[..length], &mut path).is_ok());
    for cut in 0..length {
        let reason = parse(&whole.as_bytes()[..cut], &mut path).unwrap_err().0;
        let header = cut < size_of::<Header>();
        assert_eq!(reason, if header { "shorter than a header" } else { "not as long as its strings" }, "{cut}");
    }
    let mut lying = whole.clone();
    let at = std::mem::offset_of!(Header, arguments_len);
    lying.as_mut_bytes()[at..at + 2].fill(0xff);
    assert_eq!(parse(lying.as_bytes(), &mut path).unwrap_err().0, "not as long as its strings");
    lying.as_mut_bytes()[at..at + 2].copy_from_slice(&2u16.to_ne_bytes());
    assert_eq!(parse(lying.as_bytes(), &mut path).unwrap_err().0, "not as long as its strings");
}

#[test]
fn tells_kinds_apart() {
    let mut path = Paths::default();
    let words = bytes(kind::CGROUP_MKDIR, 0, b"/kubepods/x", b"", b"");
    assert!(matches!(parse(record(&words), &mut path), Ok(Record::CgroupMade(_, b"/kubepods/x"))));
    let words = bytes(kind::EXEC, 0, b"sh", b"sh\0-c\0", b"sh\0bin\0");
    let Ok(Record::Exec(access)) = parse(record(&words), &mut path) else { panic!("no exec") };
    assert_eq!((access.path, access.arguments), (&b"/bin/sh"[..], &b"sh\0-c\0"[..]));
}
