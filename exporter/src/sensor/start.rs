//! From nothing, or from what an earlier run left, to attached programs.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use aya::Ebpf;
use inotrail_ebpf::{Control, Handover, Layout, STRINGS_LIMIT, program, role};

use super::hook::Hook;
use super::hooks::{Hooks, Set};
use super::incoming::Incoming;
use super::kernel::Kernel;
use super::ledger::Ledger;
use super::maps::{Maps, load, pinned};
use super::memory::CounterMap;
use super::mutation_hooks::Mutations;
use super::mutations::Mutation;
use super::pins::Pins;
use super::previous::{Fingerprint, Previous};
use super::probe::Probe;
use super::repeats::Repeats;
use super::ring::Ring;
use super::scopes::Scopes;
use super::takeover::boot_ns;
use super::types::Types;
use super::{AttemptError, Error, Gap, Options, Paths, RingGauge, Sensor, hook, layout, self_test, whoami};
use crate::event::Backend;

/// The kernel as it was found, and what to attach to it.
pub(super) struct Found<'a> {
    pub(super) options: &'a Options,
    pub(super) kernel: Kernel,
    pub(super) layout: Layout,
    pub(super) features: layout::Features,
    pub(super) pins: Option<Pins>,
    pub(super) previous: Option<Previous>,
    /// When the last run of which nothing can be used emptied its ring, `CLOCK_BOOTTIME`.
    stale_ns: Option<u64>,
}

/// An object whose programs the kernel has taken, and which of them are to be attached.
struct Loaded {
    object: Ebpf,
    hooks: Vec<Hook>,
    mutations: Mutations,
    /// Those that take over when the attached ones miss calls.
    standby: Vec<Hook>,
    instance: u32,
    ring_bytes: u32,
}

impl<'a> Found<'a> {
    /// # Errors
    /// The folder for pins cannot be used.
    pub(super) fn new(options: &'a Options, layout: &Layout, features: layout::Features) -> Result<Self, Error> {
        let pins = options.pins.as_deref().map(Pins::lock).transpose()?;
        let previous = pins.as_ref().and_then(|pins| Previous::find(pins, Fingerprint::of(layout, options.mutations)));
        let unused = pins.as_ref().filter(|_| previous.is_none());
        let stale_ns = unused.and_then(Pins::drained_ns).filter(|drained_ns| *drained_ns != 0);
        Ok(Self { options, kernel: Kernel::detect(), layout: *layout, features, pins, previous, stale_ns })
    }

    /// Nothing works: what was pinned for it goes, but not what an earlier run left.
    pub(super) fn give_up(self) {
        if let (Some(pins), None) = (self.pins, self.previous)
            && let Err(error) = pins.make()
        {
            tracing::warn!(%error, "pins of programs that do not work stay behind");
        }
    }

    /// Goes on with the programs that an earlier run left, if they are the ones that this one would attach.
    ///
    /// # Errors
    /// They do not work any more; they are still there then.
    pub(super) fn adopt(&mut self) -> Result<Option<Sensor>, AttemptError> {
        let (Some(pins), Some(previous)) = (&self.pins, &mut self.previous) else { return Ok(None) };
        let fingerprint = Fingerprint::of(&self.layout, self.options.mutations);
        let wanted = wanted(self.options, &self.features);
        let fits = |backend: &Backend| self.options.backend.is_none_or(|only| only == *backend);
        let Some(backend) = previous.backend().filter(fits) else { return Ok(None) };
        if previous.handover.object != fingerprint.object || self.options.replace {
            return Ok(None);
        }
        let (instance, ring_bytes) = (previous.handover.instance, previous.ring_bytes);
        let (mut object, mut standby) = (None, Vec::new());
        if backend == Backend::Fexit && self.options.swap {
            let mut loaded = load(&self.layout, ring_bytes, instance, Some(pins), self.options)?;
            standby = load_standby(&mut loaded, backend, &self.features, wanted, &mut Types::default());
            object = (!standby.is_empty()).then_some(loaded);
        }
        let maps = Maps::of(|name| pinned(pins, name))?;
        let scopes = Scopes::new(maps.scopes, Arc::clone(&maps.control), maps.filters, self.options).fill()?;
        let tgid = whoami::ask_pinned(pins, &maps.control)?;
        maps.control.set(Control { default_scope: Scopes::others(self.options), ..maps.control.get() });
        let attached = std::mem::take(&mut previous.attached);
        let mutations = Mutations::attached(&attached, backend, wanted).report();
        let set = Set {
            attached,
            object,
            standby,
            control: maps.control,
            handover: Arc::new(maps.handover),
            pins: self.pins.take(),
            instance,
            kernel: self.kernel.clone(),
            missed_before: 0,
            told_before: previous.handover.missed,
        };
        let sensor = sensor(backend, set, (maps.ring, maps.counters, maps.ledger, maps.repeats), ring_bytes, None);
        Ok(Some(Sensor { mutations, scopes: Some(scopes), ..sensor.know_itself(tgid, self.options) }))
    }

