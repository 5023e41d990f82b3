//! Many accesses at once: the books must close, and no path may hold a byte that is not its own.

mod changes;
mod clock;
mod hostile;
mod hotplug;
mod opens;
mod paced;
mod renames;
mod repeats;
mod restarts;

use std::{
    collections::HashMap,
    ffi::OsStr,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use inotrail::{
    event::Backend,
    sensor::{Entry, Record},
};
use inotrail_ebpf::{Header, program};

use crate::accesses::{Watch, spawn};

pub use changes::prove_changes;
pub use clock::prove_clock;
pub(crate) use clock::set_calendar;
pub use hostile::{Attack, Hostile, attack};
pub use hotplug::prove_hotplug;
pub use opens::{Account, Opens, open_files};
pub use paced::{ALARM, Paced, open_paced};
pub use renames::{Renames, open_renamed};
pub use repeats::prove_repeats;
pub use restarts::{prove_restarts, prove_swap};

/// Between two looks at what was only counted.
const TAKE_INTERVAL: Duration = Duration::from_millis(250);

/// How the reader drains.
#[derive(Clone, Copy, Debug)]
pub struct Reader {
    /// Size of the ring.
    pub ring_bytes: u32,
    /// Time between two drains.
    pub pause: Duration,
}

/// What a run of the guest left.
#[derive(Debug, Default)]
struct Books {
    /// Records of the access hook.
    events: u64,
    /// Records for which the ring had no room.
    ring_full: u64,
    /// Accesses that were counted instead: by file, and by cgroup alone.
    ledger: u64,
    overflow: u64,
    /// By file: inode number -> accesses.
    counted: HashMap<u64, u64>,
    /// The same of events.
    seen: HashMap<u64, u64>,
    /// Sequence numbers that did not come.
    gaps: u64,
    /// Numbers that came twice, or late.
    backwards: u64,
    /// When the end of the guest, which has threads, was first reported.
    exit_ns: Option<u64>,
    last_access_ns: u64,
    /// Calls that the kernel skipped; nothing where it skips some and does not count them.
    misses: Option<u64>,
    /// Last number of each (program, CPU).
    last: HashMap<(u32, u32), u64>,
    took: Duration,
}

impl Books {
    /// How many accesses may be unseen: calls that the kernel skipped, which it does not always count.
    fn may_miss(&self) -> u64 {
        self.misses.unwrap_or(u64::from(u32::MAX))
    }

    /// How many of the accesses nobody knows of: at most as many as calls were missed.
    fn unseen(&self, made: u64) -> Result<u64> {
        let unseen = made.checked_sub(self.events + self.ring_full).context("more was told than was done")?;
        ensure!(
            unseen <= self.may_miss(),
            "the books do not close: of {made} accesses {unseen} are neither told nor counted, and {:?} calls were missed",
            self.misses
        );
        Ok(unseen)
    }

    fn count(&mut self, entry: &Entry) {
        *if entry.overflow { &mut self.overflow } else { &mut self.ledger } += entry.count;
        if !entry.overflow {
            *self.counted.entry(entry.key.inode).or_default() += entry.count;
        }
    }

    fn see(&mut self, header: &Header) {
        self.events += 1;
        self.last_access_ns = self.last_access_ns.max(header.time_ns);
        *self.seen.entry(header.inode).or_default() += 1;
        let sequence = header.sequence;
        if let Some(last) = self.last.insert((header.program, header.cpu), sequence) {
            self.backwards += u64::from(sequence <= last);
            self.gaps += sequence.saturating_sub(last + 1);
        }
    }
}

/// Runs the guest under a backend and gives every access record to `each`.
fn run(
    backend: Backend,
    guest: &Path,
    reader: Reader,
    arguments: &[impl AsRef<OsStr>],
    each: impl FnMut(&Record<'_>) -> Result<()>,
) -> Result<Books> {
    under(Watch::start(backend, reader.ring_bytes)?, guest, reader, arguments, each)
}

/// The same under a sensor that runs.
fn under(
    mut watch: Watch,
    guest: &Path,
    reader: Reader,
    arguments: &[impl AsRef<OsStr>],
    mut each: impl FnMut(&Record<'_>) -> Result<()>,
) -> Result<Books> {
    let mut books = Books::default();
    let mut wrong = None;
    let mut take = |books: &mut Books, record: &Record<'_>| match record {
        Record::Access(access) => {
            books.see(access.header);
            if let Err(error) = each(record) {
                wrong.get_or_insert(error);
            }
        }
        Record::Exit(header) => books.exit_ns = books.exit_ns.or(Some(header.time_ns)),
        _ => {}
    };
    let start = Instant::now();
    let mut taken = start;
    let mut child = spawn(guest, arguments, &watch.procs())?;
    let status = loop {
        watch.drain(|record| take(&mut books, record));
        // Every slot is looked at, which takes an emulated machine long.
        if taken.elapsed() >= TAKE_INTERVAL {
            watch.take(|entry| books.count(&entry))?;
            taken = Instant::now();
        }
        if let Some(status) = child.try_wait().context("wait for the guest")? {
            break status;
        }
        thread::sleep(reader.pause);
    };
    watch.settle(|record| take(&mut books, record))?;
    watch.take(|entry| books.count(&entry))?;
    ensure!(status.success(), "the guest ended with {status}");
    if let Some(error) = wrong {
        return Err(error);
    }
    let hook = match watch.backend() {
        Backend::Fexit => program::FEXIT,
        Backend::Kprobe => program::KPROBE,
        Backend::RawTracepoint => program::SYS_EXIT,
    };
    books.ring_full = watch.ring_full(hook);
    let (ledger, overflow) = watch.counted(hook);
    ensure!(
        (books.ledger, books.overflow) == (ledger, overflow),
        "{ledger} and {overflow} accesses were counted, and {} and {} were taken",
        books.ledger,
        books.overflow
    );
    match books.exit_ns {
        Some(exit_ns) => ensure!(exit_ns > books.last_access_ns, "the guest's end was reported before its last access"),
        None => ensure!(watch.ring_full(program::PROCESS_EXIT) > 0, "the guest's end was not reported"),
    }
    books.misses = watch.misses();
    ensure!(!watch.never_misses() || books.misses == Some(0), "{:?} calls were missed", books.misses);
    books.took = start.elapsed();
    Ok(books)
}

/// What a test changes there is not given back.
pub(crate) fn only_in_a_machine() -> Result<()> {
    let parent = rustix::process::getppid();
    ensure!(parent.is_some_and(rustix::process::Pid::is_init), "this test is for a test machine, and not for this one");
    Ok(())
}
