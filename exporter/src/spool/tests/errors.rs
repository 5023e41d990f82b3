//! Errors of every call to the disk, for a time or for good: nothing is lost but what is told.

use rustix::io::Errno;

use super::fault::{Fault, Plan};
use super::*;

/// Sums of accesses, by reader.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Books {
    appended: [u64; 2],
    /// Acknowledged, and told as lost.
    settled: [u64; 2],
    /// Of those appended, what a sync said is durable.
    durable: u64,
}

impl Books {
    fn settle(&mut self, reader: usize, accesses: u64, label: &str) {
        assert_eq!(self.settled[reader] & accesses, 0, "{label}: twice");
        self.settled[reader] |= accesses;
    }

    fn tell(&mut self, spool: &mut Spool<Fault>, label: &str) {
        for lost in spool.take_losses() {
            let reader = usize::from(&*lost.reader == "b");
            assert_eq!(lost.reason, Dropped::SpoolFull, "{label}");
            self.settle(reader, lost.accesses, label);
        }
    }

    fn read(&mut self, spool: &mut Spool<Fault>, reader: usize, count: usize, label: &str) {
        let mut last = 0;
        for _ in 0..count {
            let Some(given) = spool.next(reader) else { break };
            assert!(given.id > last);
            last = given.id;
            let number = given.entry.accesses.trailing_zeros();
            assert_eq!(given.entry, entry(number, given.entry.stream), "{label}");
            assert!(spool.acknowledge(reader, given.id));
            self.settle(reader, given.entry.accesses, label);
        }
        self.tell(spool, label);
    }

    fn append(&mut self, spool: &mut Spool<Fault>, numbers: std::ops::Range<u32>, label: &str) {
        for number in numbers {
            let now = NOW + u64::from(number) * SECOND / 3;
            let stream = u64::from(number.is_multiple_of(3));
            assert!(spool.append(entry(number, stream), now).is_some());
            self.appended[0] |= 1 << number;
            self.appended[1] |= stream << number;
            self.tell(spool, label);
            if number % 2 == 1 && spool.sync(now) {
                self.durable |= (2 << number) - 1;
            }
            spool.look_again(now);
            self.tell(spool, label);
            if number % 5 == 4 {
                self.read(spool, 0, 3, label);
                self.read(spool, 1, 1, label);
            }
        }
    }
}

fn readers() -> [Reader; 2] {
    [reader("a", &[0, 1]), reader("b", &[1])]
}

fn memory(memory_bytes: u64) -> Limits {
    Limits { memory_bytes, ..limits() }
}

/// Fails as planned while 24 entries come and go, then works again while 10 more do.
fn check(plan: Plan, limits: Limits, needs_loss: Option<bool>) {
    let label = format!("{plan:?}, {} bytes of memory", limits.memory_bytes);
    let disk = Fault::new(plan, 7);
    let mut books = Books::default();
    let mut spool = match Spool::open(disk.clone(), limits, readers().to_vec(), NOW) {
        Ok(spool) => spool,
        Err(error) => {
            assert!(matches!(error, Error::Read(_)), "{label}");
            disk.plan(Plan::Nothing);
            open(disk.clone(), limits, &readers())
        }
    };
    books.append(&mut spool, 0..24, &label);
    for seed in 0..2 {
        let mut books = books.clone();
        let mut spool = open(disk.power_cut(seed), limits, &readers());
        spool.take_losses();
        let given: u64 = drain(&mut spool, 0).iter().map(|given| given.entry.accesses).sum();
        let missing = books.durable & !given & !books.settled[0];
        assert_eq!(missing, 0, "{label}: power cut, seed {seed}");
        books.durable = 0;
    }
    let told = books.settled[0];
    disk.plan(Plan::Nothing);
    books.append(&mut spool, 24..34, &label);
    let now = NOW + 60 * SECOND;
    spool.look_again(now);
    if !spool.aside.is_empty() {
        (0..2).for_each(|reader| books.read(&mut spool, reader, 100, &label));
    }
    assert!(spool.sync(now) && spool.degraded().is_none(), "{label}: {:?}", spool.degraded());
    // What is left is on disk alone.
    drop(spool);
    let mut spool = open(disk.clone(), limits, &readers());
    (0..2).for_each(|reader| books.read(&mut spool, reader, 100, &label));
    assert_eq!(books.settled, books.appended, "{label}");
    assert!(spool.sync(now));
    drop(spool);
    let mut spool = open(disk, limits, &readers());
    assert_eq!((spool.next(0), spool.next(1), spool.take_losses()), (None, None, Vec::new()), "{label}");
    if let Some(expected) = needs_loss {
        assert_eq!(told != 0, expected);
    }
}

