use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, RwLock};
use std::thread;

use inotrail_ebpf::LEDGER_PROBES;
use memmap2::MmapMut;
use proptest::prelude::*;

use super::*;

/// Maps in plain memory, and the kernel's part of the work on them.
struct Bench {
    ledger: Ledger,
    /// Held for reading by whoever adds, as a program holds its RCU section.
    running: RwLock<()>,
    claims: Mutex<HashSet<(bool, u32, u32)>>,
}

impl Bench {
    fn new() -> Self {
        let memory =
            |slots: u32| MmapRaw::from(MmapMut::map_anon(2 * slots as usize * size_of::<LedgerSlot>()).expect("map"));
        let control = MmapRaw::from(MmapMut::map_anon(size_of::<Control>()).expect("map"));
        let ledger = Ledger::of([memory(LEDGER_SLOTS), memory(OVERFLOW_SLOTS)], control);
        Self { ledger, running: RwLock::default(), claims: Mutex::default() }
    }

    /// What `account` of the programs does. False: counted nowhere.
    fn count(&self, key: LedgerKey) -> bool {
        let _running = self.running.read().expect("lock");
        let half = self.ledger.half().load(Ordering::Relaxed);
        let cgroup = LedgerKey { cgroup_id: key.cgroup_id, ..LedgerKey::default() };
        self.add(0, half, key) || self.add(1, half, cgroup)
    }

    fn add(&self, table: usize, half: u32, key: LedgerKey) -> bool {
        let (slots, overflow) = (self.ledger.tables[table].slots, table == 1);
        for probe in 0..LEDGER_PROBES {
            let index = key.check().wrapping_add(probe) & (slots - 1);
            let slot = self.ledger.tables[table].slot(half, index);
            let found = slot.0.check.load(Ordering::Acquire);
            if found == 0 {
                if !self.claims.lock().expect("lock").insert((overflow, half, index)) {
                    continue;
                }
                slot.0.key.set(&key);
                slot.0.check.store(key.check(), Ordering::Release);
            } else if found != key.check() || slot.0.key.get() != key {
                continue;
            }
            slot.0.count.fetch_add(1, Ordering::Relaxed);
            return true;
        }
        false
    }

    fn flip(&self) {
        let grace = || {
            drop(self.running.write().expect("lock"));
            Ok(())
        };
        self.ledger.flip_after(grace).expect("flip");
    }

    fn generation(&self) -> u64 {
        self.ledger.half().load(Ordering::Relaxed).into()
    }

    fn taken(&self) -> HashMap<(bool, LedgerKey), u64> {
        let mut taken = HashMap::new();
        self.ledger.take(|entry| *taken.entry((entry.overflow, entry.key)).or_default() += entry.count);
        taken
    }
}

fn key(cgroup_id: u64, inode: u64) -> LedgerKey {
    LedgerKey { cgroup_id, inode, device: 0x80_0001, mask: 0x24, result: -13, kind: 1 }
}

#[test]
fn gives_each_access_once() {
    let bench = Bench::new();
    assert_eq!(bench.taken(), HashMap::new());
    for (inode, times) in [(1, 3), (2, 1)] {
        (0..times).for_each(|_| assert!(bench.count(key(7, inode))));
    }
    assert_eq!(bench.taken(), [((false, key(7, 1)), 3), ((false, key(7, 2)), 1)].into());
    bench.count(key(7, 2));
    assert_eq!(bench.taken(), [((false, key(7, 2)), 1)].into());
    assert_eq!(bench.taken(), HashMap::new());
}

#[test]
fn is_noted_only_after_it_was_given() {
    let bench = Bench::new();
    bench.count(key(7, 1));
    let killed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        bench.ledger.take(|_| std::panic::resume_unwind(Box::new("killed")));
    }));
    assert!(killed.is_err());
    assert_eq!(bench.taken(), [((false, key(7, 1)), 1)].into(), "given again");
}

