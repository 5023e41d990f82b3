//! Which tasks are recorded.

use core::ptr::{read_volatile, write_volatile};

use aya_ebpf::helpers::bpf_get_current_cgroup_id;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap};
use inotrail_ebpf::{ABSENT, Control, Handover, scope};

use super::gate;
use super::kernel::{at, read};
use super::record::{current, current_tgid};

/// `BPF_F_MMAPABLE` (include/uapi/linux/bpf.h): user space changes the map by memory writes, without bpf() calls,
/// which would make kprobes on the same CPU skip.
const MMAPABLE: u32 = 1 << 10;

#[map]
static CONTROL: Array<Control> = Array::with_max_entries(1, MMAPABLE);
/// No program uses it: it is pinned with the others.
#[map]
static HANDOVER: Array<Handover> = Array::with_max_entries(1, MMAPABLE);
#[map]
pub(super) static CGROUPS: HashMap<u64, u32> = HashMap::with_max_entries(65536, 0);

/// The same as [`cgroup_id`], of the current task, for which the helper has answered.
#[inline(always)]
pub(super) fn current_cgroup_id(answer: u64) -> u64 {
    if at!(css_set_subsys) == ABSENT { answer } else { cgroup_id(current()) }
}

/// The kernfs id of the task's cgroup in the chosen hierarchy.
#[inline(always)]
pub(super) fn cgroup_id(task: u64) -> u64 {
    if at!(css_set_subsys) == ABSENT {
        // SAFETY: no arguments; the helper answers for the current task's cgroup in version 2.
        return unsafe { bpf_get_current_cgroup_id() };
    }
    let css_set: u64 = read(task, at!(task_cgroups));
    let css: u64 = read(css_set, at!(css_set_subsys));
    let cgroup: u64 = read(css, at!(css_cgroup));
    node_id(cgroup)
}

/// The kernfs id of a cgroup.
#[inline(always)]
pub(super) fn node_id(cgroup: u64) -> u64 {
    let node: u64 = read(cgroup, at!(cgroup_kn));
    read(node, at!(kernfs_node_id))
}

/// What user space tells.
#[inline(always)]
pub(super) fn control() -> Option<*const Control> {
    CONTROL.get_ptr(0)
}

/// Tells user space which thread group called.
#[inline(always)]
pub(super) fn set_caller(tgid: u32) {
    if let Some(control) = CONTROL.get_ptr_mut(0) {
        // SAFETY: one number of the map's value.
        unsafe { write_volatile(&raw mut (*control).caller, tgid) };
    }
}

/// The half of the ledger that is written to.
#[inline(always)]
pub(super) fn ledger_half() -> u32 {
    // SAFETY: one number of the map's value, which user space changes.
    control().map_or(0, |control| unsafe { read_volatile(&raw const (*control).ledger_half) })
}

/// Whether accesses that were told just now are counted.
#[inline(always)]
pub(super) fn aggregates() -> bool {
    // SAFETY: as above.
    control().is_some_and(|control| unsafe { read_volatile(&raw const (*control).aggregates) } != 0)
}

/// The key of the hash that numbers accesses.
#[inline(always)]
pub(super) fn secret() -> [u64; 2] {
    // SAFETY: as above.
    control().map_or([0; 2], |control| unsafe { read_volatile(&raw const (*control).secret) })
}

/// Whether a process's new executable is an access.
#[inline(always)]
pub(super) fn exec_is_access() -> bool {
    // SAFETY: as above.
    control().is_some_and(|control| unsafe { read_volatile(&raw const (*control).exec_is_access) } != 0)
}

/// What becomes of this thread group's accesses in this cgroup: one of [`scope`].
#[inline(always)]
pub(super) fn scope_of(cgroup_id: u64, tgid: u32) -> u32 {
    let Some(control) = control() else { return scope::IGNORE };
    // SAFETY: numbers of the map's value, which user space changes.
    let (own, self_test, default_scope) = unsafe {
        (
            read_volatile(&raw const (*control).self_tgid),
            read_volatile(&raw const (*control).self_test),
            read_volatile(&raw const (*control).default_scope),
        )
    };
    if own == tgid {
        return if self_test == 0 { scope::IGNORE } else { scope::KEEP };
    }
    listed(cgroup_id).unwrap_or(default_scope)
}

/// What becomes of the current thread group's accesses in this cgroup, which is its own.
#[inline(always)]
pub(super) fn scope_of_current(program: u32, cgroup_id: u64) -> u32 {
    let Some(control) = control() else { return scope::IGNORE };
    // SAFETY: numbers of the map's value, which user space changes.
    let (own, self_test) =
        unsafe { (read_volatile(&raw const (*control).self_tgid), read_volatile(&raw const (*control).self_test)) };
    if self_test != 0 && own == current_tgid() {
        return scope::KEEP;
    }
    let scope = gate::scope(program, cgroup_id, || {
        // SAFETY: as above.
        listed(cgroup_id).unwrap_or(unsafe { read_volatile(&raw const (*control).default_scope) })
    });
    if keeps(scope) && own == current_tgid() { scope::IGNORE } else { scope }
}

#[inline(always)]
fn listed(cgroup_id: u64) -> Option<u32> {
    // SAFETY: the value is a number that is read once; no reference outlives this call.
    unsafe { CGROUPS.get(&cgroup_id) }.copied()
}

/// Whether any accesses are recorded.
#[inline(always)]
pub(super) fn keeps(scope: u32) -> bool {
    scope == scope::KEEP || scope >= scope::FILTERED
}

/// Whether it is to be known which processes there are, and what they run.
#[inline(always)]
pub(super) fn knows(scope: u32) -> bool {
    keeps(scope) || scope == scope::UNWATCHED
}
