//! Who came into a cgroup from outside.

use std::collections::HashMap;

use super::*;

/// Cgroups: where the shim is, a container's, one below that, another container's.
const HOST: u64 = 1;
const POD: u64 = 2;
const BELOW: u64 = 3;
const OTHER: u64 = 4;

/// A table that knows a shim: process 10.
fn table() -> ProcessTable {
    let mut table = ProcessTable::default();
    let shim = Found { executable: b"/shim".as_slice().into(), cgroup: HOST, ..Found::default() };
    let cgroups = [(HOST, b"/system.slice/containerd.service".as_slice().into())].into();
    table.merge(ProcessScan { time_ns: 1, processes: [(10, shim)].into(), cgroups });
    table.cgroup_made(POD, b"/kubepods/pod1/c");
    table.cgroup_made(BELOW, b"/kubepods/pod1/c/init.scope");
    table.cgroup_made(OTHER, b"/kubepods/pod2/c");
    table
}

/// `parent` is in `cgroup` when it forks.
fn fork(table: &mut ProcessTable, parent: u32, tgid: u32, cgroup: u64) {
    table.fork(&Header { ppid: parent, cgroup_id: cgroup, ..header(tgid, SECOND, SECOND) });
}

fn exec(table: &mut ProcessTable, tgid: u32, cgroup: u64) {
    exec_by(table, 0, tgid, cgroup);
}

fn exec_by(table: &mut ProcessTable, parent: u32, tgid: u32, cgroup: u64) {
    let header = Header { ppid: parent, cgroup_id: cgroup, ..header(tgid, SECOND, SECOND) };
    table.exec(&Access { path: b"/x", ..Access::of(&header) });
}

fn session(table: &mut ProcessTable, tgid: u32, cgroup: u64) -> bool {
    table.of(&Header { cgroup_id: cgroup, ..header(tgid, SECOND, SECOND) }).session
}

#[track_caller]
fn check(table: &mut ProcessTable, cgroup: u64, expected: &[(u32, bool)]) {
    for (tgid, expected) in expected {
        assert_eq!(session(table, *tgid, cgroup), *expected, "{tgid}");
    }
}

/// As runc does it: `runc init` is moved, and what becomes the container's process is forked by it in two steps.
fn start(table: &mut ProcessTable, tgid: u32, cgroup: u64) {
    fork(table, 10, tgid, HOST);
    exec(table, tgid, HOST);
    fork(table, tgid, tgid + 1, cgroup);
    fork(table, tgid + 1, tgid + 2, cgroup);
    exec(table, tgid + 2, cgroup);
}

#[test]
fn the_first_is_the_containers_own_and_later_ones_are_sessions() {
    let mut table = table();
    start(&mut table, 20, POD);
    fork(&mut table, 22, 25, POD);
    check(&mut table, POD, &[(20, false), (22, false), (25, false)]);
    start(&mut table, 30, POD);
    fork(&mut table, 32, 35, POD);
    exec(&mut table, 35, POD);
    check(&mut table, POD, &[(30, true), (31, true), (32, true), (35, true), (22, false), (25, false)]);
    start(&mut table, 40, OTHER);
    check(&mut table, OTHER, &[(42, false)]);
    check(&mut table, HOST, &[(10, false)]);
}

#[test]
fn whenever_it_is_moved() {
    let mut table = table();
    start(&mut table, 20, POD);
    // Forked into the cgroup, as by CLONE_INTO_CGROUP: its fork is told of where its parent is.
    fork(&mut table, 10, 30, HOST);
    exec(&mut table, 30, POD);
    // Moved as it is about to execute the program, and it opens a file before.
    fork(&mut table, 10, 31, HOST);
    check(&mut table, HOST, &[(31, false)]);
    check(&mut table, POD, &[(31, true), (30, true)]);
    // A shell that was moved only forks.
    fork(&mut table, 10, 32, HOST);
    fork(&mut table, 32, 33, POD);
    check(&mut table, POD, &[(33, true)]);
}

