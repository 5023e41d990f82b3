//! What `/proc` says, brought into the table.

use std::collections::{HashMap, HashSet};
use std::mem;

use super::super::scan::Found;
use super::{Entry, ProcessScan, ProcessTable, Slot, TICK_NS};

impl ProcessTable {
    /// Brings the table in line with what [`ProcessScan::read`] found. Records that come later overrule it, whenever
    /// they were made.
    pub fn merge(&mut self, scan: ProcessScan) {
        let ProcessScan { time_ns, mut processes, cgroups } = scan;
        self.end(time_ns, &processes);
        for (id, path) in cgroups {
            self.cgroups.found(id, &path);
        }
        let firsts = firsts(&processes);
        for tgid in parents_first(&processes) {
            let Some(found) = processes.get_mut(&tgid).map(mem::take) else { continue };
            let start = found.start_boottime_ns;
            match self.processes.get_mut(&tgid) {
                Some(slot) if slot.current.started_in(start / TICK_NS) => {
                    let entry = &mut slot.current;
                    if entry.as_of_ns < time_ns {
                        entry.process.executable = found.executable.clone();
                        entry.process.arguments = found.arguments.clone();
                        entry.children = None;
                        entry.as_of_ns = time_ns;
                    }
                    if entry.process.vpid == 0 {
                        entry.process.vpid = found.vpid;
                    }
                    if entry.guessed {
                        self.correct(tgid, &found, &firsts);
                    }
                }
                Some(slot) if slot.current.process.start_boottime_ns > start => {}
                _ => {
                    let entry = self.place(tgid, &found, &firsts);
                    self.put(tgid, with(entry, found, time_ns));
                }
            }
        }
        self.scanned = true;
        self.purge(time_ns);
    }

    /// Those that are not there any more have ended.
    fn end(&mut self, time_ns: u64, processes: &HashMap<u32, Found>) {
        let gone = |tgid: &u32, slot: &Slot| {
            let now = processes.get(tgid);
            !slot.current.exited
                && slot.current.as_of_ns < time_ns
                && now.is_none_or(|now| !slot.current.started_in(now.start_boottime_ns / TICK_NS))
        };
        for (tgid, slot) in self.processes.iter_mut().filter(|(tgid, slot)| gone(tgid, slot)) {
            slot.current.exited = true;
            slot.current.children = None;
            self.exited.push_back((time_ns, *tgid, slot.current.process.start_boottime_ns));
        }
    }

    /// One whose fork nobody saw has a parent by now.
    fn correct(&mut self, tgid: u32, found: &Found, firsts: &HashMap<u64, u32>) {
        let right = self.place(tgid, found, firsts);
        let Some(slot) = self.processes.get_mut(&tgid) else { return };
        let entry = &mut slot.current;
        entry.process.ancestors = right.process.ancestors;
        entry.process.session = right.process.session;
        (entry.cgroup, entry.home) = (right.cgroup, right.home);
        (entry.guessed, entry.children) = (false, None);
    }

    /// Where a process is, and whether it came there from outside: of several such in one cgroup the one that started first
    /// is the cgroup's own.
    fn place(&mut self, tgid: u32, found: &Found, firsts: &HashMap<u64, u32>) -> Entry {
        let mut entry = self.child_of(found.parent);
        if found.cgroup != entry.cgroup && !self.cgroups.is_within(found.cgroup, entry.home) {
            entry.home = found.cgroup;
            entry.process.session = found.cgroup != 0 && firsts.get(&found.cgroup) != Some(&tgid);
        }
        Entry { cgroup: found.cgroup, guessed: false, ..entry }
    }
}

fn with(entry: Entry, found: Found, time_ns: u64) -> Entry {
    let Found { executable, arguments, start_boottime_ns, vpid, .. } = found;
    let process = super::Process { start_boottime_ns, executable, arguments, vpid, ..entry.process };
    Entry { process, as_of_ns: time_ns, ..entry }
}

/// Of those whose parent is in another cgroup, the one in each that started first.
fn firsts(processes: &HashMap<u32, Found>) -> HashMap<u64, u32> {
    let mut firsts = HashMap::<u64, (u64, u32)>::new();
    for (tgid, found) in processes {
        let parent = processes.get(&found.parent).map_or(0, |parent| parent.cgroup);
        if found.cgroup != parent {
            let this = (found.start_boottime_ns, *tgid);
            firsts.entry(found.cgroup).and_modify(|first| *first = this.min(*first)).or_insert(this);
        }
    }
    firsts.into_iter().map(|(cgroup, (_, tgid))| (cgroup, tgid)).collect()
}

/// Every process behind its parent. Read one by one, they may name each other as parents: then any order is right.
fn parents_first(processes: &HashMap<u32, Found>) -> Vec<u32> {
    let (mut order, mut line) = (Vec::with_capacity(processes.len()), Vec::new());
    let mut seen = HashSet::with_capacity(processes.len());
    for tgid in processes.keys() {
        let mut next = *tgid;
        while let Some(found) = processes.get(&next)
            && seen.insert(next)
        {
            line.push(next);
            next = found.parent;
        }
        order.extend(line.drain(..).rev());
    }
    order
}
