use std::path::Path;
use std::time::Duration;

use bytes::Bytes;

use super::entry::ENTRIES_MAX;
use super::*;

mod crash;
mod errors;
mod fault;
mod flips;
mod model;

const SECOND: u64 = 1_000_000_000;
const NOW: u64 = 1_700_000_000 * SECOND;

fn limits() -> Limits {
    Limits { bytes: 1 << 20, age: Duration::from_secs(3600), segment_bytes: 2000, memory_bytes: 1 << 20 }
}

/// Who made all entries.
const RUN: u128 = 0x1234_5678_9abc_def0;

fn reader(name: &str, streams: &[u64]) -> Reader {
    Reader { name: name.to_owned(), streams: streams.to_vec() }
}

/// Entry number `number`: its accesses are a bit, so that a sum says of which ones it is.
fn entry(number: u32, stream: u64) -> Entry {
    let body = (0..100 + number * 37 % 500).map(|at| (at * 31 + number) as u8).collect::<Vec<_>>();
    let accesses = 1 << number;
    let tenant = if stream == 0 { "" } else { "tenant" }.into();
    Entry {
        stream,
        run: RUN,
        tenant,
        time_ns: NOW + u64::from(number),
        records: number + 1,
        accesses,
        body: Bytes::from(body),
    }
}

fn open<D: Disk>(disk: D, limits: Limits, readers: &[Reader]) -> Spool<D> {
    Spool::open(disk, limits, readers.to_vec(), NOW).unwrap()
}

fn folder(path: &Path, readers: &[Reader]) -> Spool {
    open(Os::open(path).unwrap(), limits(), readers)
}

/// All that a reader is given now.
fn drain<D: Disk>(spool: &mut Spool<D>, reader: usize) -> Vec<Given> {
    std::iter::from_fn(|| spool.next(reader)).collect()
}

/// Numbers of all that a reader is given now, each as it was appended.
fn numbers<D: Disk>(spool: &mut Spool<D>, reader: usize) -> Vec<u32> {
    let number = |given: Given| {
        let number = given.entry.accesses.trailing_zeros();
        assert_eq!(given.entry, entry(number, given.entry.stream));
        number
    };
    drain(spool, reader).into_iter().map(number).collect()
}

/// Sums of accesses that one reader has lost, by reason.
fn lost<D: Disk>(spool: &mut Spool<D>, name: &str) -> Vec<(Dropped, u64)> {
    let losses = spool.take_losses();
    losses.into_iter().filter(|lost| &*lost.reader == name).map(|lost| (lost.reason, lost.accesses)).collect()
}

#[test]
fn each_reader_gets_its_streams_in_order() {
    let state = tempfile::tempdir().unwrap();
    let readers = [reader("a", &[0]), reader("b", &[0, 1]), reader("c", &[2])];
    let mut spools = [Spool::memory(limits(), readers.to_vec()).unwrap(), folder(state.path(), &readers)];
    for spool in &mut spools {
        let ids: Vec<_> = (0..8).map(|number| spool.append(entry(number, u64::from(number % 4)), NOW)).collect();
        assert_eq!(ids.iter().map(Option::is_some).collect::<Vec<_>>(), [true, true, true, false].repeat(2));
        assert_eq!(numbers(spool, 0), [0, 4]);
        assert_eq!(numbers(spool, 1), [0, 1, 4, 5]);
        assert_eq!(numbers(spool, 2), [2, 6]);
        assert_eq!(numbers(spool, 3), [] as [u32; 0]);
        spool.append(entry(8, 0), NOW);
        assert_eq!(numbers(spool, 0), [8]);
        assert_eq!(numbers(spool, 2), [] as [u32; 0]);
        assert_eq!(spool.take_losses(), []);
    }
}