#[test]
fn a_half_that_is_half_full_makes_room_again_and_again() {
    let bench = Bench::new();
    let slots = u64::from(LEDGER_SLOTS);
    for round in 0..6 {
        (0..slots * 6 / 10).for_each(|inode| assert!(bench.count(key(1, round << 32 | inode))));
        assert!((50..70).contains(&bench.ledger.fill()), "{}%", bench.ledger.fill());
        bench.flip();
        assert_eq!((bench.generation(), bench.ledger.fill()), (2 * round + 1, 0));
        // Whoever takes is late: the other half is not free yet.
        (0..slots).for_each(|inode| assert!(bench.count(key(2, round << 32 | inode))));
        bench.flip();
        assert_eq!(bench.generation(), 2 * round + 1);
        assert_eq!(bench.taken().values().sum::<u64>(), slots * 6 / 10 + slots);
        bench.flip();
        assert_eq!((bench.generation(), bench.ledger.fill()), (2 * round + 2, 0));
        assert_eq!(bench.taken(), HashMap::new());
    }
}

#[test]
fn what_a_killed_run_left_is_freed() {
    let bench = Bench::new();
    (0..5000).for_each(|inode| assert!(bench.count(key(1, inode))));
    bench.flip();
    // The next run knows only the maps.
    bench.ledger.retired.store(false, Ordering::Relaxed);
    bench.count(key(2, 1));
    bench.flip();
    assert_eq!(bench.taken().values().sum::<u64>(), 5001);
    assert_eq!(bench.ledger.tables[0].used(0), 0);
    assert_eq!(bench.generation(), 1);
}

#[test]
fn a_slot_without_a_proof_waits_and_is_lost_in_the_end() {
    let bench = Bench::new();
    bench.count(key(1, 1));
    let slot = bench.ledger.tables[0].half(0).find(|slot| slot.0.check.load(Ordering::Relaxed) != 0).expect("slot");
    slot.0.check.fetch_xor(2, Ordering::Relaxed);
    assert_eq!(bench.taken(), HashMap::new());
    bench.ledger.half().fetch_add(1, Ordering::Relaxed);
    bench.ledger.retired.store(true, Ordering::Relaxed);
    assert_eq!(bench.taken(), [((true, LedgerKey::default()), 1)].into());
}

#[test]
fn the_kernel_waits_for_its_programs() {
    let bench = Bench::new();
    (0..5000).for_each(|inode| assert!(bench.count(key(1, inode))));
    bench.ledger.flip().expect("membarrier");
    assert!(bench.ledger.retired.load(Ordering::Relaxed));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    /// Threads add while one takes and one flips: every access is taken once, whatever came in between.
    #[test]
    fn concurrent_adds_are_all_taken(files in prop::sample::select(vec![8u64, 3000, 40_000]), cgroups in 1..40u64) {
        const EACH: u64 = 10_000;
        let bench = Bench::new();
        let done = AtomicBool::new(false);
        let mut taken: HashMap<u64, u64> = HashMap::new();
        let nowhere = thread::scope(|scope| {
            let add = |thread: u64| {
                let bench = &bench;
                move || (0..EACH).filter(|n| !bench.count(key(thread % cgroups, n * 7919 % files))).count() as u64
            };
            let adders: Vec<_> = (0..4).map(|thread| scope.spawn(add(thread))).collect();
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    bench.flip();
                    thread::yield_now();
                }
            });
            while !adders.iter().all(thread::ScopedJoinHandle::is_finished) {
                bench.ledger.take(|entry| *taken.entry(entry.key.cgroup_id).or_default() += entry.count);
            }
            done.store(true, Ordering::Relaxed);
            adders.into_iter().map(|adder| adder.join().expect("adder")).sum::<u64>()
        });
        bench.ledger.take(|entry| *taken.entry(entry.key.cgroup_id).or_default() += entry.count);
        prop_assert_eq!(taken.values().sum::<u64>() + nowhere, 4 * EACH);
        prop_assert!(taken.keys().all(|cgroup| *cgroup < cgroups));
    }
}
