//! `cgroup_mkdir` and `cgroup_release`: containers come and go.

use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use inotrail_ebpf::{kind, program};

use super::kernel::{at, read};
use super::record::{begin, count, current, emit, requested_from_kernel};
use super::scope::{CGROUPS, node_id};

/// `(cgroup, path)`. A cgroup inherits its parent's scope before its first task can run.
#[raw_tracepoint(tracepoint = "cgroup_mkdir")]
pub(crate) fn cgroup_mkdir(ctx: RawTracePointContext) -> i32 {
    let (cgroup, path): (u64, u64) = (ctx.arg(0), ctx.arg(1));
    if !is_chosen(cgroup) {
        return 0;
    }
    let node: u64 = read(cgroup, at!(cgroup_kn));
    let parent: u64 = read(read(node, at!(kernfs_node_parent)), at!(kernfs_node_id));
    // SAFETY: the value is copied at once.
    if let Some(inherited) = unsafe { CGROUPS.get(&parent) } {
        let scope = *inherited;
        if CGROUPS.insert(&node_id(cgroup), &scope, 0).is_err() {
            count(program::CGROUP_MKDIR, |counters| &mut counters.scope_full);
        }
    }
    tell(program::CGROUP_MKDIR, kind::CGROUP_MKDIR, cgroup, path);
    0
}

/// `(cgroup, path)`
#[raw_tracepoint(tracepoint = "cgroup_release")]
pub(crate) fn cgroup_release(ctx: RawTracePointContext) -> i32 {
    let (cgroup, path): (u64, u64) = (ctx.arg(0), ctx.arg(1));
    if !is_chosen(cgroup) {
        return 0;
    }
    // Absent where its parent had no scope of its own: nothing to do then.
    let _absent = CGROUPS.remove(&node_id(cgroup));
    tell(program::CGROUP_RELEASE, kind::CGROUP_RELEASE, cgroup, path);
    0
}

/// Ids are per hierarchy: those of another one must never be mixed in.
#[inline(always)]
fn is_chosen(cgroup: u64) -> bool {
    let root: u64 = read(cgroup, at!(cgroup_root));
    read::<u32>(root, at!(cgroup_root_hierarchy_id)) == at!(hierarchy_id)
}

#[inline(always)]
fn tell(program: u32, kind: u32, cgroup: u64, path: u64) {
    let Some(scratch) = begin(program, kind, current(), node_id(cgroup)) else { return };
    // SAFETY: this program's scratch.
    unsafe {
        let header = &mut (*scratch).header;
        header.inode = u64::from(read::<u32>(cgroup, at!(cgroup_level)));
        header.device = at!(hierarchy_id);
        requested_from_kernel(scratch, path);
    }
    emit(scratch, program);
}
