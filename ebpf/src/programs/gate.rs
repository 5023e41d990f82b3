//! The way out for accesses that nobody wants: nearly all, on most nodes.

use core::arch::asm;
use core::ptr::{read_volatile, write_volatile};

use aya_ebpf::helpers::{bpf_get_current_cgroup_id, bpf_get_smp_processor_id};
use aya_ebpf::macros::map;
use aya_ebpf::maps::Array;
use inotrail_ebpf::{ABSENT, GATED, GENERATION, Gate, Gates, Layout, REMEMBERED, Remembered, scope};

use super::kernel::{LAYOUT, at, constant, current, load};

/// `BPF_F_MMAPABLE`; the loader sets the size: CPUs.
#[map]
static GATES: Array<Gates> = Array::with_max_entries(1, 1 << 10);

/// This hook's gate on this CPU. Nobody else writes to it, but for its generation.
#[inline(always)]
fn gate(program: u32) -> Option<*mut Gate> {
    // SAFETY: no arguments, no preconditions.
    let cpu = unsafe { bpf_get_smp_processor_id() } as u32;
    let gates = GATES.get_ptr_mut(cpu)?.cast::<Gate>();
    let number = GATED.iter().position(|gated| *gated == program)?;
    // SAFETY: there are as many as in GATED.
    Some(unsafe { gates.add(number) })
}

/// What is remembered of a cgroup, by its [`scope`]; one of another generation is none.
#[inline(always)]
unsafe fn remembered(gate: *mut Gate, cgroup_id: u64) -> Option<u64> {
    // SAFETY: the caller's gate.
    unsafe {
        let Remembered { cgroup_id: found, scope } = read_volatile(place(gate, cgroup_id));
        (found == cgroup_id).then(|| scope ^ read_volatile(&raw const (*gate).generation))
    }
}

/// Where a cgroup is remembered.
#[inline(always)]
unsafe fn place(gate: *mut Gate, cgroup_id: u64) -> *mut Remembered {
    // Numbers go up by more than one from cgroup to cgroup: each has files.
    let index = (cgroup_id / size_of::<Remembered>() as u64) as usize & (REMEMBERED - 1);
    // SAFETY: the caller's gate; the index is below REMEMBERED.
    unsafe { (&raw mut (*gate).remembered).cast::<Remembered>().add(index) }
}

/// Counts an access of the current task if its cgroup is remembered as out of scope. Else returns the cgroup: what
/// [`current_cgroup_id`] takes.
///
/// What outlives a helper's call is kept on the stack: the registers for that would be saved in every call of the program, and
/// nearly all of them end at the mask.
#[inline(always)]
pub(super) fn turns_away(program: u32) -> Option<u64> {
    // SAFETY: a local variable, and this program's gate.
    unsafe {
        let mut kept = current_id();
        let kept = &raw mut kept;
        write_volatile(kept, kept.read());
        // On aarch64 a processor may read a scope before the generation that it is remembered under.
        let gate = if cfg!(bpf_target_arch = "aarch64") { None } else { gate(program) };
        let cgroup_id = read_volatile(kept);
        let Some(gate) = gate else { return Some(cgroup_id) };
        let Some(scope) = remembered(gate, cgroup_id) else { return Some(cgroup_id) };
        if scope != u64::from(scope::IGNORE) && scope != u64::from(scope::UNWATCHED) {
            return Some(cgroup_id);
        }
        (*gate).ignored += 1;
    }
    None
}

/// The current task's cgroup in version 2, by loads where the verifier knows what they are of: the helper takes twice as many
/// instructions.
#[inline(always)]
fn current_id() -> u64 {
    if at!(css_set_dfl_cgrp) == 0 {
        // SAFETY: no arguments, no preconditions.
        return unsafe { bpf_get_current_cgroup_id() };
    }
    let task = current::<true>();
    let layout: *const Layout;
    // SAFETY: the address of a global, which would else be kept in a register during the call: see `turns_away`.
    unsafe { asm!("{0} = {1} ll", out(reg) layout, sym LAYOUT) };
    // SAFETY: the global is never gone.
    let layout = unsafe { &*layout };
    let css_set: u64 = load::<true, _>(task, constant(&layout.task_cgroups));
    let cgroup: u64 = load::<true, _>(css_set, constant(&layout.css_set_dfl_cgrp));
    let node: u64 = load::<true, _>(cgroup, constant(&layout.cgroup_kn));
    load::<true, _>(node, constant(&layout.kernfs_node_id))
}

/// The scope of a cgroup: as it is remembered, else as it is found, to be remembered.
#[inline(always)]
pub(super) fn scope(program: u32, cgroup_id: u64, find: impl FnOnce() -> u32) -> u32 {
    // The number that the helper gives, which `turns_away` goes by, is another one where containers are in version 1.
    let gate = if cfg!(bpf_target_arch = "aarch64") || at!(css_set_subsys) != ABSENT { None } else { gate(program) };
    let Some(gate) = gate else { return find() };
    // SAFETY: this program's gate.
    unsafe {
        match remembered(gate, cgroup_id) {
            Some(scope) if scope != 0 && scope < GENERATION => return scope as u32,
            _ => {}
        }
        // Before the scope is: what is remembered under it is no older.
        let generation = read_volatile(&raw const (*gate).generation);
        let scope = find();
        if generation != 0 && scope != 0 {
            write_volatile(place(gate, cgroup_id), Remembered { cgroup_id, scope: generation | u64::from(scope) });
        }
        scope
    }
}
