//! Damaged and missing files.

use std::collections::BTreeMap;

use super::fault::{Fault, Plan};
use super::*;
use crate::spool::cursors::SLOT_BYTES;

const ALL: u64 = (1 << 9) - 1;

fn readers() -> [Reader; 2] {
    [reader("a", &[0, 1]), reader("b", &[1])]
}

/// Files of a spool with nine entries, of which the first reader has acknowledged some.
fn files(acknowledged: usize) -> BTreeMap<String, Vec<u8>> {
    let disk = Fault::new(Plan::Nothing, 1);
    let mut spool = open(disk.clone(), limits(), &readers());
    assert!((0..9).all(|number| spool.append(entry(number, u64::from(number.is_multiple_of(3))), NOW).is_some()));
    for given in drain(&mut spool, 0).iter().take(acknowledged) {
        assert!(spool.acknowledge(0, given.id));
    }
    assert!(spool.sync(NOW));
    disk.files()
}

/// Accesses that a reader is given, and those that are told.
fn books(spool: &mut Spool<Fault>, reader: usize) -> (u64, u64) {
    let given = numbers(spool, reader);
    assert!(given.is_sorted_by(|a, b| a < b));
    let name = &readers()[reader].name;
    let told = spool.losses.take();
    // Where nothing of an entry is left, nothing of its segment may be.
    assert!(told.iter().all(|lost| lost.run == RUN || (lost.run, lost.stream) == (0, None)), "{told:?}");
    let sum = |lost: &Lost| if *lost.reader == **name { lost.accesses } else { 0 };
    let sum = told.iter().map(sum).sum();
    for lost in told {
        spool.losses.add(lost);
    }
    (given.iter().map(|number| 1 << number).sum(), sum)
}

#[test]
fn any_flipped_bit_of_a_segment_costs_one_entry_at_most() {
    let acknowledged = 2;
    let files = files(acknowledged);
    let expected = [ALL & !0b11, 0b100_1001_u64 & ALL];
    let mut damaged = 0;
    for name in files.keys().filter(|name| store::parse(name).is_some()) {
        for bit in 0..files[name].len() * 8 {
            let mut files = files.clone();
            files.get_mut(name).unwrap()[bit / 8] ^= 1 << (bit % 8);
            let mut spool = open(Fault::of(&files), limits(), &readers());
            for (reader, expected) in expected.into_iter().enumerate() {
                let (given, told) = books(&mut spool, reader);
                assert_eq!(given ^ told, expected, "bit {bit} of {name}, {reader}: {given:b} {told:b}");
                assert!(told.count_ones() <= 1, "bit {bit} of {name}");
                damaged += u64::from(told != 0);
            }
        }
    }
    assert!(damaged > 1000);
}

#[test]
fn any_flipped_bit_after_the_start_is_noticed_when_it_is_read() {
    let files = files(0);
    for name in files.keys().filter(|name| store::parse(name).is_some()) {
        for bit in (0..files[name].len() * 8).step_by(5) {
            let disk = Fault::of(&files);
            let mut spool = open(disk.clone(), limits(), &readers());
            disk.flip(name, bit);
            let (given, told) = books(&mut spool, 0);
            assert_eq!(given ^ told, ALL, "bit {bit} of {name}: {given:b} {told:b}");
            assert!(told.count_ones() <= 1, "bit {bit} of {name}");
        }
    }
}

#[test]
fn any_flipped_bit_of_cursors_loses_nothing() {
    let files = files(2);
    let len = files["cursors"].len();
    assert!(len > SLOT_BYTES);
    let mut again = 0;
    for bit in (0..len * 8).filter(|bit| bit / 8 % SLOT_BYTES < 400) {
        let mut files = files.clone();
        files.get_mut("cursors").unwrap()[bit / 8] ^= 1 << (bit % 8);
        let mut spool = open(Fault::of(&files), limits(), &readers());
        let (given, told) = books(&mut spool, 0);
        assert_eq!((given | 0b11, told), (ALL, 0), "bit {bit}");
        again += u64::from(given == ALL);
        assert_eq!(books(&mut spool, 1), (0b100_1001, 0), "bit {bit}");
    }
    assert!(again > 0);
}

#[test]
fn any_flipped_bit_of_what_was_not_synced_is_told_too() {
    let disk = Fault::new(Plan::Nothing, 1);
    let mut spool = open(disk.clone(), limits(), &readers());
    assert!((0..2).all(|number| spool.append(entry(number, 0), NOW).is_some()));
    let files = disk.files();
    let name = files.keys().find(|name| store::parse(name).is_some()).unwrap();
    for bit in 0..files[name].len() * 8 {
        let disk = Fault::of(&files);
        disk.flip(name, bit);
        let (given, told) = books(&mut open(disk, limits(), &readers()), 0);
        assert_eq!(given ^ told, 0b11, "bit {bit}: {given:b} {told:b}");
    }
}

