//! Ancestors, ids in PID namespaces, arguments.

use std::collections::HashMap;

use super::*;

#[track_caller]
fn check_ancestors(table: &ProcessTable, tgid: u32, start: u64, expected: &[(u32, &str)]) {
    let found = &table.get(tgid, start).unwrap().ancestors;
    let found = found.iter().map(|one| (one.tgid, str::from_utf8(&one.executable).unwrap())).collect::<Vec<_>>();
    assert_eq!(found, expected, "{tgid}");
}

#[test]
fn ancestors_are_those_of_the_fork() {
    let mut table = ProcessTable::default();
    exec(&mut table, 10, 100, 100, b"/sbin/init");
    fork(&mut table, 10, 11, 200);
    exec(&mut table, 11, 200, 210, b"/bin/sh");
    fork(&mut table, 11, 12, 300);
    exec(&mut table, 11, 200, 310, b"/bin/other");
    fork(&mut table, 11, 13, 320);
    let parents = [(11, "/bin/sh"), (10, "/sbin/init")];
    check_ancestors(&table, 12, 300, &parents);
    check_ancestors(&table, 13, 320, &[(11, "/bin/other"), (10, "/sbin/init")]);
    // A parent that ends stays named, and its pid's next owner is not the parent.
    table.exit(&header(11, 200, SECOND));
    table.exit(&header(99, 1, 40 * SECOND));
    exec(&mut table, 11, 41 * SECOND, 41 * SECOND, b"/bin/new");
    check_ancestors(&table, 12, 300, &parents);
    exec(&mut table, 12, 300, 42 * SECOND, b"/bin/cat");
    check_ancestors(&table, 12, 300, &parents);
}

#[test]
fn siblings_share_their_ancestors_and_chains_end() {
    let mut table = ProcessTable::default();
    exec(&mut table, 10, 100, 100, b"/bin/sh");
    fork(&mut table, 10, 11, 200);
    fork(&mut table, 10, 12, 200);
    let ancestors = |tgid| Arc::as_ptr(&table.get(tgid, 200).unwrap().ancestors);
    assert_eq!(ancestors(11), ancestors(12));
    for tgid in 20..120 {
        fork(&mut table, if tgid == 20 { 12 } else { tgid - 1 }, tgid, 300);
    }
    let chain: Vec<_> = (111..119).rev().map(|tgid| (tgid, "/bin/sh")).collect();
    check_ancestors(&table, 119, 300, &chain);
}

#[test]
fn a_lost_fork_is_made_up_for_by_the_exec_and_by_a_scan() {
    let mut table = ProcessTable::default();
    exec(&mut table, 10, 100, 100, b"/bin/sh");
    let lost = Header { ppid: 10, ..header(11, 200, 210) };
    table.exec(&Access { path: b"/bin/cat", ..Access::of(&lost) });
    check_ancestors(&table, 11, 200, &[(10, "/bin/sh")]);
    fork(&mut table, 50, 51, SECOND);
    check_ancestors(&table, 51, SECOND, &[(50, "")]);
    let found = |parent, path: &str, start| Found {
        executable: path.as_bytes().into(),
        start_boottime_ns: start,
        parent,
        vpid: 7,
        ..Found::default()
    };
    let processes = [(10, found(0, "/bin/sh", 100)), (50, found(10, "/bin/b", 300)), (51, found(50, "/bin/c", SECOND))];
    table.merge(ProcessScan { time_ns: 2 * SECOND, processes: processes.into(), cgroups: HashMap::new() });
    check_ancestors(&table, 51, SECOND, &[(50, "/bin/b"), (10, "/bin/sh")]);
    check(&table, 51, SECOND, Some("/bin/c"));
    assert_eq!(table.get(51, SECOND).unwrap().vpid, 7);
}

#[test]
fn a_scan_links_parents_and_survives_circles() {
    let mut table = ProcessTable::default();
    let found = |parent: u32| Found { executable: b"/x".as_slice().into(), parent, ..Found::default() };
    let processes = [(1, found(0)), (9, found(1)), (5, found(9)), (7, found(8)), (8, found(7)), (6, found(6))];
    table.merge(ProcessScan { time_ns: SECOND, processes: processes.into(), cgroups: HashMap::new() });
    check_ancestors(&table, 1, 0, &[]);
    check_ancestors(&table, 5, 0, &[(9, "/x"), (1, "/x")]);
    for tgid in 6..9 {
        assert!(table.get(tgid, 0).unwrap().ancestors.len() <= 2);
    }
}

#[test]
fn the_id_in_its_namespace_is_the_forks() {
    let mut table = ProcessTable::default();
    table.fork(&Header { device: 7, ..header(10, 100, 100) });
    exec(&mut table, 10, 100, 110, b"/bin/a");
    fork(&mut table, 10, 11, 200);
    let vpid = |tgid, start| table.get(tgid, start).unwrap().vpid;
    assert_eq!((vpid(10, 100), vpid(11, 200)), (7, 0));
}

#[test]
fn arguments_only_where_they_are_wanted() {
    let check = |redaction: Option<Redaction>, expected: &[u8]| {
        let mut table = ProcessTable::new(redaction.map(Arc::new));
        let header = header(10, 100, 100);
        let arguments = b"sh\0--password=x\0";
        table.exec(&Access { path: b"/bin/sh", arguments, ..Access::of(&header) });
        fork(&mut table, 10, 11, 200);
        let arguments = |tgid, start| Arc::clone(&table.get(tgid, start).unwrap().arguments);
        assert_eq!(*arguments(10, 100), *expected);
        assert!(expected.is_empty() || Arc::ptr_eq(&arguments(10, 100), &arguments(11, 200)));
    };
    check(None, b"");
    check(Some(Redaction::new(&[]).unwrap()), b"sh\0--password=***\0");
}
