//! What tables hold for each container and each process.

use std::collections::HashMap;
use std::sync::Arc;

use inotrail::container::Containers;
use inotrail::event::Access;
use inotrail::policy::scope::Subject;
use inotrail::policy::{PolicySet, Selection, document};
use inotrail::process::ProcessTable;
use inotrail_ebpf::{Header, kind};
use zerocopy::FromZeros as _;

use super::sample::container;

/// A large node's.
pub const CONTAINERS: usize = 500;
/// Ten of each.
pub const PROCESSES: u32 = 5_000;
/// As many as are kept.
pub(super) const ANCESTORS: u32 = 8;

/// Containers with pod and image, as readers see them.
#[must_use]
pub fn containers() -> Containers {
    let containers: HashMap<_, _> =
        (0..CONTAINERS).map(|index| (index as u64 + 1, Arc::new(container(index)))).collect();
    Containers::fixed(containers)
}

/// A table of processes that have eight ancestors and an executable of their own each. `leaves`: all have the same parent, as
/// a server's workers; else each forks the next one, and shares with none.
#[must_use]
pub fn processes(leaves: bool) -> ProcessTable {
    some_processes(PROCESSES, leaves)
}

/// So many of them.
pub(super) fn some_processes(count: u32, leaves: bool) -> ProcessTable {
    let mut table = ProcessTable::default();
    for pid in 1..=ANCESTORS {
        start(&mut table, pid - 1, pid);
    }
    for pid in ANCESTORS + 1..=count {
        start(&mut table, if leaves { ANCESTORS } else { pid - 1 }, pid);
    }
    table
}

/// As many policies as a large cluster's tenants have together, and pods of a node that each is about.
pub const POLICIES: usize = 1_000;
/// Pods of a node.
pub const PODS: usize = 100;

/// Policies of one rule with three paths of different shapes.
///
/// # Panics
/// They are wrong: a bug.
#[must_use]
pub fn policies() -> PolicySet {
    let policy = |number: usize| {
        format!(
            "---\napiVersion: inotrail.dev/v1alpha1\nkind: ClusterFileAccessPolicy\nmetadata: {{name: policy-{number}}}\n\
             spec: {{rules: [{{name: files, paths: [/data/{number}/**, '**/secret-{number}', '/home/*/.key-{number}']}}]}}\n"
        )
    };
    let text: Vec<_> = (0..POLICIES).map(policy).collect();
    let (policies, problems) = document::read(&text.concat());
    assert!(problems.is_empty(), "{problems:?}");
    PolicySet::new(policies.into_iter().map(Arc::new))
}

/// What is kept for each pod's container: which rules are about it.
#[must_use]
pub fn selections(policies: &PolicySet) -> Vec<Selection> {
    (0..PODS).map(|_| policies.select(&Subject::Container { name: "app", image: "", pod: None })).collect()
}

fn start(table: &mut ProcessTable, parent: u32, pid: u32) {
    let mut header = Header { kind: kind::FORK, ppid: parent, tgid: pid, device: pid, ..Header::new_zeroed() };
    (header.process_start_ns, header.time_ns, header.cgroup_id) = (pid.into(), pid.into(), u64::from(pid / 10) + 1);
    table.fork(&header);
    header.kind = kind::EXEC;
    let path = format!("/usr/local/bin/program-{pid:05}");
    table.exec(&Access { path: path.as_bytes(), ..Access::of(&header) });
}
