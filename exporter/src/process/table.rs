//! The processes there are.

use std::collections::VecDeque;
use std::sync::Arc;

use inotrail_ebpf::{Header, flags};

use super::ancestors::{self, Ancestor};
use super::arguments;
use super::cgroups::{Cgroups, Step};
use super::{Process, ProcessScan, Redaction, TICK_NS};
use crate::event::Access;
use crate::ids::IdMap;

mod merge;

/// Processes known at once.
const PROCESSES_MAX: usize = 131_072;
/// Exited processes that are kept, of those at most.
const EXITED_MAX: usize = 32_768;
/// Records of an exited process may still be on their way.
const EXITED_FOR_NS: u64 = 30_000_000_000;

/// Processes by thread group id and start time: a pid used again never gets the old executable.
#[derive(Debug, Default)]
pub struct ProcessTable {
    /// By thread group id; the start time tells them apart.
    processes: IdMap<u32, Box<Slot>>,
    /// When they exited, oldest first.
    exited: VecDeque<(u64, u32, u64)>,
    cgroups: Cgroups,
    /// Arguments are kept, redacted by this.
    redaction: Option<Arc<Redaction>>,
    /// What ran before is known: whoever is not came from where nothing is recorded.
    scanned: bool,
    refused: u64,
}

/// A pid's process, and the one that had the pid before.
#[derive(Debug)]
#[repr(C)]
struct Slot {
    current: Entry,
    previous: Option<Box<Entry>>,
}

/// What every event looks at stands together: of thousands of processes most are in no near cache.
#[derive(Clone, Debug, Default)]
#[repr(C)]
struct Entry {
    /// Where it was seen last; 0 where unknown.
    cgroup: u64,
    /// The start time is exact, and not `/proc`'s.
    exact: bool,
    exited: bool,
    /// Nobody knows who forked it, or forked that one: `/proc` knows better.
    guessed: bool,
    process: Process,
    /// What its children's ancestors are; made when it forks.
    children: Option<Arc<[Ancestor]>>,
    /// Where it, or one that forked it, came into from elsewhere.
    home: u64,
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

    /// It is in this cgroup now.
    fn moves(&mut self, cgroup: u64, cgroups: &mut Cgroups, scanned: bool) {
        if self.cgroup == cgroup {
            return;
        }
        let step = cgroups.enter(cgroup, self.home);
        if step != Step::Within {
            // Of one that was never seen elsewhere its parent is not known either: its fork was not in scope.
            let is_from_outside = self.cgroup != 0 || (self.guessed && scanned);
            self.process.session = step == Step::Later && is_from_outside;
            self.home = cgroup;
        }
        self.cgroup = cgroup;
    }
}

impl ProcessTable {
    /// An empty table, which keeps arguments where it is told how to redact them.
    #[must_use]
    pub fn new(redaction: Option<Arc<Redaction>>) -> Self {
        Self { redaction, ..Self::default() }
    }

    /// A process, as far as it is known.
    #[must_use]
    pub fn get(&self, tgid: u32, start_boottime_ns: u64) -> Option<&Process> {
        let slot = self.processes.get(&tgid)?;
        let previous = slot.previous.iter().map(Box::as_ref);
        let entry = std::iter::once(&slot.current).chain(previous).find(|entry| entry.is(start_boottime_ns));
        entry.map(|entry| &entry.process)
    }

    /// Who made an access, as far as that is known. Allocates nothing unless the process is in a cgroup in which nobody has
    /// been.
    pub fn of(&mut self, header: &Header) -> &Process {
        let Some(slot) = self.processes.get_mut(&header.tgid) else { return Process::unknown() };
        let Slot { current, previous } = &mut **slot;
        if current.is(header.process_start_ns) {
            current.moves(header.cgroup_id, &mut self.cgroups, self.scanned);
            return &current.process;
        }
        let previous = previous.as_deref().filter(|entry| entry.is(header.process_start_ns));
        previous.map_or(Process::unknown(), |entry| &entry.process)
    }

