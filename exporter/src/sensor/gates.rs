//! What the hooks that report accesses remember of cgroups: user space says since when it counts, and reads how many accesses they
//! have turned away.

use std::io;
use std::sync::atomic::{Ordering, fence};
use std::sync::{Mutex, PoisonError};

use aya::maps::Map;
use inotrail_ebpf::{GATED, GENERATION, Gate, Gates};
use memmap2::MmapRaw;

use super::memory::map_raw;
use super::takeover::boot_ns;

/// The gates of all CPUs, in mapped memory.
#[derive(Debug)]
pub(super) struct GateMap {
    memory: MmapRaw,
    cpus: usize,
    state: Mutex<State>,
}

/// What the gates are to say.
#[derive(Debug)]
struct State {
    generation: u64,
    /// Nothing is remembered.
    shut: bool,
}

impl GateMap {
    pub(super) fn new(map: &Map, cpus: usize) -> io::Result<Self> {
        Ok(Self::of(map_raw(map, cpus * size_of::<Gates>())?, cpus))
    }

    pub(super) fn of(memory: MmapRaw, cpus: usize) -> Self {
        let gates = Self { memory, cpus, state: Mutex::new(State { generation: 0, shut: false }) };
        // SAFETY: one aligned word of a gate.
        let generations = gates.all().map(|gate| unsafe { (&raw const (*gate).generation).read_volatile() });
        let generation = generations.max().unwrap_or(0);
        gates.state.lock().unwrap_or_else(PoisonError::into_inner).generation = generation;
        gates
    }

    /// What was remembered of scopes before `change` does not count after it.
    pub(super) fn renew(&self, change: impl FnOnce()) {
        self.write(change, |state| {
            // One that was never there before: by the clock, because what was there may have been lost.
            state.generation = (state.generation + GENERATION).max(boot_ns() & !(GENERATION - 1));
        });
    }

    /// Nothing is remembered from `change` on, or all of it again.
    pub(super) fn shut(&self, shut: bool, change: impl FnOnce()) {
        self.write(change, |state| state.shut = shut);
    }

    fn write(&self, change: impl FnOnce(), update: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Nothing is remembered meanwhile.
        self.set(0);
        change();
        update(&mut state);
        fence(Ordering::SeqCst);
        if !state.shut {
            self.set(state.generation);
        }
    }

    fn set(&self, generation: u64) {
        // SAFETY: one aligned word of a gate, which changes at once.
        self.all().for_each(|gate| unsafe { (&raw mut (*gate).generation).write_volatile(generation) });
    }

    /// Accesses that a hook has turned away.
    pub(super) fn ignored(&self, program: u32) -> u64 {
        let Some(number) = GATED.iter().position(|gated| *gated == program) else { return 0 };
        let gates = self.all().skip(number).step_by(GATED.len());
        // SAFETY: one aligned word of a gate, which its program changes while we look.
        gates.map(|gate| unsafe { (&raw const (*gate).ignored).read_volatile() }).sum()
    }

    /// Every gate, CPU by CPU. Aligned: a mapping starts at a page.
    #[expect(clippy::cast_ptr_alignment, reason = "a mapping starts at a page")]
    fn all(&self) -> impl Iterator<Item = *mut Gate> {
        let first = self.memory.as_mut_ptr().cast::<Gate>();
        // SAFETY: the mapping holds so many gates.
        (0..GATED.len() * self.cpus).map(move |number| unsafe { first.add(number) })
    }
}

#[cfg(test)]
mod tests {
    use memmap2::MmapMut;

    use super::*;

    fn generations(gates: &GateMap) -> Vec<u64> {
        // SAFETY: one aligned word of a gate.
        gates.all().map(|gate| unsafe { (&raw const (*gate).generation).read_volatile() }).collect()
    }

    fn gates(cpus: usize) -> GateMap {
        GateMap::of(MmapMut::map_anon(cpus * size_of::<Gates>()).unwrap().into(), cpus)
    }

    #[test]
    fn every_gate_has_a_generation_that_was_never_there_before() {
        let gates = gates(3);
        let mut last = 0;
        for _ in 0..1000 {
            gates.renew(|| assert_eq!(generations(&gates), [0; 9], "nothing is remembered meanwhile"));
            let now = generations(&gates);
            assert!(now.iter().all(|generation| *generation == now[0]), "{now:?}");
            assert!(now[0] > last && now[0].is_multiple_of(GENERATION), "{} after {last}", now[0]);
            last = now[0];
        }
    }

    #[test]
    fn a_shut_gate_stays_shut_when_scopes_change() {
        let gates = gates(1);
        gates.renew(|| ());
        let before = generations(&gates);
        gates.shut(true, || ());
        assert_eq!(generations(&gates), [0; 3]);
        gates.shut(false, || ());
        assert_eq!(generations(&gates), before, "what was remembered is still true");
        gates.shut(true, || ());
        gates.renew(|| ());
        assert_eq!(generations(&gates), [0; 3]);
        gates.shut(false, || ());
        assert!(generations(&gates)[0] > before[0]);
    }

    #[test]
    fn hooks_turn_away_by_themselves() {
        let gates = gates(2);
        // SAFETY: one aligned word of a gate.
        gates.all().zip(1..).for_each(|(gate, count)| unsafe { (&raw mut (*gate).ignored).write_volatile(count) });
        assert_eq!(GATED.map(|program| gates.ignored(program)), [1 + 4, 2 + 5, 3 + 6]);
        assert_eq!(gates.ignored(inotrail_ebpf::program::PROCESS_EXEC), 0);
    }
}
