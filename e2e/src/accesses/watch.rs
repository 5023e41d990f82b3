//! A sensor that watches one cgroup, and the proof that nothing it reported is still on its way.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use inotrail::{
    container::{KernelFilter as _, Recorded, cgroup::Hierarchy},
    event::Backend,
    policy::filter::Filter,
    sensor::{Entry, Options, Record, Repeats, Sensor, backend::Misses, scopes::Scopes},
};
use inotrail_ebpf::{Counters, filter::FILTERS_MAX, program};

use super::sound;
use crate::cgroup::Cgroup;

/// Records that a process has written before it ended are in the ring; what is waited for is other writers.
const DEADLINE: Duration = Duration::from_secs(10);

/// Programs whose records a process causes, and no one else.
const PROGRAMS: [u32; 7] = [
    program::FEXIT,
    program::KPROBE,
    program::SYS_EXIT,
    program::PROCESS_EXEC,
    program::PROCESS_FORK,
    program::PROCESS_EXIT,
    program::IO_URING,
];

/// A sensor for one cgroup of its own.
pub struct Watch {
    sensor: Sensor,
    cgroup: Cgroup,
    id: u64,
    filter: Option<Scopes>,
    /// Counts when the watch started, of each program.
    start: [Counters; program::COUNT as usize],
    /// Records taken from the ring since, of each program.
    taken: [u64; program::COUNT as usize],
    /// Records that were none.
    malformed: u64,
    /// What was wrong with the first record that held something that is not its own.
    unsound: Option<anyhow::Error>,
}

impl Watch {
    /// Starts a backend on a new cgroup; all others are left out.
    ///
    /// # Errors
    /// Where the backend does not run here.
    pub fn start(backend: Backend, ring_bytes: u32) -> Result<Self> {
        Self::new(backend, ring_bytes, |options| options)
    }

    /// The same, with its maps and programs pinned. Whoever does so has to remove them.
    ///
    /// # Errors
    /// Where the backend does not run here.
    pub fn start_pinned(backend: Backend, ring_bytes: u32, pins: &Path) -> Result<Self> {
        Self::new(backend, ring_bytes, |options| Options { pins: Some(pins.to_owned()), ..options })
    }

    /// The same, with the hooks of mutations that the type information tells of.
    ///
    /// # Errors
    /// Where the backend does not run here.
    pub fn start_with_mutations(backend: Backend, ring_bytes: u32, btf: &Path) -> Result<Self> {
        let mutations = |options| Options { mutations: true, btf: btf.to_owned(), ..options };
        Self::new(backend, ring_bytes, mutations)
    }

    fn new(backend: Backend, ring_bytes: u32, change: impl FnOnce(Options) -> Options) -> Result<Self> {
        let hierarchy = Hierarchy::detect()?;
        let cgroup = Cgroup::create_top(&format!("inotrail-{}", backend.as_str()))?;
        let id = hierarchy.id_of(cgroup.path())?;
        let options = change(Options {
            backend: Some(backend),
            root: cgroup.path().to_owned(),
            ..Options::new(hierarchy, ring_bytes)
        });
        let mut sensor = Sensor::start(&options).with_context(|| format!("start {}", backend.as_str()))?;
        // Records of the self-test: from now on, every record is of the cgroup.
        sensor.drain(|_| {});
        sensor.ledger().take(|_| {});
        let counters = sensor.counters();
        let start = std::array::from_fn(|program| counters.totals(program as u32));
        Ok(Self { sensor, cgroup, id, filter: None, start, taken: Default::default(), malformed: 0, unsound: None })
    }

