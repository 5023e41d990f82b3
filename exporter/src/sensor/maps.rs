//! The object's maps: made or found pinned, and as user space uses them.

use std::io;
use std::sync::Arc;

use aya::maps::{HashMap, Map, MapData, MapError};
use aya::util::nr_cpus;
use aya::{Ebpf, EbpfError, EbpfLoader, VerifierLogLevel};
use inotrail_ebpf::{Layout, global, map, program};
use zerocopy::IntoBytes as _;

use super::filters::Filters;
use super::gates::GateMap;
use super::ledger::Ledger;
use super::memory::{ControlMap, CounterMap, FilterMap, HandoverMap};
use super::pins::Pins;
use super::repeats::Repeats;
use super::ring::Ring;
use super::{AttemptError, OBJECT, Options, backend, heap};

/// The maps, as user space uses them.
pub(super) struct Maps {
    pub(super) ring: Ring,
    pub(super) counters: CounterMap,
    pub(super) ledger: Ledger,
    pub(super) repeats: Repeats,
    pub(super) control: Arc<ControlMap>,
    pub(super) handover: HandoverMap,
    pub(super) scopes: HashMap<MapData, u64, u32>,
    pub(super) filters: Filters,
}

impl Maps {
    pub(super) fn of(mut take: impl FnMut(&str) -> Result<Map, AttemptError>) -> Result<Self, AttemptError> {
        // Programs are loaded: what that took goes before the ring's pages come on top of it.
        heap::give_back();
        let io = |error: io::Error| AttemptError::Maps(error.to_string());
        let unfit = |error: MapError| AttemptError::Maps(backend::chain(&error));
        let control = take(map::CONTROL)?;
        let gates = Arc::new(GateMap::new(&take(map::GATES)?, cpus()?).map_err(io)?);
        let mapped = Arc::new(ControlMap::new(&control, Arc::clone(&gates)).map_err(io)?);
        Ok(Self {
            ring: Ring::new(&take(map::EVENTS)?).map_err(io)?,
            counters: CounterMap::new(&take(map::COUNTERS)?, gates, cpus()?).map_err(io)?,
            ledger: Ledger::new(&take(map::LEDGER)?, &take(map::OVERFLOW)?, &control).map_err(io)?,
            repeats: Repeats::new(&take(map::REPEATS)?, Arc::clone(&mapped)).map_err(io)?,
            control: mapped,
            handover: HandoverMap::new(&take(map::HANDOVER)?).map_err(io)?,
            scopes: HashMap::try_from(take(map::CGROUPS)?).map_err(unfit)?,
            filters: filters(&mut take)?,
        })
    }
}

fn filters(take: &mut impl FnMut(&str) -> Result<Map, AttemptError>) -> Result<Filters, AttemptError> {
    let unfit = |error: MapError| AttemptError::Maps(backend::chain(&error));
    let numbers = FilterMap::new(&take(map::FILTERS)?).map_err(|error| AttemptError::Maps(error.to_string()))?;
    let (names, files) = (take(map::NAMES)?, take(map::FILES)?);
    let limit = match &names {
        Map::HashMap(map) => map.info().map_err(unfit)?.max_entries(),
        _ => 0,
    };
    let (names, files) = (HashMap::try_from(names).map_err(unfit)?, HashMap::try_from(files).map_err(unfit)?);
    Filters::new(numbers, names, files, limit).map_err(unfit)
}

/// Loads the object; with pins, onto the maps that are pinned, which are made where they are not.
pub(super) fn load(
    layout: &Layout,
    ring_bytes: u32,
    instance: u32,
    pins: Option<&Pins>,
    options: &Options,
) -> Result<Ebpf, AttemptError> {
    let cpus = cpus()?;
    let programs = if options.mutations { program::COUNT } else { program::WITHOUT_MUTATIONS };
    let mut loader = EbpfLoader::new();
    loader
        .verifier_log_level(VerifierLogLevel::STATS)
        .override_global(global::LAYOUT, layout.as_bytes(), true)
        .override_global(global::INSTANCE, &instance, true)
        .map_max_entries(map::EVENTS, ring_bytes)
        .map_max_entries(map::NAMES, options.filter_entries)
        .map_max_entries(map::FILES, options.filter_entries)
        .map_max_entries(map::SCRATCH, programs)
        .map_max_entries(map::GATES, cpus as u32)
        .map_max_entries(map::COUNTERS, cpus as u32 * program::COUNT);
    for name in pins.map(|_| map::PINNED).into_iter().flatten() {
        if let Some(pins) = pins {
            loader.map_pin_path(name, pins.map(name));
        }
    }
    let loaded: Result<Ebpf, EbpfError> = loader.load(OBJECT);
    loaded.map_err(|error| AttemptError::Maps(backend::chain(&error)))
}

pub(super) fn pinned(pins: &Pins, name: &str) -> Result<Map, AttemptError> {
    let unfit =
        |error: MapError| AttemptError::Maps(format!("{}: {}", pins.map(name).display(), backend::chain(&error)));
    let map = MapData::from_pin(pins.map(name)).map_err(unfit)?;
    Ok(match name {
        map::EVENTS => Map::RingBuf(map),
        map::CGROUPS | map::NAMES | map::FILES => Map::HashMap(map),
        _ => Map::Array(map),
    })
}

fn cpus() -> Result<usize, AttemptError> {
    let cpus = nr_cpus().map_err(|(what, error)| AttemptError::Maps(format!("{what}: {error}")))?;
    Ok(cpus.get() as usize)
}