#[test]
fn what_is_not_acknowledged_comes_again_after_a_restart() {
    let state = tempfile::tempdir().unwrap();
    let readers = [reader("a", &[0]), reader("b", &[0])];
    let mut spool = folder(state.path(), &readers);
    let ids: Vec<_> = (0..9).map(|number| spool.append(entry(number, 0), NOW).unwrap()).collect();
    assert_eq!(numbers(&mut spool, 0).len(), 9);
    // Out of order: only 0, 1 and 2 are a prefix.
    for at in [2, 0, 5, 1, 8] {
        assert!(spool.acknowledge(0, ids[at]));
        assert!(!spool.acknowledge(0, ids[at]));
    }
    assert!(ids.iter().all(|id| spool.acknowledge(1, *id)));
    assert!(spool.sync(NOW));
    drop(spool);
    let mut spool = folder(state.path(), &readers);
    assert_eq!(numbers(&mut spool, 0), [3, 4, 5, 6, 7, 8]);
    assert_eq!(numbers(&mut spool, 1), [] as [u32; 0]);
    assert_eq!(spool.take_losses(), []);
}

#[test]
fn segments_go_when_all_readers_have_settled_them() {
    let state = tempfile::tempdir().unwrap();
    let count = || std::fs::read_dir(state.path()).unwrap().count() - 2;
    let readers = [reader("a", &[0]), reader("b", &[0])];
    let mut spool = folder(state.path(), &readers);
    let ids: Vec<_> = (0..9).map(|number| spool.append(entry(number, 0), NOW).unwrap()).collect();
    spool.sync(NOW);
    let all = count();
    assert!(all > 3, "{all}");
    assert!(ids.iter().all(|id| spool.acknowledge(0, *id)));
    spool.sync(NOW);
    assert_eq!(count(), all);
    assert!(ids.iter().all(|id| spool.drop_entry(1, *id, Dropped::Rejected)));
    spool.sync(NOW);
    assert_eq!(count(), 1);
    assert_eq!(lost(&mut spool, "b"), [(Dropped::Rejected, (1 << 9) - 1)]);
    // The last one goes when it is opened again, and ids go on.
    drop(spool);
    let mut spool = folder(state.path(), &readers);
    assert_eq!(count(), 0);
    assert!(spool.append(entry(9, 0), NOW).unwrap() > ids[8]);
}

#[test]
fn the_oldest_go_first_on_disk() {
    let state = tempfile::tempdir().unwrap();
    let readers = [reader("a", &[0]), reader("b", &[0])];
    let limits = Limits { bytes: 8000, ..limits() };
    let mut spool = open(Os::open(state.path()).unwrap(), limits, &readers);
    let mut ids = Vec::new();
    for number in 0..40 {
        ids.push(spool.append(entry(number, 0), NOW).unwrap());
        let bytes: u64 = std::fs::read_dir(state.path())
            .unwrap()
            .flatten()
            .filter(|file| file.file_name().as_encoded_bytes().ends_with(b".seg"))
            .map(|file| file.metadata().unwrap().len())
            .sum();
        assert!(bytes <= limits.bytes, "{bytes}");
        if number == 3 {
            assert_eq!(spool.next(1).unwrap().id, ids[0]);
            assert!(spool.acknowledge(1, ids[0]));
        }
    }
    let left = numbers(&mut spool, 0);
    assert_eq!(left, (left[0]..40).collect::<Vec<_>>());
    assert!((5..20).contains(&left.len()), "{left:?}");
    let gone = (1 << left[0]) - 1;
    let losses = spool.take_losses();
    let told: Vec<_> = losses.iter().map(|lost| (&*lost.reader, lost.reason, lost.stream, lost.accesses)).collect();
    let full = Dropped::SpoolFull;
    assert_eq!(told, [("a", full, Some(0), gone), ("b", full, Some(0), gone - 1)]);
    assert_eq!(losses[0].records, (1..=u64::from(left[0])).sum::<u64>());
    assert!(!spool.acknowledge(0, ids[0]));
    assert_eq!(spool.take_losses(), []);
}