fn calls() -> u64 {
    let disk = Fault::new(Plan::Nothing, 7);
    let mut spool = open(disk.clone(), memory(1 << 20), &readers());
    Books::default().append(&mut spool, 0..24, "");
    disk.calls()
}

#[test]
fn every_error_at_every_call() {
    let calls = calls();
    assert!(calls > 60, "{calls}");
    for errno in [Errno::NOSPC, Errno::ROFS, Errno::IO] {
        for from in 0..calls {
            for count in [1, 9, u64::MAX] {
                check(Plan::Fail { from, count, errno }, memory(1 << 20), None);
                check(Plan::Fail { from, count, errno }, memory(1500), None);
            }
        }
    }
}

#[test]
fn every_write_cut_short() {
    (0..calls()).for_each(|at| check(Plan::Short(at), memory(1500), None));
}

#[test]
fn a_disk_that_fails_is_waited_for_and_said() {
    let disk = Fault::new(Plan::Nothing, 1);
    let mut spool = open(disk.clone(), memory(1 << 20), &readers());
    assert!(spool.append(entry(0, 0), NOW).is_some() && spool.sync(NOW));
    disk.plan(Plan::Fail { from: 0, count: u64::MAX, errno: Errno::IO });
    spool.append(entry(1, 0), NOW);
    assert_eq!(spool.degraded().and_then(io::Error::raw_os_error), Some(Errno::IO.raw_os_error()));
    let calls = disk.calls();
    disk.plan(Plan::Nothing);
    assert!(calls > 0 && !spool.sync(NOW + SECOND - 1));
    assert_eq!(disk.calls(), 0);
    assert!(spool.sync(NOW + SECOND) && spool.degraded().is_none());
    // A clock that went back does not make the pause longer.
    disk.plan(Plan::Fail { from: 0, count: 1, errno: Errno::IO });
    spool.append(entry(2, 0), NOW + 1000 * SECOND);
    assert!(spool.degraded().is_some());
    assert!(spool.sync(NOW));
    assert_eq!(numbers(&mut spool, 0), [0, 1, 2]);
}

#[test]
fn what_memory_cannot_hold_while_the_disk_fails_is_told() {
    let plan = Plan::Fail { from: 5, count: u64::MAX, errno: Errno::NOSPC };
    let disk = Fault::new(plan, 1);
    let mut spool = open(disk.clone(), memory(1000), &[reader("a", &[0])]);
    assert!((0..20).all(|number| spool.append(entry(number, 0), NOW).is_some()));
    assert_eq!(spool.degraded().and_then(io::Error::raw_os_error), Some(Errno::NOSPC.raw_os_error()));
    let first = spool.index.slots.keys().next().map_or(0, |id| *id as u32 - 1);
    assert!(first > 10 && spool.body_bytes <= 1000);
    assert_eq!(lost(&mut spool, "a"), [(Dropped::SpoolFull, (1 << first) - 1)]);
    let told = spool.close(NOW + SECOND);
    assert_eq!(
        told.iter().map(|lost| (lost.reason, lost.accesses)).collect::<Vec<_>>(),
        [(Dropped::Shutdown, (1 << 20) - (1 << first))]
    );
}

