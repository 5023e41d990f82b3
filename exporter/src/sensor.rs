//! Loads the programs, chooses a backend that really works here, attaches it, and reads its records.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use aya::maps::{HashMap, MapData, MapError, RingBuf};
use aya::util::nr_cpus;
use aya::{Ebpf, EbpfError, EbpfLoader, VerifierLogLevel};
use inotrail_ebpf::{Control, Layout, STRINGS_LIMIT, global, map, program};
use zerocopy::IntoBytes as _;

pub mod backend;
pub mod btf;
mod check;
mod error;
pub mod kernel;
pub mod layout;
mod memory;
mod misses;
pub mod mutations;
mod record;
pub mod report;
mod scopes;
mod self_test;

pub use check::check;
pub use error::{Attempt, AttemptError, Error};
pub use memory::CounterMap;
pub use misses::Misses;
pub use record::{Malformed, Record};

use crate::container::cgroup::Hierarchy;
use crate::event::Backend;
use btf::Btf;
use kernel::Kernel;
use memory::ControlMap;
use report::MutationReport;
use scopes::Scopes;

/// The programs, as built for this architecture.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/programs.o"));

/// What the sensor needs to know.
#[derive(Clone, Debug)]
pub struct Options {
    /// The one backend that may run, or none: the best that works.
    pub backend: Option<Backend>,
    /// Type information of the kernel, for the layout.
    pub btf: PathBuf,
    /// Size of the ring buffer: a power of two and a multiple of the page size.
    pub ring_bytes: u32,
    /// The cgroup hierarchy in which containers live.
    pub hierarchy: Hierarchy,
    /// Only accesses from this cgroup and below are recorded; `/` is all. A path below the hierarchy's root.
    pub root: PathBuf,
    /// Accesses from these cgroups and below are not recorded.
    pub exclude: Vec<PathBuf>,
    /// Whether the exporter's own accesses are recorded.
    pub include_self: bool,
    /// Whether what is done to files without opening them is recorded.
    pub mutations: bool,
}

/// Records of one [`Sensor::drain`]: a node that writes them faster than they are read must not keep the thread from
/// looking at anything else.
pub const DRAIN_MAX: usize = 16_384;

/// What one [`Sensor::drain`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// No record.
    Nothing,
    /// All there were.
    All,
    /// [`DRAIN_MAX`]: there may be more.
    Part,
}

/// Attached programs and the ring they write to. Dropping it detaches them.
pub struct Sensor {
    backend: Backend,
    attempts: Vec<Attempt>,
    ring: RingBuf<MapData>,
    counters: Arc<CounterMap>,
    misses: Misses,
    mutations: Vec<MutationReport>,
    /// Records that came while the self-test ran: they are part of the stream.
    early: VecDeque<Vec<u8>>,
    /// The exporter's thread group, whose accesses are left out; 0: they are not.
    own_tgid: u32,
    path: Vec<u8>,
    links: Option<Ebpf>,
}

impl Sensor {
    /// Attaches the best backend that passes its self-test.
    ///
    /// # Errors
    /// None does, or the kernel's layout is not known.
    pub fn start(options: &Options) -> Result<Self, Error> {
        let kernel = Kernel::detect();
        let mut attempts = Vec::new();
        for candidate in backend::order(&kernel) {
            if options.backend.is_some_and(|only| only != candidate) {
                continue;
            }
            match Self::attach(candidate, options)? {
                Ok(mut sensor) => {
                    attempts.push(Attempt { backend: candidate, failure: None });
                    sensor.attempts = attempts;
                    return Ok(sensor);
                }
                Err(failure) => attempts.push(Attempt { backend: candidate, failure: Some(failure) }),
            }
        }
        Err(Error::NoBackend(attempts))
    }

    /// Attaches this backend and tests it. The outer error is one that no other backend would avoid.
    ///
    /// # Errors
    /// See [`Error`] and [`AttemptError`].
    pub fn attach(backend: Backend, options: &Options) -> Result<Result<Self, AttemptError>, Error> {
        let missing = kernel::missing_capabilities();
        if !missing.is_empty() {
            return Err(Error::Capability(missing));
        }
        scopes::validate(options)?;
        let btf = Btf::load(&options.btf)?;
        let (layout, features) = layout::resolve(&btf, options.hierarchy.controller, options.hierarchy.id)?;
        drop(btf);
        Ok(Self::attach_with(backend, options, &layout, &features))
    }

