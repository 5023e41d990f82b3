//! From nothing, or from what an earlier run left, to attached programs.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use aya::maps::{HashMap, Map, MapData, MapError, RingBuf};
use aya::util::nr_cpus;
use aya::{Ebpf, EbpfError, EbpfLoader, VerifierLogLevel};
use inotrail_ebpf::{Control, Handover, Layout, STRINGS_LIMIT, global, map, program, role};
use zerocopy::IntoBytes as _;

use super::hook::{Hook, Types};
use super::hooks::{Hooks, Set};
use super::incoming::Incoming;
use super::kernel::Kernel;
use super::ledger::Ledger;
use super::memory::{ControlMap, CounterMap, HandoverMap};
use super::mutations::{Mutation, Mutations};
use super::pins::Pins;
use super::previous::{Fingerprint, Previous};
use super::probe::Probe;
use super::scopes::Scopes;
use super::takeover::boot_ns;
use super::{AttemptError, Error, Gap, OBJECT, Options, Sensor, backend, hook, layout, self_test, whoami};
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
    types: Types,
}

/// The maps, as user space uses them.
struct Maps {
    ring: RingBuf<MapData>,
    counters: CounterMap,
    ledger: Ledger,
    control: ControlMap,
    handover: HandoverMap,
    scopes: HashMap<MapData, u64, u32>,
}

impl Maps {
    fn of(mut take: impl FnMut(&str) -> Result<Map, AttemptError>) -> Result<Self, AttemptError> {
        let io = |error: io::Error| AttemptError::Maps(error.to_string());
        let unfit = |error: MapError| AttemptError::Maps(backend::chain(&error));
        let control = take(map::CONTROL)?;
        Ok(Self {
            ring: RingBuf::try_from(take(map::EVENTS)?).map_err(unfit)?,
            counters: CounterMap::new(&take(map::COUNTERS)?, cpus()?).map_err(io)?,
            ledger: Ledger::new(&take(map::LEDGER)?, &take(map::OVERFLOW)?, &control).map_err(io)?,
            control: ControlMap::new(&control).map_err(io)?,
            handover: HandoverMap::new(&take(map::HANDOVER)?).map_err(io)?,
            scopes: HashMap::try_from(take(map::CGROUPS)?).map_err(unfit)?,
        })
    }
}

impl<'a> Found<'a> {
    /// # Errors
    /// The folder for pins cannot be used.
    pub(super) fn new(options: &'a Options, layout: &Layout, features: layout::Features) -> Result<Self, Error> {
        let pins = options.pins.as_deref().map(Pins::lock).transpose()?;
        let previous = pins.as_ref().and_then(|pins| Previous::find(pins, Fingerprint::of(layout, options.mutations)));
        let unused = pins.as_ref().filter(|_| previous.is_none());
        let stale_ns = unused.and_then(Pins::drained_ns).filter(|drained_ns| *drained_ns != 0);
        Ok(Self {
            options,
            kernel: Kernel::detect(),
            layout: *layout,
            features,
            pins,
            previous,
            stale_ns,
            types: Types::default(),
        })
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
        let maps = Maps::of(|name| pinned(pins, name))?;
        let (instance, ring_bytes) = (previous.handover.instance, previous.ring_bytes);
        let (mut object, mut standby) = (None, Vec::new());
        if backend == Backend::Fexit && self.options.swap {
            let mut loaded = load(&self.layout, ring_bytes, instance, Some(pins), self.options.mutations)?;
            standby = load_standby(&mut loaded, backend, &self.features, wanted, &mut self.types);
            object = Some(loaded);
        }
        Scopes::new(maps.scopes).fill(self.options)?;
        let tgid = whoami::ask_pinned(pins, &maps.control)?;
        maps.control.set(Control { default_scope: Scopes::others(self.options), ..maps.control.get() });
        let attached = std::mem::take(&mut previous.attached);
        let mutations = Mutations::attached(&attached, backend, wanted).report();
        let set = Set {
            attached,
            object,
            standby,
            control: Arc::new(maps.control),
            handover: Arc::new(maps.handover),
            pins: self.pins.take(),
            instance,
            kernel: self.kernel.clone(),
            missed_before: 0,
        };
        let sensor = sensor(backend, set, (maps.ring, maps.counters, maps.ledger), ring_bytes, None);
        Ok(Some(Sensor { mutations, ..sensor.know_itself(tgid, self.options) }))
    }

