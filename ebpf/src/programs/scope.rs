//! Which tasks are recorded.

use aya_ebpf::helpers::bpf_get_current_cgroup_id;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap};
use inotrail_ebpf::{ABSENT, Control, scope};

use super::kernel::{at, read};

/// `BPF_F_MMAPABLE` (include/uapi/linux/bpf.h): user space changes the map by memory writes, without bpf() calls,
/// which would make kprobes on the same CPU skip.
const MMAPABLE: u32 = 1 << 10;

#[map]
static CONTROL: Array<Control> = Array::with_max_entries(1, MMAPABLE);
#[map]
pub(super) static CGROUPS: HashMap<u64, u32> = HashMap::with_max_entries(65536, 0);

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

/// Whether accesses of this thread group in this cgroup are recorded.
#[inline(always)]
pub(super) fn keeps(cgroup_id: u64, tgid: u32) -> bool {
    let Some(control) = CONTROL.get(0) else { return false };
    if control.self_tgid == tgid {
        return false;
    }
    // SAFETY: the value is a number that is read once; no reference outlives this call.
    match unsafe { CGROUPS.get(&cgroup_id) } {
        Some(found) => *found != scope::IGNORE,
        None => control.default_scope == scope::KEEP,
    }
}
