use inotrail_ebpf::{RESULT_UNKNOWN, mask, mutation};

use super::*;
use crate::sink::sample::Sample;

fn lines(table: &mut Table, samples: &[Sample]) -> String {
    let mut text = String::new();
    for sample in samples {
        sample.with(|event| table.format(event, &mut text));
    }
    text
}

fn table(columns: Option<u16>) -> Table {
    Table::new(TimeZone::UTC, false, columns)
}

/// The line without its header.
fn check(sample: Sample, expected: &str) {
    let text = lines(&mut table(Some(100)), &[sample]);
    assert_eq!(text.lines().nth(1), Some(expected), "{text}");
}

#[test]
fn header_once_and_columns_in_line() {
    let denied = Sample { result: -13, path: b"/etc/shadow".to_vec(), ..Sample::default() };
    let expected = "\
TIME         CONTAINER                PROCESS          ACCESS    RESULT PATH
11:30:45.123 shop/web-7d4b9/web       python3[1234]    open r    ok     /etc/passwd
11:30:45.123 shop/web-7d4b9/web       python3[1234]    open r    EACCES /etc/shadow
";
    assert_eq!(lines(&mut table(Some(100)), &[Sample::default(), denied]), expected);
}

#[test]
fn containers() {
    let of = |origin| Sample { container: Container::new(origin).into(), ..Sample::default() };
    let rest = "python3[1234]    open r    ok     /etc/passwd";
    check(Sample::host(), &format!("11:30:45.123 host                     {rest}"));
    check(of(Origin::Unit("sshd.service".into())), &format!("11:30:45.123 sshd.service             {rest}"));
    let unresolved =
        Origin::Container { id: "0123456789abcdef0123".into(), name: String::new(), runtime: "", resolved: false };
    check(of(unresolved), &format!("11:30:45.123 0123456789ab             {rest}"));
    let long = Origin::Unit("a-unit-with-a-very-long-name-indeed.service".into());
    check(of(long), &format!("11:30:45.123 a-unit-with\u{2026}deed.service {rest}"));
}

#[test]
fn results_and_modes() {
    let prefix = "11:30:45.123 shop/web-7d4b9/web       python3[1234]    ";
    let sample = |mask, result| Sample { result, mask, ..Sample::default() };
    check(sample(mask::OPEN | mask::WRITE, RESULT_UNKNOWN), &format!("{prefix}open w    ?      /etc/passwd"));
    check(sample(mask::CREATED | mask::READ | mask::APPEND, 0), &format!("{prefix}create rw ok     /etc/passwd"));
    check(sample(mask::EXEC, -36), &format!("{prefix}execute   ENAMETOOLONG /etc/passwd"));
    check(sample(mask::OPEN, -4095), &format!("{prefix}open      E4095  /etc/passwd"));
}

#[test]
fn mutations() {
    let prefix = "11:30:45.123 shop/web-7d4b9/web       python3[1234]    ";
    let sample = |code: u32, target: &[u8]| Sample {
        result: RESULT_UNKNOWN,
        mask: code << mask::MUTATION_SHIFT,
        target: target.to_vec(),
        ..Sample::default()
    };
    check(sample(mutation::UNLINK, b""), &format!("{prefix}delete    ?      /etc/passwd"));
    check(sample(mutation::RENAME, b"/etc/p\n"), &format!("{prefix}rename    ?      /etc/passwd -> /etc/p\\n"));
    check(sample(mutation::MMAP_EXECUTE, b""), &format!("{prefix}mmap exec ?      /etc/passwd"));
    check(sample(mutation::MKNOD, b""), &format!("{prefix}create    ?      /etc/passwd"));
}

#[test]
fn hostile_names_stay_on_their_line() {
    let sample = Sample {
        path: b"/tmp/\x1b]0;pwned\x07\n11:30:45.123 host\xff".to_vec(),
        comm: *b"\x1b[31mevil\0\0\0\0\0\0\0",
        ..Sample::default()
    };
    let text = lines(&mut table(Some(100)), &[sample]);
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(!text.contains('\x1b') && !text.contains('\x07'), "{text:?}");
    assert!(text.contains(r"/tmp/\u{1b}]0;pwned\u{7}\n11:30:45.123 host\xff"), "{text}");
}

#[test]
fn what_is_special_follows_the_path() {
    let sample = Sample { path: Vec::new(), requested: b"/no/such".to_vec(), count: 12, ..Sample::default() };
    let text = sample.with(|event| {
        let mut header = *event.access.header;
        header.flags = inotrail_ebpf::flags::PATH_UNKNOWN | inotrail_ebpf::flags::COMPAT;
        header.confidence = inotrail_ebpf::confidence::REQUESTED;
        let access = crate::event::Access { header: &header, ..event.access };
        let mut text = String::new();
        table(None).format(&Event { access, ..*event }, &mut text);
        text
    });
    assert!(text.ends_with(" /no/such x12 [requested,compat,path_unknown]\n"), "{text}");
}

#[test]
fn colour_only_when_asked() {
    let denied = || [Sample { result: -13, ..Sample::default() }];
    let text = lines(&mut Table::new(TimeZone::UTC, true, Some(100)), &denied());
    assert!(text.contains("\x1b[1m\x1b[31mEACCES\x1b[0m "), "{text:?}");
    assert!(!lines(&mut table(Some(100)), &denied()).contains('\x1b'));
}

#[test]
fn wide_terminals_show_more_of_the_container() {
    let long = || Sample { container: Container::new(Origin::Unit("u".repeat(60))).into(), ..Sample::default() };
    let shown = |columns| lines(&mut table(columns), &[long()]).chars().filter(|c| *c == 'u').count();
    assert_eq!((shown(Some(80)), shown(Some(100)), shown(Some(120)), shown(None)), (23, 23, 33, 60));
}