    /// Attaches a backend and tests it. What an earlier run left goes on until this one has taken over.
    ///
    /// # Errors
    /// See [`AttemptError`].
    pub(super) fn attach(&mut self, backend: Backend) -> Result<Sensor, AttemptError> {
        let folder = |error: io::Error| AttemptError::Maps(format!("the folder for pins: {error}"));
        if let (Some(pins), None) = (&self.pins, &self.previous) {
            pins.make().map_err(folder)?;
        }
        let instance = self.previous.as_ref().map_or(1, |previous| previous.handover.instance + 1);
        let ring_bytes = self.previous.as_ref().map_or(self.options.ring_bytes, |previous| previous.ring_bytes);
        if ring_bytes != self.options.ring_bytes {
            tracing::warn!(ring_bytes, "the ring keeps the size it was pinned with, until `inotrail detach`");
        }
        let mut object = load(&self.layout, ring_bytes, instance, self.pins.as_ref(), self.options.mutations)?;
        let hooks = hook::load(&mut object, backend, &self.features, &mut self.types)?;
        let wanted = wanted(self.options, &self.features);
        let mut mutations = Mutations::load(&mut object, backend, wanted, &mut self.types);
        let standby = if self.options.swap {
            load_standby(&mut object, backend, &self.features, wanted, &mut self.types)
        } else {
            Vec::new()
        };
        whoami::load(&mut object)?;
        // From here on no program can be loaded: its maps' descriptors are gone.
        let maps = Maps::of(|name| {
            object.take_map(name).ok_or_else(|| AttemptError::Maps(format!("the built object has no map {name}")))
        })?;
        let tgid = whoami::ask(&mut object, &maps.control)?;
        let (tables, accesses): (Vec<_>, Vec<_>) = hooks.into_iter().partition(|hook| !hook.reports_accesses());
        let mut attached = Vec::new();
        for hook in tables {
            attached.push(hook.attach(&mut object)?);
        }
        Scopes::new(maps.scopes).fill(self.options)?;
        let role = role(instance, backend == Backend::Kprobe);
        let new = Incoming { backend, role, accesses, mutations: &mut mutations };
        let default_scope = Scopes::others(self.options);
        let (hooked, gap) =
            new.attach(&mut object, &maps.control, default_scope, self.previous.as_mut(), self.pins.as_ref())?;
        attached.extend(hooked);
        // The new programs report by now: what other versions left is of no use any more.
        let other_ns = self.pins.as_ref().map(Pins::remove_others).transpose().map_err(folder)?.flatten();
        let gap = gap.or(self.stale_ns.max(other_ns).map(|start_ns| Gap { start_ns, end_ns: boot_ns() }));
        let old = maps.handover.get();
        let Fingerprint { object: hash, options } = Fingerprint::of(&self.layout, self.options.mutations);
        let hook = match backend {
            Backend::Fexit => program::FEXIT,
            Backend::Kprobe => program::KPROBE,
            Backend::RawTracepoint => program::SYS_EXIT,
        };
        maps.handover.set(Handover { drained_ns: boot_ns(), object: hash, options, instance, hook, missed: 0, ..old });
        let set = Set {
            attached,
            object: Some(object),
            standby,
            control: Arc::new(maps.control),
            handover: Arc::new(maps.handover),
            pins: None,
            instance,
            kernel: self.kernel.clone(),
            missed_before: 0,
        };
        let mut sensor = sensor(backend, set, (maps.ring, maps.counters, maps.ledger), ring_bytes, gap)
            .know_itself(tgid, self.options);
        sensor.mutations = mutations.report();
        // What an earlier run left in the ring must be delivered from there: then the first test is the reader's.
        if self.previous.is_none() {
            self_test::run(&mut sensor, tgid)?;
        }
        if let Some(pins) = self.pins.take() {
            sensor.hooks.pin(pins)?;
        }
        Ok(sensor)
    }
}

/// The mutations to be reported.
fn wanted<'a>(options: &Options, features: &'a layout::Features) -> &'a [Mutation] {
    if options.mutations { &features.mutations } else { &[] }
}

fn sensor(
    backend: Backend,
    set: Set,
    (ring, counters, ledger): (RingBuf<MapData>, CounterMap, Ledger),
    ring_bytes: u32,
    gap: Option<Gap>,
) -> Sensor {
    Sensor {
        attempts: Vec::new(),
        ring,
        counters: Arc::new(counters),
        ledger: Arc::new(ledger),
        handover: Arc::clone(&set.handover),
        control: Arc::clone(&set.control),
        probe: None,
        early: VecDeque::new(),
        mutations: Vec::new(),
        early_bytes: 0,
        ring_bytes: ring_bytes as usize,
        own_tgid: 0,
        path: Vec::with_capacity(STRINGS_LIMIT + 512),
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

/// Loads the object; with pins, onto the maps that are pinned, which are made where they are not.
pub(super) fn load(
    layout: &Layout,
    ring_bytes: u32,
    instance: u32,
    pins: Option<&Pins>,
    mutations: bool,
) -> Result<Ebpf, AttemptError> {
    let cpus = cpus()?;
    let programs = if mutations { program::COUNT } else { program::WITHOUT_MUTATIONS };
    let mut loader = EbpfLoader::new();
    loader
        .verifier_log_level(VerifierLogLevel::STATS)
        .override_global(global::LAYOUT, layout.as_bytes(), true)
        .override_global(global::INSTANCE, &instance, true)
        .map_max_entries(map::EVENTS, ring_bytes)
        .map_max_entries(map::SCRATCH, programs)
        .map_max_entries(map::COUNTERS, cpus as u32 * program::COUNT);
    for name in pins.map(|_| map::PINNED).into_iter().flatten() {
        if let Some(pins) = pins {
            loader.map_pin_path(name, pins.map(name));
        }
    }
    let loaded: Result<Ebpf, EbpfError> = loader.load(OBJECT);
    loaded.map_err(|error| AttemptError::Maps(backend::chain(&error)))
}

fn pinned(pins: &Pins, name: &str) -> Result<Map, AttemptError> {
    let unfit =
        |error: MapError| AttemptError::Maps(format!("{}: {}", pins.map(name).display(), backend::chain(&error)));
    let map = MapData::from_pin(pins.map(name)).map_err(unfit)?;
    Ok(match name {
        map::EVENTS => Map::RingBuf(map),
        map::CGROUPS => Map::HashMap(map),
        _ => Map::Array(map),
    })
}

pub(super) fn cpus() -> Result<usize, AttemptError> {
    let cpus = nr_cpus().map_err(|(what, error)| AttemptError::Maps(format!("{what}: {error}")))?;
    Ok(cpus.get() as usize)
}