    fn attach_with(
        backend: Backend,
        options: &Options,
        layout: &Layout,
        features: &layout::Features,
    ) -> Result<Self, AttemptError> {
        let cpus = nr_cpus()
            .map(|cpus| cpus.get() as usize)
            .map_err(|(what, error)| AttemptError::Maps(format!("{what}: {error}")))?;
        let mut ebpf = load(layout, options, cpus).map_err(|error| AttemptError::Maps(backend::chain(&error)))?;
        let maps = |error: io::Error| AttemptError::Maps(error.to_string());
        let counters = CounterMap::new(get(&ebpf, map::COUNTERS)?, cpus).map_err(maps)?;
        let control = ControlMap::new(get(&ebpf, map::CONTROL)?).map_err(maps)?;
        let unfit = |error: MapError| AttemptError::Maps(backend::chain(&error));
        let ring = RingBuf::try_from(take(&mut ebpf, map::EVENTS)?).map_err(unfit)?;
        let table = HashMap::try_from(take(&mut ebpf, map::CGROUPS)?).map_err(unfit)?;
        let mut scopes = Scopes::new(table, options);
        let default_scope = Scopes::others(options);
        let exec_is_access = u32::from(backend == Backend::RawTracepoint);
        let start = Control { default_scope, exec_is_access, ..Control::default() };
        control.set(start);
        let mut programs = backend::load(&mut ebpf, backend, features, options.mutations)?;
        programs.attach_tables(&mut ebpf)?;
        scopes.fill(options)?;
        scopes.begin_self_test(options)?;
        programs.attach_hook(&mut ebpf)?;
        let misses = Misses::of(&ebpf, programs.names());
        let mut sensor = Self {
            backend,
            attempts: Vec::new(),
            ring,
            counters: Arc::new(counters),
            misses,
            mutations: programs.mutations(),
            early: VecDeque::new(),
            own_tgid: 0,
            path: Vec::with_capacity(STRINGS_LIMIT + 512),
            links: Some(ebpf),
        };
        let tgid = self_test::run(&mut sensor)?;
        scopes.end_self_test(options)?;
        sensor.own_tgid = if options.include_self { 0 } else { tgid };
        control.set(Control { self_tgid: sensor.own_tgid, ..start });
        Ok(sensor)
    }

    /// Detaches the programs; what they wrote can still be drained.
    pub fn detach(&mut self) {
        self.links = None;
    }

    /// The backend that runs.
    #[must_use]
    pub const fn backend(&self) -> Backend {
        self.backend
    }

    /// What came of each hook of mutations; empty where they are not asked for.
    #[must_use]
    pub fn mutations(&self) -> &[MutationReport] {
        &self.mutations
    }

    /// The backends that were tried, in order; the last one runs.
    #[must_use]
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// Counts of the kernel half, to be read from any thread.
    #[must_use]
    pub fn counters(&self) -> Arc<CounterMap> {
        Arc::clone(&self.counters)
    }

    /// Calls that the kernel skipped, to be read from any thread.
    #[must_use]
    pub fn misses(&self) -> Misses {
        self.misses.clone()
    }

    /// Gives the records in the ring to `each`, [`DRAIN_MAX`] at most. Waits for nothing.
    ///
    /// A record is released after `each` returned. Malformed ones are given as such: they are counted by whoever counts.
    pub fn drain(&mut self, mut each: impl FnMut(Result<Record<'_>, Malformed>)) -> Drained {
        let own = self.own_tgid;
        let mut give = |item: &[u8], path: &mut Vec<u8>| match record::parse(item, path) {
            // The kernel's filter knows us only since the self-test.
            Ok(Record::Access(access) | Record::Exec(access)) if access.header.tgid == own => {}
            record => each(record),
        };
        for taken in 0..DRAIN_MAX {
            if let Some(early) = self.early.pop_front() {
                give(&early, &mut self.path);
            } else if let Some(item) = self.ring.next() {
                give(&item, &mut self.path);
            } else {
                return if taken == 0 { Drained::Nothing } else { Drained::All };
            }
        }
        Drained::Part
    }
}

fn load(layout: &Layout, options: &Options, cpus: usize) -> Result<Ebpf, EbpfError> {
    let programs = if options.mutations { program::COUNT } else { program::WITHOUT_MUTATIONS };
    EbpfLoader::new()
        .verifier_log_level(VerifierLogLevel::STATS)
        .override_global(global::LAYOUT, layout.as_bytes(), true)
        .map_max_entries(map::EVENTS, options.ring_bytes)
        .map_max_entries(map::SCRATCH, programs)
        .map_max_entries(map::COUNTERS, cpus as u32 * program::COUNT)
        .load(OBJECT)
}

/// The map stays with the object: its programs are yet to be loaded.
fn get<'a>(ebpf: &'a Ebpf, name: &str) -> Result<&'a aya::maps::Map, AttemptError> {
    ebpf.map(name).ok_or_else(|| AttemptError::Maps(format!("the built object has no map {name}")))
}

fn take(ebpf: &mut Ebpf, name: &str) -> Result<aya::maps::Map, AttemptError> {
    ebpf.take_map(name).ok_or_else(|| AttemptError::Maps(format!("the built object has no map {name}")))
}

#[cfg(test)]
mod tests;
