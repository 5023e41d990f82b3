use inotrail_ebpf::kind;
use zerocopy::FromZeros;

use std::collections::HashMap;

use super::super::scan::Found;
use super::*;

mod lineage;
mod sessions;

const SECOND: u64 = 1_000_000_000;

fn header(tgid: u32, start: u64, time: u64) -> Header {
    let mut header = Header::new_zeroed();
    (header.tgid, header.process_start_ns, header.time_ns) = (tgid, start, time);
    header
}

fn exec(table: &mut ProcessTable, tgid: u32, start: u64, time: u64, path: &[u8]) {
    let header = Header { kind: kind::EXEC, ..header(tgid, start, time) };
    table.exec(&Access { path, ..Access::of(&header) });
}

fn fork(table: &mut ProcessTable, parent: u32, tgid: u32, start: u64) {
    table.fork(&Header { ppid: parent, ..header(tgid, start, start) });
}

fn scan(time_ns: u64, processes: &[(u32, u64, &str)]) -> ProcessScan {
    let process = |(tgid, start_boottime_ns, path): &(u32, u64, &str)| {
        (*tgid, Found { executable: path.as_bytes().into(), start_boottime_ns: *start_boottime_ns, ..Found::default() })
    };
    ProcessScan { time_ns, processes: processes.iter().map(process).collect(), cgroups: HashMap::new() }
}

#[track_caller]
fn check(table: &ProcessTable, tgid: u32, start: u64, expected: Option<&str>) {
    let found = table.get(tgid, start).map(|process| String::from_utf8_lossy(&process.executable));
    assert_eq!(found.as_deref(), expected, "{tgid} started at {start}");
}

#[test]
fn exec_fork_exec() {
    let mut table = ProcessTable::default();
    exec(&mut table, 10, 100, 110, b"/bin/sh");
    fork(&mut table, 10, 11, 200);
    check(&table, 11, 200, Some("/bin/sh"));
    let shared = |tgid, start| Arc::as_ptr(&table.get(tgid, start).unwrap().executable);
    assert_eq!(shared(10, 100), shared(11, 200));
    exec(&mut table, 11, 200, 210, b"/bin/ca\xff");
    check(&table, 11, 200, Some("/bin/ca\u{fffd}"));
    check(&table, 10, 100, Some("/bin/sh"));
    check(&table, 12, 100, None);
    // Of a parent that nobody knows there is nothing to inherit.
    fork(&mut table, 99, 13, 300);
    check(&table, 13, 300, Some(""));
}

#[test]
fn a_pid_used_again_is_another_process() {
    let mut table = ProcessTable::default();
    exec(&mut table, 10, 100, 100, b"/bin/old");
    table.exit(&header(10, 100, SECOND));
    check(&table, 10, 2 * SECOND, None);
    fork(&mut table, 10, 11, 2 * SECOND);
    check(&table, 11, 2 * SECOND, Some(""));
    exec(&mut table, 10, 2 * SECOND, 2 * SECOND, b"/bin/new");
    check(&table, 10, 2 * SECOND, Some("/bin/new"));
    check(&table, 10, 100, Some("/bin/old"));
    // A record of the old one's end that comes late does not end the new one.
    table.exit(&header(10, 100, 3 * SECOND));
    table.exit(&header(1, 1, 32 * SECOND));
    check(&table, 10, 100, None);
    check(&table, 10, 2 * SECOND, Some("/bin/new"));
}

#[test]
fn the_exited_stay_for_30_seconds() {
    let mut table = ProcessTable::default();
    exec(&mut table, 10, 100, 100, b"/bin/a");
    table.exit(&header(10, 100, SECOND));
    table.exit(&header(99, 1, 31 * SECOND - 1));
    check(&table, 10, 100, Some("/bin/a"));
    table.exit(&header(99, 1, 31 * SECOND));
    check(&table, 10, 100, None);
    assert!(table.processes.is_empty() && table.exited.is_empty());
}