    /// A process runs a new executable.
    pub fn exec(&mut self, access: &Access<'_>) {
        let header = access.header;
        // A path that is not the executable's is worse than none.
        let unusable = flags::BASE | flags::PATH_UNKNOWN | flags::TRUNCATED | flags::RACED;
        let path = if header.flags & unusable == 0 { access.path } else { b"" };
        let known = self.processes.get(&header.tgid).filter(|slot| slot.current.is(header.process_start_ns));
        let mut entry = match known {
            Some(slot) => slot.current.clone(),
            None => self.child_of(header.ppid),
        };
        entry.moves(header.cgroup_id, &mut self.cgroups, self.scanned);
        entry.process.executable = path.into();
        entry.process.arguments = match &self.redaction {
            Some(redaction) => arguments::keep(access.arguments, redaction),
            None => Arc::default(),
        };
        // Those that it forks from now on have another parent.
        entry.children = None;
        self.insert(header, entry);
    }

    /// A process was forked: it runs what its parent runs.
    pub fn fork(&mut self, header: &Header) {
        if let Some(parent) = self.processes.get_mut(&header.ppid).filter(|slot| !slot.current.exited) {
            parent.current.moves(header.cgroup_id, &mut self.cgroups, self.scanned);
        }
        let mut entry = self.child_of(header.ppid);
        entry.moves(header.cgroup_id, &mut self.cgroups, self.scanned);
        entry.process.vpid = header.device;
        self.insert(header, entry);
    }

    /// A process exited. What is known of it stays for 30 s, counted by the records' own clock.
    pub fn exit(&mut self, header: &Header) {
        let (tgid, now) = (header.tgid, header.time_ns);
        if let Some(slot) = self.processes.get_mut(&tgid)
            && slot.current.is(header.process_start_ns)
            && !slot.current.exited
        {
            slot.current.exited = true;
            slot.current.children = None;
            self.exited.push_back((now, tgid, slot.current.process.start_boottime_ns));
        }
        self.purge(now);
    }

    /// A cgroup was made.
    pub fn cgroup_made(&mut self, id: u64, path: &[u8]) {
        self.cgroups.made(id, path);
    }

    /// A cgroup was released.
    pub fn cgroup_released(&mut self, id: u64) {
        self.cgroups.released(id);
    }

    /// Processes that found no room since the last call.
    pub fn take_refused(&mut self) -> u64 {
        std::mem::take(&mut self.refused)
    }

    /// What a process is that this one forks.
    fn child_of(&mut self, parent: u32) -> Entry {
        let live = self.processes.get_mut(&parent).filter(|slot| !slot.current.exited);
        let Some(entry) = live.map(|slot| &mut slot.current) else {
            let mut entry = Entry { guessed: true, ..Entry::default() };
            // The first of all has none.
            if parent != 0 {
                entry.process.ancestors = ancestors::of_children(parent, &Arc::default(), &[]);
            }
            return entry;
        };
        let Entry { process, children, cgroup, home, guessed, .. } = entry;
        let Process { executable, ancestors, arguments, session, .. } = process;
        let children = children.get_or_insert_with(|| ancestors::of_children(parent, executable, ancestors));
        let process = Process {
            executable: Arc::clone(executable),
            ancestors: Arc::clone(children),
            arguments: Arc::clone(arguments),
            session: *session,
            ..Process::default()
        };
        Entry { process, cgroup: *cgroup, home: *home, guessed: *guessed, ..Entry::default() }
    }

    fn insert(&mut self, header: &Header, mut entry: Entry) {
        entry.process.start_boottime_ns = header.process_start_ns;
        self.put(header.tgid, Entry { exact: true, exited: false, as_of_ns: header.time_ns, ..entry });
    }

    fn put(&mut self, tgid: u32, entry: Entry) {
        let (now, start) = (entry.as_of_ns, entry.process.start_boottime_ns);
        self.purge(now);
        if let Some(slot) = self.processes.get_mut(&tgid) {
            let before = std::mem::replace(&mut slot.current, entry);
            if !before.is(start) {
                // Whoever had the pid is gone, even where the record of that was lost.
                if !before.exited {
                    self.exited.push_back((now, tgid, before.process.start_boottime_ns));
                }
                slot.previous = Some(Box::new(Entry { exited: true, children: None, ..before }));
            }
            return;
        }
        while self.processes.len() >= PROCESSES_MAX {
            if !self.forget_oldest_exited() {
                self.refused += 1;
                return;
            }
        }
        self.processes.insert(tgid, Box::new(Slot { current: entry, previous: None }));
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
            if slot.previous.as_deref().is_some_and(is) {
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
