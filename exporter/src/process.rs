//! Who runs what: process -> executable, kept up to date by exec, fork and exit records.
//!
//! Owned by the sensor's thread: no lock, and no I/O but in [`ProcessScan::read`], which needs no table and may run
//! anywhere.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use inotrail_ebpf::{Header, flags};

use crate::event::Access;

mod scan;

pub use scan::ProcessScan;

/// Processes known at once.
const PROCESSES_MAX: usize = 131_072;
/// Exited processes that are kept, of those at most.
const EXITED_MAX: usize = 32_768;
/// Records of an exited process may still be on their way.
const EXITED_FOR_NS: u64 = 30_000_000_000;
/// What `/proc` counts a start time in (`USER_HZ` is 100 on every architecture that the programs run on).
const TICK_NS: u64 = 10_000_000;

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Absolute path of the executable as the process's mount namespace shows it, raw bytes; shared with forked children.
    pub executable: Arc<[u8]>,
    /// `CLOCK_BOOTTIME` at which the thread group started, nanoseconds; a multiple of 10 ms where it was read from `/proc`.
    pub start_boottime_ns: u64,
}

/// Processes by thread group id and start time: a pid used again never gets the old executable.
#[derive(Debug, Default)]
pub struct ProcessTable {
    /// By thread group id; the start time tells them apart.
    processes: HashMap<u32, Slot>,
    /// When they exited, oldest first.
    exited: VecDeque<(u64, u32, u64)>,
    refused: u64,
}

/// A pid's process, and the one that had the pid before.
#[derive(Debug)]
struct Slot {
    current: Entry,
    previous: Option<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    process: Process,
    /// The start time is exact, and not `/proc`'s.
    exact: bool,
    exited: bool,
    /// When the executable was last known to be this one.
    as_of_ns: u64,
}

impl Entry {
    fn is(&self, start_ns: u64) -> bool {
        let known = self.process.start_boottime_ns;
        if self.exact { known == start_ns } else { self.started_in(start_ns / TICK_NS) }
    }

    fn started_in(&self, tick: u64) -> bool {
        self.process.start_boottime_ns / TICK_NS == tick
    }
}

impl ProcessTable {
    /// The executable of a process, as far as it is known.
    #[must_use]
    pub fn get(&self, tgid: u32, start_boottime_ns: u64) -> Option<&Process> {
        let slot = self.processes.get(&tgid)?;
        let entry = [Some(&slot.current), slot.previous.as_ref()].into_iter().flatten();
        entry.into_iter().find(|entry| entry.is(start_boottime_ns)).map(|entry| &entry.process)
    }

    /// A process runs a new executable.
    pub fn exec(&mut self, access: &Access<'_>) {
        let header = access.header;
        // A path that is not the executable's is worse than none.
        let unusable = flags::BASE | flags::PATH_UNKNOWN | flags::TRUNCATED | flags::RACED;
        let path = if header.flags & unusable == 0 { access.path } else { b"" };
        self.insert(header.tgid, header.process_start_ns, path.into(), header.time_ns);
    }

    /// A process was forked: it runs what its parent runs.
    pub fn fork(&mut self, header: &Header) {
        let parent = self.processes.get(&header.ppid).map(|slot| &slot.current).filter(|entry| !entry.exited);
        if let Some(executable) = parent.map(|entry| Arc::clone(&entry.process.executable)) {
            self.insert(header.tgid, header.process_start_ns, executable, header.time_ns);
        }
    }

    /// A process exited. What is known of it stays for 30 s, counted by the records' own clock.
    pub fn exit(&mut self, header: &Header) {
        let (tgid, now) = (header.tgid, header.time_ns);
        if let Some(slot) = self.processes.get_mut(&tgid)
            && slot.current.is(header.process_start_ns)
            && !slot.current.exited
        {
            slot.current.exited = true;
            self.exited.push_back((now, tgid, slot.current.process.start_boottime_ns));
        }
        self.purge(now);
    }

    /// Brings the table in line with what [`ProcessScan::read`] found. Records that come later overrule it, whenever
    /// they were made.
    pub fn merge(&mut self, scan: ProcessScan) {
        let ProcessScan { time_ns, processes } = scan;
        let gone = |tgid: &u32, slot: &Slot| {
            let now = processes.get(tgid);
            !slot.current.exited
                && slot.current.as_of_ns < time_ns
                && now.is_none_or(|now| !slot.current.started_in(now.start_boottime_ns / TICK_NS))
        };
        for (tgid, slot) in self.processes.iter_mut().filter(|(tgid, slot)| gone(tgid, slot)) {
            slot.current.exited = true;
            self.exited.push_back((time_ns, *tgid, slot.current.process.start_boottime_ns));
        }
        for (tgid, Process { executable, start_boottime_ns }) in processes {
            match self.processes.get_mut(&tgid) {
                Some(slot) if slot.current.started_in(start_boottime_ns / TICK_NS) => {
                    if slot.current.as_of_ns < time_ns {
                        slot.current.process.executable = executable;
                        slot.current.as_of_ns = time_ns;
                    }
                }
                Some(slot) if slot.current.process.start_boottime_ns > start_boottime_ns => {}
                _ => self.put(tgid, Process { executable, start_boottime_ns }, false, time_ns),
            }
        }
        self.purge(time_ns);
    }

    /// Processes that found no room since the last call.
    pub fn take_refused(&mut self) -> u64 {
        std::mem::take(&mut self.refused)
    }

    fn insert(&mut self, tgid: u32, start_boottime_ns: u64, executable: Arc<[u8]>, now: u64) {
        self.put(tgid, Process { executable, start_boottime_ns }, true, now);
    }

    fn put(&mut self, tgid: u32, process: Process, exact: bool, now: u64) {
        self.purge(now);
        let start = process.start_boottime_ns;
        let entry = Entry { process, exact, exited: false, as_of_ns: now };
        if let Some(slot) = self.processes.get_mut(&tgid) {
            let before = std::mem::replace(&mut slot.current, entry);
            if !before.is(start) {
                // Whoever had the pid is gone, even where the record of that was lost.
                if !before.exited {
                    self.exited.push_back((now, tgid, before.process.start_boottime_ns));
                }
                slot.previous = Some(Entry { exited: true, ..before });
            }
            return;
        }
        while self.processes.len() >= PROCESSES_MAX {
            if !self.forget_oldest_exited() {
                self.refused += 1;
                return;
            }
        }
        self.processes.insert(tgid, Slot { current: entry, previous: None });
    }

    fn purge(&mut self, now: u64) {
        while let Some((exited, ..)) = self.exited.front()
            && (now.saturating_sub(*exited) >= EXITED_FOR_NS || self.exited.len() > EXITED_MAX)
        {
            self.forget_oldest_exited();
        }
    }

    fn forget_oldest_exited(&mut self) -> bool {
        let Some((_, tgid, start)) = self.exited.pop_front() else { return false };
        let is = |entry: &Entry| entry.exited && entry.process.start_boottime_ns == start;
        if let Some(slot) = self.processes.get_mut(&tgid) {
            if slot.previous.as_ref().is_some_and(is) {
                slot.previous = None;
            } else if is(&slot.current) {
                self.processes.remove(&tgid);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests;
