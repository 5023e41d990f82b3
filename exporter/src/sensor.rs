//! Loads the programs, chooses a backend that really works here, attaches it, and reads its records.

use scopes::Scopes;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use inotrail_ebpf::ABSENT;
use inotrail_ebpf::filter::FILTER_ENTRIES;

mod account;
pub mod backend;
pub mod btf;
mod check;
mod error;
mod fill;
mod filters;
mod gates;
pub mod heap;
mod hook;
mod hooks;
mod incoming;
pub mod kernel;
pub mod layout;
mod ledger;
mod maps;
mod memory;
mod misses;
mod mutation_hooks;
pub mod mutations;
mod paths;
mod pins;
mod previous;
pub mod privileges;
mod probe;
pub mod record;
mod repeats;
pub mod report;
mod ring;
pub mod scopes;
mod self_test;
mod start;
mod takeover;
mod types;
mod whoami;

pub use check::check;
pub use error::{Attempt, AttemptError, Error};
pub use fill::{RingFill, RingGauge};
pub use hooks::{Hooks, Swapped};
pub use ledger::{Entry, Ledger};
pub use memory::CounterMap;
pub use pins::unpin;
pub use probe::Probe;
pub use record::{Malformed, Paths, Record};
pub use repeats::{Repeated, Repeats};
pub(crate) use takeover::boot_ns;

use crate::config::default;
use crate::container::cgroup::Hierarchy;
use crate::event::{Access, Backend};
pub use account::{Account, Inherited, Opened, Unkept};
use btf::Btf;
use memory::{ControlMap, HandoverMap};
use report::MutationReport;
use ring::Ring;
use start::Found;

/// The programs, as built for this architecture.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/programs.o"));

/// What the sensor needs to know.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub struct Options {
    /// The one backend that may run, or none: the best that works.
    pub backend: Option<Backend>,
    /// Type information of the kernel, for the layout.
    pub btf: PathBuf,
    /// Size of the ring buffer: a power of two and a multiple of the page size.
    pub ring_bytes: u32,
    /// Names, and files, that the kernel's filters hold.
    pub filter_entries: u32,
    /// The cgroup hierarchy in which containers live.
    pub hierarchy: Hierarchy,
    /// Only accesses from this cgroup and below are recorded; `/` is all. A path below the hierarchy's root.
    pub root: PathBuf,
    /// Accesses from these cgroups and below are not recorded.
    pub exclude: Vec<PathBuf>,
    /// Whether the exporter's own accesses are recorded.
    pub include_self: bool,
    /// Where programs and maps are pinned, so that they outlive this process: a folder of a BPF file system. Nothing: they end
    /// with it.
    pub pins: Option<PathBuf>,
    /// Whether what is done to files without opening them is recorded.
    pub mutations: bool,
    /// Whether programs that an earlier run left are replaced even though this build's are the same.
    pub replace: bool,
    /// Whether kprobe takes over from fexit when the kernel skips that.
    pub swap: bool,
}

impl Options {
    /// Every access but one's own, by the best backend, with programs that end with this process.
    #[must_use]
    pub fn new(hierarchy: Hierarchy, ring_bytes: u32) -> Self {
        Self {
            backend: None,
            btf: PathBuf::from(default::BTF),
            ring_bytes,
            filter_entries: FILTER_ENTRIES,
            hierarchy,
            root: PathBuf::from("/"),
            exclude: Vec::new(),
            include_self: false,
            pins: None,
            mutations: false,
            replace: false,
            swap: false,
        }
    }
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

/// A time in which no program was attached, as `CLOCK_BOOTTIME`, nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// From when on accesses may be missing.
    pub start_ns: u64,
    /// From when on they are reported again.
    pub end_ns: u64,
}

/// Attached programs and the ring they write to. Dropping it detaches them, unless they are pinned.
pub struct Sensor {
    hooks: Hooks,
    attempts: Vec<Attempt>,
    ring: Ring,
    counters: Arc<CounterMap>,
    ledger: Arc<Ledger>,
    repeats: Arc<Repeats>,
    control: Arc<ControlMap>,
    handover: Arc<HandoverMap>,
    mutations: Vec<MutationReport>,
    /// `None`: somebody else has it.
    scopes: Option<Scopes>,
    /// The self-test; nothing where procfs cannot be used for it.
    probe: Option<Arc<Probe>>,
    /// Records that came while the self-test ran: they are part of the stream.
    early: VecDeque<Vec<u8>>,
    early_bytes: usize,
    ring_bytes: usize,
    fill: Arc<RingGauge>,
    /// Bytes that were taken from the ring since it was empty.
    taken_bytes: u64,
    /// The exporter's thread group, whose accesses are left out; 0: they are not.
    own_tgid: u32,
    paths: Paths,
    gap: Option<Gap>,
}

