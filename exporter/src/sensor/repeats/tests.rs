use std::sync::RwLock;
use std::sync::atomic::AtomicBool;
use std::thread;

use memmap2::MmapMut;

use super::super::gates::GateMap;
use super::*;

impl Repeats {
    /// One in plain memory.
    pub(crate) fn in_memory() -> Self {
        let memory = |bytes| MmapRaw::from(MmapMut::map_anon(bytes).expect("map"));
        let gates = GateMap::of(memory(size_of::<inotrail_ebpf::Gates>()), 1);
        let control = Arc::new(ControlMap::of(memory(size_of::<inotrail_ebpf::Control>()), gates));
        Self::of(memory(REPEAT_SLOTS as usize * size_of::<RepeatSlot>()), control)
    }

    /// What the programs do. False: it is a record.
    pub(crate) fn count(&self, identity: u64, now_ns: u64) -> bool {
        self.count_of(70, identity, now_ns)
    }

    /// The same for an access of this process.
    pub(crate) fn count_of(&self, tgid: u32, identity: u64, now_ns: u64) -> bool {
        for probe in 0..REPEAT_PROBES {
            let slot = self.slot((identity as u32).wrapping_add(probe));
            if slot.identity.load(Ordering::Acquire) != identity {
                continue;
            }
            if now_ns >= slot.until_ns.load(Ordering::Relaxed) {
                return false;
            }
            if slot.tgid.swap(tgid, Ordering::Relaxed) != tgid {
                slot.changes.fetch_add(1, Ordering::Relaxed);
            }
            slot.count.fetch_add(1, Ordering::Relaxed);
            let _is_first = slot.first_ns.compare_exchange(0, now_ns, Ordering::Relaxed, Ordering::Relaxed);
            slot.last_ns.store(now_ns, Ordering::Relaxed);
            return true;
        }
        false
    }
}

const KEY: LedgerKey = LedgerKey { cgroup_id: 7, inode: 8, device: 9, mask: 0x24, result: -13, kind: 1 };

fn taken(repeats: &Repeats, index: u32) -> Option<Repeated> {
    let mut taken = None;
    assert_eq!(repeats.take(index, |repeated| taken = Some(repeated)), taken.is_some());
    taken
}

#[test]
fn counts_what_was_opened_until_its_time_and_gives_it_once() {
    let repeats = Repeats::in_memory();
    assert!(!repeats.count(5, 10), "nobody has opened it");
    let index = repeats.open(5, (&KEY, 70), 100, |_| true).unwrap();
    assert_eq!(repeats.open(5, (&KEY, 70), 100, |_| true), None, "it is open");
    assert_eq!(taken(&repeats, index), None);
    assert!(repeats.count(5, 10) && repeats.count(5, 20) && !repeats.count(5, 100) && !repeats.count(6, 20));
    assert!(repeats.has_new(index));
    assert_eq!(taken(&repeats, index), Some(Repeated { count: 2, processes: 1, first_ns: 10, last_ns: 20 }));
    assert!(!repeats.has_new(index));
    assert_eq!(taken(&repeats, index), None);
    repeats.renew(index, 200);
    assert!(repeats.count(5, 100));
    assert_eq!(taken(&repeats, index), Some(Repeated { count: 1, processes: 1, first_ns: 100, last_ns: 100 }));
}

#[test]
fn processes_are_never_more_than_it_says() {
    let repeats = Repeats::in_memory();
    let index = repeats.open(5, (&KEY, 70), 100, |_| true).unwrap();
    let processes = || taken(&repeats, index).unwrap().processes;
    assert!([70, 70, 70].iter().all(|tgid| repeats.count_of(*tgid, 5, 10)));
    assert_eq!(processes(), 1);
    assert!([70, 71, 71, 72, 71].iter().all(|tgid| repeats.count_of(*tgid, 5, 10)));
    assert_eq!(processes(), 4, "one that comes back is one more");
    assert!([71, 71, 73].iter().all(|tgid| repeats.count_of(*tgid, 5, 10)));
    assert_eq!(processes(), 2, "the one of the time before goes on");
    assert!(repeats.count_of(74, 5, 10));
    assert_eq!(processes(), 1, "no more than accesses");
}

#[test]
fn a_closed_slot_is_over_once_programs_were_waited_for() {
    let repeats = Repeats::in_memory();
    let index = repeats.open(5, (&KEY, 70), 100, |_| true).unwrap();
    assert!(repeats.count(5, 10));
    let closed = repeats.close(index);
    assert!(!repeats.count(5, 10) && !repeats.is_over(closed));
    repeats.wait().unwrap();
    assert!(repeats.is_over(closed));
    let later = repeats.close(index);
    assert!(repeats.is_over(closed) && !repeats.is_over(later));
}

#[test]
fn what_has_no_slot_is_not_counted() {
    let repeats = Repeats::in_memory();
    let mut used = Vec::new();
    for number in 0..u64::from(REPEAT_PROBES) {
        // Of the same first slot.
        let identity = number << 32 | 5;
        used.push(repeats.open(identity, (&KEY, 70), 100, |index| !used.contains(&index)).unwrap());
        assert!(repeats.count(identity, 10));
    }
    let one_more = 99 << 32 | 5;
    assert_eq!(repeats.open(one_more, (&KEY, 70), 100, |index| !used.contains(&index)), None);
    assert!(!repeats.count(one_more, 10));
    assert!(used.iter().all(|index| taken(&repeats, *index).is_some_and(|repeated| repeated.count == 1)));
}

#[test]
fn what_an_earlier_run_has_not_told_is_left_for_the_next() {
    let repeats = Repeats::in_memory();
    let [one, other] = [5, 6].map(|identity| repeats.open(identity, (&KEY, 70), u64::MAX, |_| true).unwrap());
    (0..3).for_each(|_| assert!(repeats.count(5, 10)));
    assert!(taken(&repeats, one).is_some() && repeats.count(5, 10) && repeats.count(6, 10));
    repeats.close_all();
    assert!(!repeats.count(5, 10));
    let mut left = Vec::new();
    repeats.take_left(|index| index != other, |entry| left.push(entry));
    assert_eq!(left, [Entry { key: KEY, count: 1, overflow: false }]);
}

/// Slots come and go while several count: each access is counted once, or a record.
#[test]
fn nothing_is_lost_or_doubled() {
    const EACH: u64 = 200_000;
    let (repeats, running, ended) = (Repeats::in_memory(), RwLock::new(()), AtomicBool::new(false));
    let (mut records, mut counted) = (0, 0);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    (0..EACH)
                        .filter(|number| {
                            // Held as a program holds its RCU section.
                            let _running = running.read().expect("lock");
                            !repeats.count(number % 8 + 1, *number + 1)
                        })
                        .count() as u64
                })
            })
            .collect();
        let main = scope.spawn(|| {
            let mut counted = 0;
            let mut take = |open: &[u32]| {
                for index in open {
                    repeats.take(*index, |repeated| counted += repeated.count);
                }
            };
            while !ended.load(Ordering::Acquire) {
                let open: Vec<_> =
                    (1..9).filter_map(|identity| repeats.open(identity, (&KEY, 70), u64::MAX, |_| true)).collect();
                thread::yield_now();
                take(&open);
                for index in &open {
                    repeats.close(*index);
                }
                drop(running.write().expect("lock"));
                take(&open);
            }
            counted
        });
        records = threads.into_iter().map(|thread| thread.join().expect("no panic")).sum();
        ended.store(true, Ordering::Release);
        counted = main.join().expect("no panic");
    });
    assert_eq!(records + counted, 2 * EACH);
    assert!(counted > 0, "nothing was counted");
}
