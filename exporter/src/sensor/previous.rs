//! What an earlier run left attached, and whether this one can go on with it.

use std::path::Path;

use aya::maps::MapInfo;
use inotrail_ebpf::{Handover, Layout, VERSION, map, program};
use zerocopy::IntoBytes as _;

use super::hook::{Attached, Hook, TABLES};
use super::memory::HandoverMap;
use super::pins::Pins;
use super::report::PinnedReport;
use crate::event::Backend;

/// What this run would attach, to be compared with what is attached.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Fingerprint {
    pub(super) object: u64,
    pub(super) options: u64,
}

/// Programs and maps of an earlier run.
pub(super) struct Previous {
    pub(super) handover: Handover,
    pub(super) attached: Vec<Attached>,
    /// The ring's size, which a start cannot change.
    pub(super) ring_bytes: u32,
}

impl Fingerprint {
    pub(super) fn of(layout: &Layout, mutations: bool) -> Self {
        // FNV-1a: the same in every build.
        let options = layout
            .as_bytes()
            .iter()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
        let object = u64::from_str_radix(env!("INOTRAIL_OBJECT_SHA256").get(..16).unwrap_or("0"), 16).unwrap_or(0);
        // Other programs are as good as another object: they take over.
        Self { object: object ^ u64::from(mutations), options }
    }
}

impl Previous {
    /// What the earlier run left, if its maps can be used.
    pub(super) fn find(pins: &Pins, fingerprint: Fingerprint) -> Option<Self> {
        if !pins.has_maps() {
            return None;
        }
        let handover = HandoverMap::open(&pins.map(map::HANDOVER)).ok()?.get();
        if handover.options != fingerprint.options || handover.instance == 0 {
            return None;
        }
        let programs = pins.programs();
        let hooks = programs.iter().filter_map(|name| Hook::named(name));
        let attached = hooks.filter_map(|hook| Attached::adopt(hook, pins)).collect();
        let ring_bytes = MapInfo::from_pin(pins.map(map::EVENTS)).ok()?.max_entries();
        Some(Self { handover, attached, ring_bytes })
    }

    /// The backend whose programs are all attached.
    pub(super) fn backend(&self) -> Option<Backend> {
        let has = |hook: &Hook| self.attached.iter().any(|attached| attached.hook == *hook);
        let reports = self.attached.iter().any(|attached| attached.hook.reports_accesses());
        backend(&self.handover).filter(|_| reports && TABLES.iter().all(has))
    }
}

/// What an exporter that runs, or has run, keeps attached by its pins.
pub(super) fn pinned(folder: &Path) -> Option<PinnedReport> {
    let handover = HandoverMap::open(&folder.join(VERSION.to_string()).join(map::HANDOVER)).ok()?.get();
    let backend = backend(&handover)?;
    Some(PinnedReport { folder: folder.display().to_string(), backend, swaps: handover.swaps })
}

fn backend(handover: &Handover) -> Option<Backend> {
    match handover.hook {
        program::FEXIT => Some(Backend::Fexit),
        program::KPROBE => Some(Backend::Kprobe),
        program::SYS_EXIT => Some(Backend::RawTracepoint),
        _ => None,
    }
}
