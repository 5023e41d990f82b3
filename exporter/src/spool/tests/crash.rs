//! Crashes at every call to the disk: kill -9, and power cuts.

use std::collections::{BTreeMap, BTreeSet};

use super::fault::{Fault, Plan};
use super::*;
use crate::spool::cursors::{Cursors, SLOT_BYTES};

/// What is known when the world stops.
#[derive(Default)]
struct Books {
    /// Ids with the numbers of entries, of calls that have returned.
    appended: Vec<(u64, u32)>,
    /// The first so many are durable.
    synced: usize,
    /// Numbers that each reader has acknowledged; those of this run; and those that are durable.
    acknowledged: [BTreeSet<u32>; 2],
    current: [BTreeSet<u32>; 2],
    settled: [BTreeSet<u32>; 2],
}

fn readers() -> [Reader; 2] {
    [reader("a", &[0, 1]), reader("b", &[1])]
}

fn stream(number: u32) -> u64 {
    u64::from(number.is_multiple_of(3))
}

fn reads(reader: usize, number: u32) -> bool {
    reader == 0 || stream(number) == 1
}

/// Runs until the end, or until the disk stops. `count` entries from `first` on.
fn run(disk: &Fault, first: u32, count: u32, books: &mut Books) {
    books.current = Default::default();
    let Ok(mut spool) = Spool::open(disk.clone(), limits(), readers().to_vec(), NOW) else { return };
    for number in first..first + count {
        let id = spool.append(entry(number, stream(number)), NOW);
        if disk.is_stopped() {
            return;
        }
        books.appended.push((id.unwrap(), number));
        // One reader keeps up; the other one is behind.
        for reader in if number % 5 == 4 { 0..2 } else { 0..1 } {
            while let Some(given) = spool.next(reader) {
                assert!(spool.acknowledge(reader, given.id));
                books.acknowledged[reader].insert(given.entry.accesses.trailing_zeros());
                books.current[reader].insert(given.entry.accesses.trailing_zeros());
                if reader == 1 {
                    break;
                }
            }
        }
        if number % 2 == 1 {
            let before = disk.files();
            let is_synced = spool.sync(NOW);
            removed_are_settled(disk, &before);
            if disk.is_stopped() {
                return;
            }
            assert!(is_synced);
            books.synced = books.appended.len();
            (0..2).for_each(|reader| books.settled[reader].extend(&books.current[reader]));
        }
    }
}

/// Removed segments held nothing that cursors on disk do not know as settled, whenever the world stops.
fn removed_are_settled(disk: &Fault, before: &BTreeMap<String, Vec<u8>>) {
    let slots = disk.durable("cursors").unwrap();
    let slots = [0, SLOT_BYTES].map(|at| Cursors::decode(slots.get(at..).unwrap_or(&[])));
    let cursors = slots.into_iter().flatten().max_by_key(|cursors| cursors.generation).unwrap();
    let now = disk.files();
    for (name, bytes) in before.iter().filter(|(name, _)| !now.contains_key(*name)) {
        let (_, salt) = store::parse(name).unwrap();
        for found in record::scan(bytes, salt, record::End::default()).found {
            let lines = cursors.lines.iter().filter(|line| line.streams.contains(&found.head.stream));
            lines.for_each(|line| assert!(line.cursor >= found.head.id, "{name}"));
        }
    }
}

/// What was `kept`, of all that was appended, is given, or was acknowledged; nothing else is given; nothing is lost.
fn check(disk: &Fault, books: &Books, kept: usize, last: u32, label: &str) {
    let mut spool = open(disk.clone(), limits(), &readers());
    let losses = spool.take_losses();
    for reader in 0..2 {
        let given = numbers(&mut spool, reader);
        assert!(given.is_sorted_by(|a, b| a < b), "{label}: {given:?}");
        let acknowledged = &books.acknowledged[reader];
        for (_, number) in books.appended[..kept].iter().filter(|(_, number)| reads(reader, *number)) {
            assert!(given.contains(number) || acknowledged.contains(number), "{label}: {number} of {reader}");
        }
        for number in &given {
            assert!(*number <= last && reads(reader, *number), "{label}: {number} of {reader}");
            assert!(!books.settled[reader].contains(number), "{label}: {number} again");
        }
        // Damaged may be what was half written and never synced.
        let name = &readers()[reader].name;
        let told: u64 = losses.iter().filter(|lost| *lost.reader == **name).map(|lost| lost.accesses).sum();
        let durable: u64 = books.appended[..kept].iter().map(|(_, number)| 1 << number).sum();
        assert_eq!(told & durable, 0, "{label}");
    }
}

fn crash(stop: u64, seed: u64) -> (Fault, Books) {
    let disk = Fault::new(Plan::Stop(stop), seed);
    let mut books = Books::default();
    run(&disk, 0, 20, &mut books);
    (disk, books)
}

fn calls() -> u64 {
    let disk = Fault::new(Plan::Nothing, 1);
    run(&disk, 0, 20, &mut Books::default());
    assert!(disk.calls() > 60, "{}", disk.calls());
    disk.calls()
}

#[test]
fn killed_at_every_call() {
    for stop in 0..=calls() {
        let (disk, books) = crash(stop, stop);
        check(&disk.killed(), &books, books.appended.len(), books.appended.len() as u32, &format!("killed at {stop}"));
    }
}

#[test]
fn power_cut_at_every_call() {
    for stop in 0..=calls() {
        for seed in 1..20 {
            let (disk, books) = crash(stop, stop);
            let label = format!("power cut at {stop}, seed {seed}");
            check(&disk.power_cut(seed), &books, books.synced, books.appended.len() as u32, &label);
        }
    }
}

#[test]
fn killed_again_while_it_recovers() {
    for stop in (0..=calls()).step_by(7) {
        let (disk, books) = crash(stop, stop);
        for again in 0..60 {
            let disk = disk.killed();
            disk.plan(Plan::Stop(again));
            drop(Spool::open(disk.clone(), limits(), readers().to_vec(), NOW));
            let label = format!("killed at {stop}, then at {again}");
            check(&disk.killed(), &books, books.appended.len(), books.appended.len() as u32, &label);
            check(&disk.power_cut(again), &books, books.synced, books.appended.len() as u32, &label);
        }
    }
}

/// What a killed run had written, and not made durable, is durable once the next one has read it.
#[test]
fn killed_and_then_the_power_is_cut() {
    for stop in 0..=calls() {
        let (disk, books) = crash(stop, stop);
        let disk = disk.killed();
        drop(open(disk.clone(), limits(), &readers()));
        let label = format!("killed at {stop}");
        check(&disk.power_cut(stop), &books, books.appended.len(), books.appended.len() as u32, &label);
    }
}

#[test]
fn life_goes_on_after_each_crash() {
    for seed in 0..200 {
        let mut books = Books::default();
        let mut disk = Fault::new(Plan::Nothing, seed);
        for round in 0..6 {
            disk.plan(Plan::Stop(10 + (seed * 7 + round * 13) % 40));
            run(&disk, round as u32 * 8, 8, &mut books);
            disk = disk.killed();
            let last = round as u32 * 8 + 8;
            check(&disk.killed(), &books, books.appended.len(), last, &format!("seed {seed}, round {round}"));
        }
    }
}