#[test]
fn both_slots_know_a_new_reader() {
    let disk = Fault::new(Plan::Nothing, 1);
    drop(open(disk.clone(), limits(), &readers()[1..]));
    let mut spool = open(disk.clone(), limits(), &readers());
    spool.append(entry(0, 0), NOW);
    for slot in [0, SLOT_BYTES] {
        let disk = disk.killed();
        disk.flip("cursors", (slot + 20) * 8);
        assert_eq!(books(&mut open(disk, limits(), &readers()), 0), (1, 0), "without the slot at {slot}");
    }
}

#[test]
fn without_cursors_all_is_given_again() {
    let check = |change: fn(&mut BTreeMap<String, Vec<u8>>)| {
        let mut files = files(5);
        change(&mut files);
        let mut spool = open(Fault::of(&files), limits(), &readers());
        let left = books(&mut spool, 0);
        assert_eq!((left.0 | 0b11111, left.1), (ALL, 0));
        assert_eq!(books(&mut spool, 1), (0b100_1001, 0));
        assert!(spool.append(entry(9, 1), NOW).is_some_and(|id| id == 10));
    };
    check(|files| drop(files.remove("cursors")));
    check(|files| files.get_mut("cursors").unwrap().fill(0));
    check(|files| files.get_mut("cursors").unwrap().clear());
    check(|files| files.get_mut("cursors").unwrap().iter_mut().for_each(|byte| *byte ^= 0x55));
}

#[test]
fn a_missing_segment_is_as_acknowledged() {
    let files = files(0);
    for name in files.keys().filter(|name| store::parse(name).is_some()) {
        let mut files = files.clone();
        let (_, salt) = store::parse(name).unwrap();
        let scan = record::scan(&files.remove(name).unwrap(), salt, record::End::default());
        let gone: u64 = scan.found.iter().map(|found| found.head.accesses).sum();
        let mut spool = open(Fault::of(&files), limits(), &readers());
        assert_eq!(books(&mut spool, 0), (ALL & !gone, 0));
        assert_eq!(books(&mut spool, 1), (0b100_1001 & !gone, 0));
    }
}

#[test]
fn a_block_that_is_lost_is_counted() {
    let files = files(0);
    for name in files.keys().filter(|name| store::parse(name).is_some()) {
        let len = files[name].len();
        for (from, to) in (0..len).step_by(97).flat_map(|from| (from..=len).step_by(211).map(move |to| (from, to))) {
            let mut zeroed = files.clone();
            zeroed.get_mut(name).unwrap()[from..to].fill(0);
            let mut cut = files.clone();
            cut.get_mut(name).unwrap().truncate(from);
            for files in [zeroed, cut] {
                let (given, told) = books(&mut open(Fault::of(&files), limits(), &readers()), 0);
                assert_eq!(given ^ told, ALL, "{from}..{to} of {name}: {given:b} {told:b}");
            }
        }
    }
}

#[test]
fn what_is_gone_was_of_the_run_of_the_rest() {
    let (mut bytes, mut last) = (Vec::new(), Vec::new());
    let before = record::encode(1, &entry(0, 0), record::Totals::default(), 7, &mut bytes);
    record::encode(2, &entry(1, 0), before, 7, &mut last);
    bytes.fill(0);
    let scan = record::scan(&[bytes, last].concat(), 7, record::End::default());
    assert_eq!(scan.holes.iter().map(|hole| (hole.last, hole.run)).collect::<Vec<_>>(), [(1, RUN)]);
}

#[test]
fn a_body_that_looks_like_a_record_is_none() {
    let mut inner = Vec::new();
    record::encode(77, &entry(5, 0), record::Totals::default(), 0, &mut inner);
    let outer = Entry { body: Bytes::from(inner), ..entry(0, 0) };
    let mut bytes = Vec::new();
    record::encode(1, &outer, record::Totals::default(), 12345, &mut bytes);
    bytes[8] ^= 1;
    let scan = record::scan(&bytes, 12345, record::End::default());
    assert_eq!(scan.found.iter().map(|found| found.head.id).collect::<Vec<_>>(), [1]);
    assert_eq!(scan.holes, []);
}

#[test]
fn other_files_are_let_alone() {
    let mut files = files(0);
    for name in ["lock", "x.seg", "00000001.seg", "00000000-00000000.seg", "+0000001-00000000.seg"] {
        files.insert(name.to_owned(), vec![1; 3000]);
    }
    let disk = Fault::of(&files);
    let mut spool = open(disk.clone(), limits(), &readers());
    assert_eq!(books(&mut spool, 0), (ALL, 0));
    assert!(spool.sync(NOW));
    assert!(files.keys().all(|name| disk.files().contains_key(name)));
}