impl Sensor {
    /// Goes on with what an earlier run left attached, or attaches the best backend that passes its self-test.
    ///
    /// # Errors
    /// None does, or the kernel's layout is not known.
    pub fn start(options: &Options) -> Result<Self, Error> {
        let mut found = Self::find(options)?;
        match found.adopt() {
            Ok(Some(sensor)) => return Ok(sensor),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "what the last run left attached does not work: attaching anew"),
        }
        let mut attempts = Vec::new();
        let mut order = backend::order(&found.kernel);
        // What an earlier run has chosen on this kernel stays: to try another one first would detach it for that, even where
        // the other one does not attach then.
        let before = found.previous.as_ref().and_then(previous::Previous::backend);
        order.sort_by_key(|candidate| before.is_some_and(|before| before != *candidate));
        for candidate in order {
            if options.backend.is_some_and(|only| only != candidate) {
                continue;
            }
            match found.attach(candidate) {
                Ok(mut sensor) => {
                    attempts.push(Attempt { backend: candidate, failure: None });
                    sensor.attempts = attempts;
                    return Ok(sensor);
                }
                Err(failure) => attempts.push(Attempt { backend: candidate, failure: Some(failure) }),
            }
        }
        found.give_up();
        Err(Error::NoBackend(attempts))
    }

    /// Attaches this backend and tests it. The outer error is one that no other backend would avoid.
    ///
    /// # Errors
    /// See [`Error`] and [`AttemptError`].
    pub fn attach(backend: Backend, options: &Options) -> Result<Result<Self, AttemptError>, Error> {
        Ok(Self::find(options)?.attach(backend))
    }

    fn find(options: &Options) -> Result<Found<'_>, Error> {
        let missing = privileges::missing(&kernel::Kernel::detect());
        if !missing.is_empty() {
            return Err(Error::Capability(missing));
        }
        if kernel::is_confidential() {
            return Err(Error::Lockdown);
        }
        scopes::validate(options)?;
        let btf = Btf::load(&options.btf)?;
        let (mut layout, features) = layout::resolve(&btf, options.hierarchy.controller, options.hierarchy.id)?;
        drop(btf);
        // The verifier knows types of the kernel's own file alone.
        if options.btf != Path::new(default::BTF) {
            (layout.helper_typed_task, layout.css_set_dfl_cgrp) = (ABSENT, 0);
        }
        Found::new(options, &layout, features)
    }

    /// The time before this run in which no program was attached although an earlier run had attached some.
    #[must_use]
    pub const fn gap(&self) -> Option<Gap> {
        self.gap
    }

    /// Which cgroups the programs record, to be changed from another thread; `None`: it was taken before.
    pub fn take_scopes(&mut self) -> Option<Scopes> {
        self.scopes.take()
    }

    /// The attached programs, to be watched and changed from another thread.
    #[must_use]
    pub fn hooks(&self) -> Hooks {
        self.hooks.clone()
    }

    /// Detaches the programs, or leaves them to the next run where they are pinned; what they wrote can still be drained.
    pub fn detach(&mut self) {
        self.hooks.leave();
    }

    /// The backend that runs.
    #[must_use]
    pub fn backend(&self) -> Backend {
        self.hooks.backend()
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

    /// How full the ring is, to be read from any thread.
    #[must_use]
    pub fn fill(&self) -> Arc<RingGauge> {
        Arc::clone(&self.fill)
    }

    /// What the ring had no room for, to be used from any thread.
    #[must_use]
    pub fn ledger(&self) -> Arc<Ledger> {
        Arc::clone(&self.ledger)
    }

    /// What equals an access that was told just now.
    #[must_use]
    pub fn repeats(&self) -> Arc<Repeats> {
        Arc::clone(&self.repeats)
    }

    /// The self-test, to be made from any thread while records are drained.
    #[must_use]
    pub fn probe(&self) -> Option<Arc<Probe>> {
        self.probe.clone()
    }

    /// The account of what is taken from the ring, to be opened for this run.
    #[must_use]
    pub fn account(&self, stream: u128) -> Inherited {
        Inherited::new(Arc::clone(&self.handover), stream)
    }

    /// Accesses that were neither reported nor counted, as far as they were noted by [`Self::note_lost`], in earlier runs
    /// too.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.handover.get().lost
    }

    /// Notes them for the next run.
    pub fn note_lost(&self, lost: u64) {
        self.handover.set_lost(lost);
    }

    /// Gives the records in the ring to `each`, [`DRAIN_MAX`] at most. Waits for nothing.
    ///
    /// A record is released after `each` returned. Malformed ones are given as such: they are counted by whoever counts.
    pub fn drain(&mut self, mut each: impl FnMut(Result<Record<'_>, Malformed>)) -> Drained {
        let (own, probe) = (self.own_tgid, self.probe.as_deref());
        let is_test = |access: &Access<'_>| probe.is_some_and(|probe| probe.takes(access));
        let mut give = |item: &[u8], paths: &mut Paths| match record::parse(item, paths) {
            // The kernel's filter knows us only since the self-test.
            Ok(Record::Access(access) | Record::Exec(access)) if is_test(&access) || access.header.tgid == own => {}
            record => each(record),
        };
        for taken in 0..DRAIN_MAX {
            if let Some(early) = self.early.pop_front() {
                give(&early, &mut self.paths);
            } else if let Some(item) = self.ring.next() {
                self.taken_bytes += RingGauge::taken_by(&item);
                give(&item, &mut self.paths);
            } else {
                self.handover.set_drained(boot_ns());
                self.fill.emptied(std::mem::take(&mut self.taken_bytes));
                probe.inspect(|probe| probe.drained());
                return if taken == 0 { Drained::Nothing } else { Drained::All };
            }
        }
        Drained::Part
    }
}

#[cfg(test)]
mod tests;