#[test]
fn the_oldest_go_first_in_memory() {
    let limits = Limits { bytes: 1000, ..limits() };
    let mut spool = Spool::memory(limits, vec![reader("a", &[0])]).unwrap();
    assert!((0..10).all(|number| spool.append(entry(number, 0), NOW).is_some()));
    assert_eq!(spool.depth(0).oldest_ns, Some(NOW + 8));
    assert_eq!(numbers(&mut spool, 0), [8, 9]);
    assert_eq!(lost(&mut spool, "a"), [(Dropped::SpoolFull, (1 << 8) - 1)]);
    assert!(!spool.sync(NOW));
    let lost = spool.close(NOW);
    assert_eq!((lost.len(), lost[0].reason, lost[0].accesses), (1, Dropped::Shutdown, 0b11 << 8));
}

#[test]
fn the_old_expire_whatever_the_calendar_says() {
    let limits = Limits { age: Duration::from_secs(10), ..limits() };
    let mut spool = Spool::memory(limits, vec![reader("a", &[0])]).unwrap();
    let mut append = |number, calendar, now_ns| {
        spool.append(Entry { time_ns: calendar, ..entry(number, 0) }, now_ns).unwrap();
        spool.sync(now_ns);
        lost(&mut spool, "a")
    };
    assert_eq!(append(0, NOW + 3600 * SECOND, NOW), []);
    assert_eq!(append(1, NOW - 3600 * SECOND, NOW + SECOND), []);
    assert_eq!(append(2, NOW, NOW + 9 * SECOND), []);
    assert_eq!(append(3, NOW, NOW + 10 * SECOND), [(Dropped::Expired, 0b1)]);
    assert_eq!(append(4, NOW, NOW + 11 * SECOND), [(Dropped::Expired, 0b10)]);
    assert_eq!(spool.depth(0).entries, 3);
}

#[test]
fn what_an_earlier_run_has_left_is_as_old_as_its_calendar_says() {
    let state = tempfile::tempdir().unwrap();
    let limits = Limits { age: Duration::from_secs(100), ..limits() };
    let open = |now_ns| Spool::open(Os::open(state.path()).unwrap(), limits, vec![reader("a", &[0])], now_ns).unwrap();
    let mut spool = open(NOW);
    // The third one is of a calendar that was ahead, and what follows is not older.
    for (number, calendar) in [(0, NOW - 60 * SECOND), (1, NOW), (2, NOW + 3600 * SECOND), (3, NOW + SECOND)] {
        spool.append(Entry { time_ns: calendar, ..entry(number, 0) }, NOW);
    }
    assert!(spool.sync(NOW + 99 * SECOND), "none of them was old");
    drop(spool);
    let mut spool = open(NOW + 50 * SECOND);
    assert_eq!(lost(&mut spool, "a"), [(Dropped::Expired, 0b1)]);
    spool.sync(NOW + 100 * SECOND);
    assert_eq!(lost(&mut spool, "a"), [(Dropped::Expired, 0b10)]);
    spool.sync(NOW + 149 * SECOND);
    assert_eq!(lost(&mut spool, "a"), []);
    spool.sync(NOW + 150 * SECOND);
    assert_eq!(lost(&mut spool, "a"), [(Dropped::Expired, 0b1100)]);
}

/// What a reader sends at the moment may be arriving: counted as lost, it would be in the books twice.
#[test]
fn what_a_reader_has_in_its_hands_is_its_own_to_give_up() {
    let state = tempfile::tempdir().unwrap();
    let limits = Limits { bytes: 8000, age: Duration::from_secs(10), ..limits() };
    let mut spool = open(Os::open(state.path()).unwrap(), limits, &[reader("a", &[0]), reader("b", &[0])]);
    spool.append(entry(0, 0), NOW);
    let held = spool.next(0).unwrap().id;
    assert!((1..20).all(|number| spool.append(entry(number, 0), NOW).is_some()));
    let told = spool.take_losses();
    let of = |name: &str| told.iter().filter(|lost| *lost.reader == *name).map(|lost| lost.accesses).sum::<u64>();
    assert_eq!((of("a") & 1, of("b") & 1), (0, 0), "its segment stays");
    assert!(of("a") > 0 && of("a") == of("b"), "the oldest of the others go: {told:?}");
    spool.sync(NOW + 10 * SECOND);
    let told = spool.take_losses();
    let of = |name: &str| told.iter().filter(|lost| *lost.reader == *name).map(|lost| lost.accesses).sum::<u64>();
    assert_eq!((of("a") & 1, of("b") & 1), (0, 1), "expired for those who do not have it");
    assert_eq!((spool.depth(0).entries, spool.depth(1).entries), (1, 0));
    assert!(spool.acknowledge(0, held), "delivered, and not lost");
    assert_eq!(spool.take_losses(), []);
}