    /// Attaches a backend and tests it. What an earlier run left goes on until this one has taken over.
    ///
    /// # Errors
    /// See [`AttemptError`].
    pub(super) fn attach(&mut self, backend: Backend) -> Result<Sensor, AttemptError> {
        if let (Some(pins), None) = (&self.pins, &self.previous) {
            pins.make().map_err(|error| folder(&error))?;
        }
        let loaded = self.load(backend)?;
        let (mut sensor, tgid) = self.place(backend, loaded)?;
        // What an earlier run left in the ring must be delivered from there: then the first test is the reader's.
        if self.previous.is_none() {
            self_test::run(&mut sensor, tgid)?;
        }
        if let Some(pins) = self.pins.take() {
            sensor.hooks.pin(pins)?;
        }
        sensor.hooks.settle();
        Ok(sensor)
    }

    /// Every program that a backend may need; later none can be loaded.
    fn load(&self, backend: Backend) -> Result<Loaded, AttemptError> {
        let instance = self.previous.as_ref().map_or(1, |previous| previous.handover.instance + 1);
        let ring_bytes = self.previous.as_ref().map_or(self.options.ring_bytes, |previous| previous.ring_bytes);
        if ring_bytes != self.options.ring_bytes {
            tracing::warn!(ring_bytes, "the ring keeps the size it was pinned with, until `inotrail detach`");
        }
        let mut object = load(&self.layout, ring_bytes, instance, self.pins.as_ref(), self.options)?;
        // Gone before the ring is mapped.
        let mut types = Types::default();
        let hooks = hook::load(&mut object, backend, &self.features, &mut types)?;
        let wanted = wanted(self.options, &self.features);
        let mutations = Mutations::load(&mut object, backend, wanted, &mut types);
        let standby = if self.options.swap {
            load_standby(&mut object, backend, &self.features, wanted, &mut types)
        } else {
            Vec::new()
        };
        whoami::load(&mut object)?;
        Ok(Loaded { object, hooks, mutations, standby, instance, ring_bytes })
    }

    /// Attaches what is loaded. Also returns this process's number as the kernel sees it.
    fn place(&mut self, backend: Backend, loaded: Loaded) -> Result<(Sensor, u32), AttemptError> {
        let Loaded { mut object, hooks, mut mutations, standby, instance, ring_bytes } = loaded;
        // The maps' descriptors are gone after this.
        let maps = Maps::of(|name| {
            object.take_map(name).ok_or_else(|| AttemptError::Maps(format!("the built object has no map {name}")))
        })?;
        let tgid = whoami::ask(&mut object, &maps.control)?;
        let (tables, accesses): (Vec<_>, Vec<_>) = hooks.into_iter().partition(|hook| !hook.reports_accesses());
        let mut attached = Vec::new();
        for hook in tables {
            attached.push(hook.attach(&mut object)?);
        }
        let scopes = Scopes::new(maps.scopes, Arc::clone(&maps.control), maps.filters, self.options).fill()?;
        let role = role(instance, backend == Backend::Kprobe);
        let new = Incoming { backend, role, accesses, mutations: &mut mutations };
        let default_scope = Scopes::others(self.options);
        let placed =
            new.attach(&mut object, &maps.control, default_scope, self.previous.as_mut(), self.pins.as_ref())?;
        attached.extend(placed.attached);
        // The new programs report by now: what other versions left is of no use any more.
        let others = self.pins.as_ref().map(Pins::remove_others).transpose();
        let other_ns = others.map_err(|error| folder(&error))?.flatten();
        let gap = placed.gap.or(self.stale_ns.max(other_ns).map(|start_ns| Gap { start_ns, end_ns: boot_ns() }));
        maps.handover.set(&self.handover(backend, instance, &maps.handover.get()));
        let set = Set {
            attached,
            object: Some(object),
            standby,
            control: maps.control,
            handover: Arc::new(maps.handover),
            pins: None,
            instance,
            kernel: self.kernel.clone(),
            missed_before: placed.missed,
            told_before: 0,
        };
        let sensor = sensor(backend, set, (maps.ring, maps.counters, maps.ledger, maps.repeats), ring_bytes, gap);
        let mutations = mutations.report();
        Ok((Sensor { mutations, scopes: Some(scopes), ..sensor.know_itself(tgid, self.options) }, tgid))
    }