    /// Has the programs record no more of the cgroup than the filter lets pass.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn filter(&mut self, filter: Filter) -> Result<()> {
        let mut scopes = self.sensor.take_scopes().context("there is a filter")?;
        // More than there is room for at once come before: each has its own place, and gives it back.
        let before = (0..=FILTERS_MAX).map(|any| Filter { any, ..Filter::default() });
        for filter in before.chain([filter]) {
            scopes.record(self.id, self.cgroup.path(), &Recorded::Filtered(Arc::new(filter)))?;
        }
        self.filter = Some(scopes);
        Ok(())
    }

    /// What it kept back since the watch started.
    #[must_use]
    pub fn filtered(&self) -> u64 {
        let counters = self.sensor.counters();
        let since = |program: usize| counters.totals(program as u32).filtered - self.start[program].filtered;
        (0..program::COUNT as usize).map(since).sum()
    }

    /// The file by which a process enters the cgroup.
    #[must_use]
    pub fn procs(&self) -> PathBuf {
        self.cgroup.procs()
    }

    /// The sensor's backend.
    #[must_use]
    pub fn backend(&self) -> Backend {
        self.sensor.backend()
    }

    /// Whether every hook of mutations is attached.
    ///
    /// # Errors
    /// Names those that are not.
    pub fn all_mutations(&self) -> Result<()> {
        let rows = self.sensor.mutations();
        let missing: Vec<_> = rows.iter().filter(|row| !row.works).map(|row| &*row.reason).collect();
        ensure!(!rows.is_empty() && missing.is_empty(), "not all hooks are attached: {}", missing.join("; "));
        Ok(())
    }

    /// Whether names are told by functions that know no mount.
    #[must_use]
    pub fn knows_no_mounts(&self) -> bool {
        self.sensor.mutations().iter().any(|row| row.function == "security_inode_unlink")
    }

    /// The cgroup, as the kernel numbers it.
    #[must_use]
    pub fn cgroup_id(&self) -> u64 {
        self.id
    }

    /// Gives the records of accesses and processes that are in the ring: all are to be the cgroup's.
    pub fn drain(&mut self, mut each: impl FnMut(&Record<'_>)) {
        let (taken, malformed, unsound) = (&mut self.taken, &mut self.malformed, &mut self.unsound);
        self.sensor.drain(|record| match record {
            Ok(record) => {
                taken[record.header().program as usize] += 1;
                if let Err(error) = sound::check(&record) {
                    unsound.get_or_insert(error);
                }
                // cgroup_mkdir and cgroup_release tell about every cgroup.
                if !matches!(record, Record::CgroupMade(..) | Record::CgroupReleased(_)) {
                    each(&record);
                }
            }
            Err(_) => *malformed += 1,
        });
    }

    /// Drains until every record that was written so far has been given, however long that takes a busy machine. The cgroup
    /// must be quiet.
    ///
    /// # Errors
    /// Where one does not come, is malformed, or holds anything that is not its own.
    pub fn settle(&mut self, mut each: impl FnMut(&Record<'_>)) -> Result<()> {
        let mut deadline = Instant::now() + DEADLINE;
        loop {
            let before = self.taken;
            self.drain(&mut each);
            if self.taken != before {
                deadline = Instant::now() + DEADLINE;
            }
            ensure!(self.malformed == 0, "{} records are malformed", self.malformed);
            if let Some(error) = self.unsound.take() {
                return Err(error.context("a record holds what is not its own"));
            }
            let missing = |program: &&u32| self.taken[**program as usize] != self.emitted(**program);
            let Some(program) = PROGRAMS.iter().chain(&program::MUTATIONS).find(missing) else { return Ok(()) };
            if Instant::now() > deadline {
                let (taken, name) = (self.taken[*program as usize], program::NAMES[*program as usize]);
                bail!("{name} wrote {} records, and {taken} came", self.emitted(*program));
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Records that a program has handed to the ring since the watch started.
    #[must_use]
    pub fn emitted(&self, program: u32) -> u64 {
        self.sensor.counters().totals(program).emitted - self.start[program as usize].emitted
    }

    /// Records of a program that the ring had no room for since the watch started.
    #[must_use]
    pub fn ring_full(&self, program: u32) -> u64 {
        self.sensor.counters().totals(program).ring_full - self.start[program as usize].ring_full
    }

    /// Of these, the ones that are counted in the ledger, and in its overflow.
    #[must_use]
    pub fn counted(&self, program: u32) -> (u64, u64) {
        let (now, start) = (self.sensor.counters().totals(program), self.start[program as usize]);
        (now.ledger - start.ledger, now.overflow - start.overflow)
    }

    /// Gives what was counted since the last time, and makes room for more.
    ///
    /// # Errors
    /// Where the kernel cannot wait for its programs.
    pub fn take(&self, each: impl FnMut(Entry)) -> Result<()> {
        self.sensor.ledger().take(each);
        self.sensor.ledger().flip().context("wait for the programs")
    }

    /// What equals an access that was told.
    #[must_use]
    pub fn repeats(&self) -> Arc<Repeats> {
        self.sensor.repeats()
    }

    /// Calls of the access hook that the kernel skipped; nothing where it skips some and does not count them.
    #[must_use]
    pub fn misses(&self) -> Option<u64> {
        self.sensor.hooks().missed_accesses()
    }

    /// Whether this kernel skips no call of the backend.
    #[must_use]
    pub fn never_misses(&self) -> bool {
        self.sensor.hooks().misses() == Misses::Never
    }
}

/// The guest program, on files of its own, in the cgroup of `procs` once it is ready.
///
/// # Errors
/// Where it cannot be started.
pub fn spawn(guest: &Path, arguments: &[impl AsRef<OsStr>], procs: &Path) -> Result<process::Child> {
    let base = base();
    std::fs::create_dir_all(&base).with_context(|| format!("create {}", base.display()))?;
    process::Command::new(guest)
        .arg("watched")
        // With a second heap, the C library opens a file of /proc when it gives memory back: an access that nobody asked for.
        .env("MALLOC_ARENA_MAX", "1")
        .args([&base, procs])
        .args(arguments)
        .spawn()
        .with_context(|| format!("start {}", guest.display()))
}

/// Where such a program's file system is mounted; the folder below stays empty. Each process that spawns has its own: to
/// remove a folder is to unmount what another one's programs have there.
#[must_use]
pub fn base() -> PathBuf {
    std::env::temp_dir().join(format!("inotrail-accesses-{}", process::id()))
}