#[test]
fn the_age_may_change() {
    let mut spool = Spool::memory(limits(), vec![reader("a", &[0])]).unwrap();
    spool.append(entry(0, 0), NOW);
    spool.sync(NOW + 11 * SECOND);
    assert_eq!(lost(&mut spool, "a"), []);
    spool.set_age(Duration::from_secs(10));
    spool.sync(NOW + 11 * SECOND);
    assert_eq!(lost(&mut spool, "a"), [(Dropped::Expired, 0b1)]);
}

#[test]
fn says_what_waits() {
    let mut spool = Spool::memory(limits(), vec![reader("a", &[0]), reader("b", &[1])]).unwrap();
    assert_eq!(spool.depth(0), Depth::default());
    let ids: Vec<_> = (0..4).map(|number| spool.append(entry(number, 0), NOW).unwrap()).collect();
    spool.acknowledge(0, ids[0]);
    spool.acknowledge(0, ids[2]);
    let bytes = (entry(1, 0).body.len() + entry(3, 0).body.len()) as u64;
    assert_eq!(spool.depth(0), Depth { entries: 2, bytes, accesses: 0b1010, oldest_ns: Some(NOW + 1) });
    assert_eq!(spool.depth(1), Depth::default());
    spool.acknowledge(0, ids[1]);
    assert_eq!(spool.depth(0).oldest_ns, Some(NOW + 3));
}

#[test]
fn a_new_reader_starts_at_the_end_and_one_that_is_gone_holds_nothing() {
    let state = tempfile::tempdir().unwrap();
    let mut spool = folder(state.path(), &[reader("a", &[0]), reader("b", &[0, 1, 2])]);
    let id = spool.append(entry(0, 0), NOW).unwrap();
    spool.append(entry(1, 1), NOW);
    spool.append(entry(2, 2), NOW);
    assert!(spool.acknowledge(1, id));
    drop(spool);
    // Not synced: b is at the beginning.
    let mut spool = folder(state.path(), &[reader("a", &[0]), reader("c", &[0, 1]), reader("b", &[1])]);
    assert_eq!(numbers(&mut spool, 1), [] as [u32; 0]);
    spool.append(entry(3, 1), NOW);
    assert_eq!(numbers(&mut spool, 0), [0]);
    assert_eq!(numbers(&mut spool, 1), [3]);
    assert_eq!(numbers(&mut spool, 2), [1, 3]);
    assert_eq!(lost(&mut spool, "b"), [(Dropped::Shutdown, 0b1), (Dropped::Shutdown, 0b100)]);
    drop(spool);
    let mut spool = folder(state.path(), &[reader("c", &[0, 1])]);
    assert_eq!(numbers(&mut spool, 0), [3]);
    let told = spool.take_losses();
    let told: Vec<_> = told.iter().map(|lost| (&*lost.reader, lost.reason, lost.accesses)).collect();
    assert_eq!(told, [("a", Dropped::Shutdown, 1), ("b", Dropped::Shutdown, 0b1010)]);
}