#[test]
fn one_that_cannot_be_read_is_told_and_the_others_are_given() {
    let disk = Fault::new(Plan::Nothing, 1);
    // What is given while the plan lasts, what is when the disk has worked meanwhile, and what is told then.
    let check = |plan: Plan, expected: [&[u32]; 2], told: u64| {
        let mut spool = open(disk.killed(), memory(0), &readers());
        let disk = spool.store.as_ref().unwrap().disk.clone();
        assert_eq!(spool.next(1).map(|given| given.entry.accesses), Some(1));
        assert_eq!(spool.next(1).map(|given| given.entry.accesses), Some(0b1000));
        assert_eq!(spool.next(0).map(|given| given.entry.accesses), Some(1));
        disk.plan(plan);
        assert_eq!(numbers(&mut spool, 0), expected[0], "{plan:?}");
        assert!(spool.degraded().is_some());
        assert_eq!(lost(&mut spool, "a"), []);
        // It is the disk's fault as long as it does not take what is written, and an entry's own after that.
        let works = !matches!(plan, Plan::Fail { count: u64::MAX, .. });
        let has_more = spool.look_again(NOW);
        if !works {
            assert!(!has_more);
            assert_eq!((numbers(&mut spool, 0), lost(&mut spool, "a")), (vec![], vec![]), "{plan:?}");
            disk.plan(Plan::Nothing);
            assert!(!spool.look_again(NOW + SECOND - 1));
            assert!(spool.look_again(NOW + SECOND));
        }
        assert_eq!(numbers(&mut spool, 0), expected[1], "{plan:?}");
        assert_eq!(lost(&mut spool, "a").iter().map(|(_, accesses)| accesses).sum::<u64>(), told, "{plan:?}");
        assert!(spool.acknowledge(1, 4), "the other one has it in its hands");
        assert!(spool.sync(NOW + 2 * SECOND) && spool.degraded().is_none());
    };
    let mut spool = open(disk.clone(), memory(0), &readers());
    assert!((0..8).all(|number| spool.append(entry(number, u64::from(number.is_multiple_of(3))), NOW).is_some()));
    assert!(spool.sync(NOW));
    drop(spool);
    let once = |from, errno| Plan::Fail { from, count: 1, errno };
    // Reads 1 and 2, opens the next segment, reads 3.
    check(once(1, Errno::IO), [&[1, 3, 4, 5, 6, 7], &[2]], 0);
    check(once(2, Errno::IO), [&[1, 2, 4, 5, 6, 7], &[3]], 0);
    check(once(2, Errno::MFILE), [&[1, 2], &[3, 4, 5, 6, 7]], 0);
    check(Plan::Unreadable, [&[], &[]], 0b1111_1110);
    check(Plan::Fail { from: 1, count: u64::MAX, errno: Errno::IO }, [&[1], &[2, 3, 4, 5, 6, 7]], 0);
}

#[test]
fn what_cannot_be_read_at_the_start_is_told() {
    let disk = Fault::new(Plan::Nothing, 1);
    let alone = [reader("a", &[0])];
    let mut spool = open(disk.clone(), limits(), &alone);
    assert!((0..12).all(|number| spool.append(entry(number, 0), NOW).is_some()));
    assert!(spool.sync(NOW));
    drop(spool);
    for (count, at) in [1, 2, 3, 9].into_iter().flat_map(|count| (0..60).map(move |at| (count, at))) {
        let disk = disk.killed();
        disk.plan(Plan::Fail { from: at, count, errno: Errno::IO });
        let Ok(mut spool) = Spool::open(disk.clone(), limits(), alone.to_vec(), NOW) else {
            assert_eq!(at, 0);
            continue;
        };
        disk.plan(Plan::Nothing);
        let given: u64 = numbers(&mut spool, 0).iter().map(|number| 1 << number).sum();
        let told: u64 = lost(&mut spool, "a").iter().map(|(_, accesses)| accesses).sum();
        // Without cursors, nobody knows where segments end.
        let is_known = !(1..=5).contains(&at) || count == 1;
        assert!(!is_known || given ^ told == (1 << 12) - 1, "{count} from {at}: {given:b} {told:b}");
    }
}
