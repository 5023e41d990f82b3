//! Any operations in any order, against a list.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::fault::{Fault, Plan};
use super::*;

#[derive(Clone, Debug)]
enum Op {
    Append {
        stream: u64,
        len: usize,
    },
    Next(usize),
    /// The one given so many before the last one.
    Acknowledge(usize, usize),
    Drop(usize, usize),
    Sync,
    Reopen,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0..4_u64, 0..600_usize).prop_map(|(stream, len)| Op::Append { stream, len }),
        6 => (0..3_usize).prop_map(Op::Next),
        6 => (0..3_usize, 0..4_usize).prop_map(|(reader, back)| Op::Acknowledge(reader, back)),
        1 => (0..3_usize, 0..4_usize).prop_map(|(reader, back)| Op::Drop(reader, back)),
        2 => Just(Op::Sync),
        1 => Just(Op::Reopen),
    ]
}

fn readers() -> [Reader; 3] {
    [reader("a", &[0, 1]), reader("b", &[1, 2]), reader("c", &[0, 1, 2])]
}

/// What a spool would be if it were a list.
#[derive(Default)]
struct Model {
    entries: BTreeMap<u64, Entry>,
    /// Ids that a reader has not settled, those that it was given, and all that it ever had.
    waiting: [Vec<u64>; 3],
    given: [Vec<u64>; 3],
    lost: [u64; 3],
    capacity: Option<u64>,
}

impl Model {
    fn append(&mut self, id: u64, entry: Entry) {
        for (reader, of) in readers().iter().enumerate() {
            if of.streams.contains(&entry.stream) {
                self.waiting[reader].push(id);
            }
        }
        self.entries.insert(id, entry);
        while let Some(capacity) = self.capacity
            && self.live().map(|id| self.entries[&id].body.len() as u64).sum::<u64>() > capacity
            && let Some(oldest) = self.live().filter(|id| (0..3).any(|reader| self.is_to_come(reader, *id))).min()
        {
            for reader in 0..3 {
                if self.is_to_come(reader, oldest) {
                    self.lose(reader, oldest);
                }
            }
        }
    }

    /// Whether a reader waits for it, and has not got it in its hands: then it may still arrive.
    fn is_to_come(&self, reader: usize, id: u64) -> bool {
        self.waiting[reader].contains(&id) && self.given[reader].last().is_none_or(|last| *last < id)
    }

    fn live(&self) -> impl Iterator<Item = u64> {
        self.entries.keys().copied().filter(|id| self.waiting.iter().any(|waiting| waiting.contains(id)))
    }

    fn settle(&mut self, reader: usize, id: u64) -> bool {
        let place = self.waiting[reader].iter().position(|waiting| *waiting == id);
        place.map(|place| self.waiting[reader].remove(place)).is_some()
    }

    fn lose(&mut self, reader: usize, id: u64) -> bool {
        let is_news = self.settle(reader, id);
        self.lost[reader] += if is_news { self.entries[&id].accesses } else { 0 };
        is_news
    }

    fn next(&mut self, reader: usize) -> Option<Given> {
        let last = self.given[reader].last().copied().unwrap_or(0);
        let id = self.waiting[reader].iter().copied().find(|id| *id > last)?;
        self.given[reader].push(id);
        Some(Given { id, entry: self.entries[&id].clone() })
    }

    fn depth(&self, reader: usize) -> Depth {
        let waiting = || self.waiting[reader].iter().map(|id| &self.entries[id]);
        Depth {
            entries: self.waiting[reader].len() as u64,
            bytes: waiting().map(|entry| entry.body.len() as u64).sum(),
            accesses: waiting().map(|entry| entry.accesses).sum(),
            oldest_ns: waiting().map(|entry| entry.time_ns).next(),
        }
    }

    /// What was settled behind something that was not may come again.
    fn reopen<D: Disk>(&mut self, spool: &Spool<D>) {
        for (reader, of) in readers().iter().enumerate() {
            self.given[reader].clear();
            let first = self.waiting[reader].first().copied().unwrap_or(u64::MAX);
            let is_waiting = |id: &u64| spool.index.waiting(*id, true).contains(&reader);
            let is_its = |id: &u64| of.streams.contains(&self.entries[id].stream);
            let now: Vec<_> = self.entries.keys().copied().filter(is_waiting).collect();
            assert!(self.waiting[reader].iter().all(|id| now.contains(id)));
            assert!(now.iter().all(|id| *id >= first && is_its(id)));
            self.waiting[reader] = now;
        }
    }
}

fn run<D: Disk>(mut spool: Spool<D>, mut model: Model, ops: &[Op], reopen: impl Fn(Spool<D>) -> Spool<D>) {
    for (number, op) in ops.iter().enumerate() {
        let of = |model: &Model, reader: usize, back: usize| model.given[reader].iter().rev().nth(back).copied();
        match *op {
            Op::Append { stream, len } => {
                let time_ns = NOW + number as u64;
                let body = Bytes::from(vec![number as u8; len]);
                let tenant = format!("{}", stream % 2).into();
                let entry = Entry { stream, run: RUN, tenant, time_ns, records: 1, accesses: number as u64 + 1, body };
                let id = spool.append(entry.clone(), NOW);
                assert_eq!(id.is_some(), stream < 3);
                if let Some(id) = id {
                    model.append(id, entry);
                }
            }
            Op::Next(reader) => assert_eq!(spool.next(reader), model.next(reader)),
            Op::Acknowledge(reader, back) => {
                let Some(id) = of(&model, reader, back) else { continue };
                assert_eq!(spool.acknowledge(reader, id), model.settle(reader, id));
            }
            Op::Drop(reader, back) => {
                let Some(id) = of(&model, reader, back) else { continue };
                assert_eq!(spool.drop_entry(reader, id, Dropped::Rejected), model.lose(reader, id));
            }
            Op::Sync => assert_eq!(spool.sync(NOW), spool.store.is_some()),
            Op::Reopen => {
                spool = reopen(spool);
                model.reopen(&spool);
            }
        }
        for lost in spool.take_losses() {
            let reader = readers().iter().position(|reader| *reader.name == *lost.reader).unwrap();
            model.lost[reader] -= lost.accesses;
        }
        assert_eq!(model.lost, [0; 3], "{op:?}");
        (0..3).for_each(|reader| assert_eq!(spool.depth(reader), model.depth(reader), "{op:?}"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn is_a_list_on_disk(ops in prop::collection::vec(op(), 1..80), memory_bytes in 0..3000_u64) {
        let limits = Limits { memory_bytes, ..limits() };
        let disk = Fault::new(Plan::Nothing, 1);
        let reopen = |mut spool: Spool<Fault>| {
            assert!(spool.sync(NOW));
            drop(spool);
            open(disk.clone(), limits, &readers())
        };
        run(open(disk.clone(), limits, &readers()), Model::default(), &ops, reopen);
    }

    #[test]
    fn is_a_list_in_memory(ops in prop::collection::vec(op(), 1..80), bytes in 0..3000_u64) {
        let spool = Spool::memory(Limits { bytes, ..limits() }, readers().to_vec()).unwrap();
        let model = Model { capacity: Some(bytes), ..Model::default() };
        let ops: Vec<_> = ops.into_iter().filter(|op| !matches!(op, Op::Reopen)).collect();
        run(spool, model, &ops, |spool| spool);
    }
}