#[test]
fn what_is_too_large_is_told() {
    let mut spool = Spool::memory(limits(), vec![reader("a", &[0])]).unwrap();
    let large = Entry { body: Bytes::from(vec![0; BODY_MAX + 1]), ..entry(0, 0) };
    assert_eq!(spool.append(large, NOW), None);
    let long = Entry { tenant: "x".repeat(TENANT_MAX + 1).into(), ..entry(1, 0) };
    assert_eq!(spool.append(long, NOW), None);
    assert_eq!(
        spool.take_losses().iter().map(|lost| (lost.reason, lost.accesses)).collect::<Vec<_>>(),
        [(Dropped::Encode, 1), (Dropped::Encode, 2)]
    );
    let state = tempfile::tempdir().unwrap();
    let mut spool = open(Os::open(state.path()).unwrap(), Limits { bytes: 500, ..limits() }, &[reader("a", &[0])]);
    spool.append(entry(2, 0), NOW);
    assert_eq!(lost(&mut spool, "a"), [(Dropped::SpoolFull, 0b100)]);
    assert!(spool.degraded().is_none());
}

#[test]
fn memory_is_bounded_beside_a_disk() {
    let state = tempfile::tempdir().unwrap();
    let limits = Limits { memory_bytes: 1000, ..limits() };
    let mut spool = open(Os::open(state.path()).unwrap(), limits, &[reader("a", &[0])]);
    for number in 0..20 {
        spool.append(entry(number, 0), NOW);
        assert!(spool.body_bytes <= 1000);
        assert_eq!(spool.body_bytes, spool.bodies.values().map(|body| body.len() as u64).sum::<u64>());
    }
    assert_eq!(numbers(&mut spool, 0), (0..20).collect::<Vec<_>>());
}

#[test]
fn entries_are_bounded_however_small_they_are() {
    let mut spool = Spool::memory(limits(), vec![reader("a", &[0])]).unwrap();
    for _ in 0..ENTRIES_MAX + 3 {
        spool.append(Entry { accesses: 1, records: 1, body: Bytes::new(), ..entry(0, 0) }, NOW);
    }
    assert_eq!(spool.depth(0).entries, ENTRIES_MAX as u64);
    assert_eq!(lost(&mut spool, "a"), [(Dropped::SpoolFull, 3)]);
}

#[test]
fn names_are_checked() {
    let check = |names: &[&str], expected: bool| {
        let readers = names.iter().map(|name| reader(name, &[])).collect();
        assert_eq!(Spool::memory(limits(), readers).is_ok(), expected, "{names:?}");
    };
    check(&["a", "b-1"], true);
    check(&[&"a".repeat(64)], true);
    check(&[&"a".repeat(65)], false);
    check(&[""], false);
    check(&["A"], false);
    check(&["a/b"], false);
    check(&["a", "a"], false);
    let many = |count: usize| (0..count).map(|name| reader(&name.to_string(), &[])).collect::<Vec<_>>();
    assert!(matches!(Spool::memory(limits(), many(33)), Err(Error::TooMany)));
    let mut spool = Spool::memory(limits(), many(32)).unwrap();
    assert_eq!(spool.append(entry(0, 0), NOW), None);
}

#[test]
fn a_second_one_is_refused() {
    let state = tempfile::tempdir().unwrap();
    let path = state.path().join("deep/spool");
    let first = folder(&path, &[]);
    let error = Os::open(&path).unwrap_err();
    let expected = format!(
        "the spool in {} is used by another exporter; stop it or name another folder by --state",
        path.display()
    );
    assert_eq!(error.to_string(), expected);
    drop(first);
    Os::open(&path).unwrap();
}

#[test]
fn only_the_owner_may_look() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let state = tempfile::tempdir().unwrap();
    let path = state.path().join("spool");
    std::fs::create_dir(&path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut spool = folder(&path, &[reader("a", &[0])]);
    spool.append(entry(0, 0), NOW);
    spool.sync(NOW);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&path), 0o700);
    let files: Vec<_> = std::fs::read_dir(&path).unwrap().flatten().collect();
    assert_eq!(files.len(), 3);
    assert!(files.iter().all(|file| mode(&file.path()) == 0o600));
    symlink(&path, state.path().join("link")).unwrap();
    assert!(matches!(Os::open(&state.path().join("link")), Err(Error::Folder { .. })));
}