#[test]
fn a_lost_exit_is_made_up_for_by_the_next_owner_of_the_pid() {
    let mut table = ProcessTable::default();
    exec(&mut table, 10, 100, 100, b"/bin/a");
    exec(&mut table, 10, 200, 200, b"/bin/b");
    exec(&mut table, 10, 300, 300, b"/bin/c");
    check(&table, 10, 200, Some("/bin/b"));
    table.exit(&header(99, 1, 300 + 30 * SECOND));
    check(&table, 10, 200, None);
    check(&table, 10, 300, Some("/bin/c"));
}

#[test]
fn a_path_that_is_not_the_executable_is_not_taken() {
    let mut table = ProcessTable::default();
    let header = Header { flags: flags::BASE, ..header(10, 100, 100) };
    table.exec(&Access { path: b"/home", requested: b"./x", ..Access::of(&header) });
    check(&table, 10, 100, Some(""));
}

#[test]
fn a_scan_knows_start_times_by_ticks() {
    let mut table = ProcessTable::default();
    table.merge(scan(SECOND, &[(10, 50 * TICK_NS, "/bin/sh")]));
    check(&table, 10, 50 * TICK_NS + 123, Some("/bin/sh"));
    check(&table, 10, 51 * TICK_NS, None);
    check(&table, 10, 49 * TICK_NS, None);
    exec(&mut table, 10, 50 * TICK_NS + 123, 2 * SECOND, b"/bin/cat");
    check(&table, 10, 50 * TICK_NS + 123, Some("/bin/cat"));
    check(&table, 10, 50 * TICK_NS + 124, None);
    // The scanned one ends like any other.
    table.merge(scan(SECOND, &[(11, 50 * TICK_NS, "/bin/b")]));
    table.exit(&header(11, 50 * TICK_NS + 5, SECOND));
    table.exit(&header(99, 1, 31 * SECOND));
    check(&table, 11, 50 * TICK_NS, None);
}

#[test]
fn a_scan_knows_better_than_the_past_only() {
    let mut table = ProcessTable::default();
    exec(&mut table, 10, 100, 100, b"/bin/stale");
    exec(&mut table, 11, 100, 100, b"/bin/gone");
    exec(&mut table, 12, 100, 2 * SECOND, b"/bin/fresh");
    exec(&mut table, 13, 2 * SECOND, 2 * SECOND, b"/bin/started-since");
    exec(&mut table, 14, 2 * SECOND, 2 * SECOND, b"/bin/new-owner");
    let found = [(10, 0, "/bin/now"), (12, 0, "/bin/before"), (14, 0, "/bin/old-owner")];
    table.merge(scan(SECOND, &found));
    check(&table, 10, 100, Some("/bin/now"));
    check(&table, 11, 100, Some("/bin/gone"));
    check(&table, 12, 100, Some("/bin/fresh"));
    check(&table, 14, 2 * SECOND, Some("/bin/new-owner"));
    table.exit(&header(99, 1, 31 * SECOND));
    check(&table, 11, 100, None);
    check(&table, 13, 2 * SECOND, Some("/bin/started-since"));
}

#[test]
fn a_full_table_forgets_the_exited_and_counts_who_found_no_room() {
    let mut table = ProcessTable::default();
    for tgid in 0..PROCESSES_MAX as u32 {
        exec(&mut table, tgid, 100, 100, b"/bin/a");
    }
    table.exit(&header(7, 100, 200));
    exec(&mut table, 1 << 20, 300, 300, b"/bin/b");
    assert_eq!(table.take_refused(), 0);
    check(&table, 1 << 20, 300, Some("/bin/b"));
    check(&table, 7, 100, None);
    exec(&mut table, 1 << 21, 300, 300, b"/bin/c");
    assert_eq!((table.take_refused(), table.take_refused()), (1, 0));
    assert_eq!(table.processes.len(), PROCESSES_MAX);
    // And the number of the exited is bounded in itself.
    for tgid in 0..2 * EXITED_MAX as u32 {
        table.exit(&header(tgid, 100, 400));
    }
    assert_eq!(table.exited.len(), EXITED_MAX);
    assert_eq!(table.processes.len(), PROCESSES_MAX + 1 - EXITED_MAX);
}