    /// What the next run is to find.
    fn handover(&self, backend: Backend, instance: u32, old: &Handover) -> Handover {
        let Fingerprint { object, options } = Fingerprint::of(&self.layout, self.options.mutations);
        let hook = match backend {
            Backend::Fexit => program::FEXIT,
            Backend::Kprobe => program::KPROBE,
            Backend::RawTracepoint => program::SYS_EXIT,
        };
        Handover { drained_ns: boot_ns(), object, options, instance, hook, missed: 0, ..*old }
    }
}

fn folder(error: &io::Error) -> AttemptError {
    AttemptError::Maps(format!("the folder for pins: {error}"))
}

/// The mutations to be reported.
fn wanted<'a>(options: &Options, features: &'a layout::Features) -> &'a [Mutation] {
    if options.mutations { &features.mutations } else { &[] }
}

fn sensor(
    backend: Backend,
    set: Set,
    (ring, counters, ledger, repeats): (Ring, CounterMap, Ledger, Repeats),
    ring_bytes: u32,
    gap: Option<Gap>,
) -> Sensor {
    Sensor {
        attempts: Vec::new(),
        ring,
        counters: Arc::new(counters),
        ledger: Arc::new(ledger),
        repeats: Arc::new(repeats),
        handover: Arc::clone(&set.handover),
        control: Arc::clone(&set.control),
        scopes: None,
        probe: None,
        early: VecDeque::new(),
        mutations: Vec::new(),
        early_bytes: 0,
        ring_bytes: ring_bytes as usize,
        fill: Arc::new(RingGauge::new(ring_bytes.into())),
        taken_bytes: 0,
        own_tgid: 0,
        paths: Paths::from(Vec::with_capacity(STRINGS_LIMIT + 512)),
        gap,
        hooks: Hooks::new(backend, set),
    }
}

impl Sensor {
    /// Leaves the exporter's own accesses out, but for those of self-tests.
    fn know_itself(mut self, tgid: u32, options: &Options) -> Self {
        self.own_tgid = if options.include_self { 0 } else { tgid };
        self.control.set(Control { self_tgid: self.own_tgid, self_test: 0, ..self.control.get() });
        self.probe = Probe::new(tgid, self.own_tgid, Arc::clone(&self.control)).ok().map(Arc::new);
        self
    }
}

/// Loads kprobe's programs beside fexit's. Not being able to is no error: nothing stands by then.
fn load_standby(
    object: &mut Ebpf,
    backend: Backend,
    features: &layout::Features,
    mutations: &[Mutation],
    types: &mut Types,
) -> Vec<Hook> {
    if backend != Backend::Fexit {
        return Vec::new();
    }
    let mut hooks = hook::load(object, Backend::Kprobe, features, types).unwrap_or_default();
    hooks.retain(|hook| hook.reports_accesses());
    if !hooks.is_empty() {
        hooks.extend(Mutations::load(object, Backend::Kprobe, mutations, types).hooks());
    }
    hooks
}