#[test]
fn below_is_within() {
    let mut table = table();
    start(&mut table, 20, POD);
    exec(&mut table, 22, BELOW);
    fork(&mut table, 22, 25, BELOW);
    check(&mut table, POD, &[(25, false), (22, false)]);
    start(&mut table, 30, BELOW);
    check(&mut table, BELOW, &[(32, true)]);
    start(&mut table, 40, POD);
    fork(&mut table, 42, 43, POD);
    check(&mut table, BELOW, &[(43, true), (42, true)]);
    // Whoever goes on to another container's is its own there, if it is the first.
    check(&mut table, OTHER, &[(43, false), (42, true), (22, true)]);
}

#[test]
fn a_cgroup_that_is_gone_is_forgotten() {
    let mut table = table();
    start(&mut table, 20, POD);
    table.cgroup_released(POD);
    assert!(!table.cgroups.is_within(BELOW, POD));
}

#[test]
fn of_those_that_were_there_the_oldest_is_the_containers_own() {
    let found =
        |parent, tick: u64, cgroup| Found { start_boottime_ns: tick * TICK_NS, parent, cgroup, ..Found::default() };
    let processes = [
        (1, found(0, 1, HOST)),
        (10, found(1, 2, HOST)),
        // Two that the shim brought in, the later one with the lower pid, and their children.
        (12, found(10, 9, POD)),
        (14, found(12, 10, POD)),
        (15, found(14, 11, BELOW)),
        (20, found(10, 5, POD)),
        (21, found(20, 6, POD)),
        (22, found(21, 6, BELOW)),
        // Nobody knows where.
        (30, found(10, 7, 0)),
    ];
    let cgroups: HashMap<u64, Box<[u8]>> =
        [(POD, b"/pods/c".as_slice().into()), (BELOW, b"/pods/c/x".as_slice().into())].into();
    let mut table = ProcessTable::default();
    table.merge(ProcessScan { time_ns: SECOND, processes: processes.into(), cgroups });
    let session = |table: &ProcessTable, tgid, tick| table.get(tgid, tick * TICK_NS).unwrap().session;
    let expected = [(1, 1, false), (10, 2, false), (12, 9, true), (14, 10, true), (15, 11, true), (20, 5, false)];
    for (tgid, tick, expected) in expected.into_iter().chain([(21, 6, false), (22, 6, false), (30, 7, false)]) {
        assert_eq!(session(&table, tgid, tick), expected, "{tgid}");
    }
    // Whoever comes now is later than those.
    fork(&mut table, 10, 40, HOST);
    exec(&mut table, 40, POD);
    check(&mut table, POD, &[(40, true)]);
    let unknown = Header { cgroup_id: POD, ..header(30, 7 * TICK_NS, SECOND) };
    assert!(!table.of(&unknown).session);
}

/// Whoever is out of scope forks unseen.
#[test]
fn out_of_scope_is_outside() {
    let mut table = table();
    fork(&mut table, 90, 91, POD);
    fork(&mut table, 91, 92, POD);
    exec(&mut table, 92, POD);
    check(&mut table, POD, &[(91, false), (92, false)]);
    exec_by(&mut table, 95, 96, POD);
    fork(&mut table, 96, 97, POD);
    check(&mut table, POD, &[(96, true), (97, true)]);
    // A child of one that is known in there, whose fork was lost.
    exec_by(&mut table, 92, 98, POD);
    check(&mut table, POD, &[(98, false)]);
    // Before anybody has looked at /proc, nobody knows who was there.
    let mut table = ProcessTable::default();
    fork(&mut table, 90, 91, POD);
    fork(&mut table, 90, 92, POD);
    check(&mut table, POD, &[(91, false), (92, false)]);
}

#[test]
fn a_scan_corrects_what_was_guessed() {
    let mut table = table();
    start(&mut table, 20, POD);
    // Its parent's fork was lost.
    fork(&mut table, 50, 51, POD);
    check(&mut table, POD, &[(51, true)]);
    let found = |parent, cgroup| Found { start_boottime_ns: SECOND, parent, cgroup, ..Found::default() };
    let shim = Found { cgroup: HOST, ..Found::default() };
    let processes = [(10, shim), (22, found(10, POD)), (50, found(22, POD)), (51, found(50, POD))];
    table.merge(ProcessScan { time_ns: SECOND, processes: processes.into(), cgroups: HashMap::new() });
    check(&mut table, POD, &[(51, false), (50, false), (22, false)]);
}
