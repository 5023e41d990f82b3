//! Equal accesses are counted in the kernel, and told in one record per window.

use std::time::Duration;

use e2e::load::Opens;
use rustix::process::{Pid, Signal, kill_process};

use super::{Bench, random};

const FILES: usize = 16;
const WINDOW: [&str; 2] = ["--aggregate", "1s"];
const KILLS: usize = 10;
/// Longer than anything is counted for that is not asked for again: the window and what comes on top.
const FORGOTTEN: Duration = Duration::from_secs(5);

fn opens(each: usize) -> Opens {
    Opens { files: FILES, pause_ms: 1, ..Opens::new(4, each) }
}

/// A window takes a second, and each file has a record for it.
#[test]
fn repeats_are_counted() {
    let mut bench = Bench::new("repeats");
    let exporter = bench.exporter(&WINDOW);
    bench.make(opens(5_000));
    let received = bench.close(exporter, "complete");
    eprintln!("{} records of {} accesses", received.taken, bench.made);
    assert!(received.lost.is_empty() && received.taken < bench.made / 10, "{received:?}");
    assert_eq!(received.processes, 1, "the threads are of one process");
}

/// One after the other, each is one more. Of one thread each: two that come at once may both be the first of their process.
#[test]
fn processes_are_counted() {
    let mut bench = Bench::new("repeats-processes");
    let window = ["--aggregate", "1h"];
    let mut exporter = bench.exporter(&window);
    (0..3).for_each(|_| bench.make(Opens { files: FILES, pause_ms: 1, ..Opens::new(1, 1_000) }));
    exporter.daemon.stop();
    let received = bench.close(bench.exporter(&window), "complete");
    assert_eq!(received.processes, 3, "{received:?}");
}

/// What a window's end has not told yet is told when the exporter stops, and nothing twice.
#[test]
fn a_stop_tells_what_was_counted() {
    let mut bench = Bench::new("repeats-stop");
    let window = ["--aggregate", "1h"];
    for _ in 0..3 {
        let mut exporter = bench.exporter(&window);
        bench.make(opens(1_000));
        exporter.daemon.stop();
    }
    let received = bench.close(bench.exporter(&window), "complete");
    assert!(received.lost.is_empty() && received.taken < bench.made / 10, "{received:?}");
}

/// What was counted for an exporter that was killed is told by the next one, without the path that it alone knew.
#[test]
fn what_a_killed_one_had_counted_is_told() {
    let mut bench = Bench::new("repeats-kill");
    let mut exporter = bench.exporter(&WINDOW);
    let mut load = bench.load(opens(10_000));
    let mut state = u64::from(std::process::id());
    for _ in 0..KILLS {
        std::thread::sleep(Duration::from_millis(500 + random(&mut state, 1_000)));
        if load.try_wait().unwrap().is_some_and(|status| status.success()) {
            load = bench.load(opens(10_000));
        }
        kill_process(Pid::from_raw(exporter.daemon.pid().cast_signed()).unwrap(), Signal::KILL).unwrap();
        exporter.daemon.stop();
        exporter = bench.exporter(&WINDOW);
    }
    assert!(load.wait().unwrap().success());
    bench.close(exporter, "so_far");
}

/// Nobody takes what is counted for an exporter that is gone: from the window's end on, all are records again.
#[test]
fn a_killed_one_is_counted_for_no_longer() {
    let mut bench = Bench::new("repeats-gone");
    let mut exporter = bench.exporter(&WINDOW);
    bench.make(opens(500));
    kill_process(Pid::from_raw(exporter.daemon.pid().cast_signed()).unwrap(), Signal::KILL).unwrap();
    exporter.daemon.stop();
    std::thread::sleep(FORGOTTEN);
    let before = bench.made;
    bench.make(opens(500));
    let received = bench.close(bench.exporter(&WINDOW), "so_far");
    assert!(received.taken >= bench.made - before, "{received:?}");
}

/// A violation is a record each, whatever it equals.
#[test]
fn violations_are_told_one_by_one() {
    let mut bench = Bench::new("repeats-violations");
    let policy = bench.folder.path().join("policy.yaml");
    let text = "apiVersion: inotrail.dev/v1alpha1\nkind: ClusterFileAccessPolicy\nmetadata: {name: all}\nspec:\n  hostProcesses: true\n  rules:\n  - \
                {name: all, paths: ['/**'], action: violation}\n";
    std::fs::write(&policy, text).unwrap();
    let exporter = bench.exporter(&[&WINDOW[..], &["--policy", policy.to_str().unwrap()]].concat());
    bench.make(opens(500));
    let received = bench.close(exporter, "complete");
    assert!(received.lost.is_empty() && received.alarms.len() as u64 >= bench.made, "{received:?}");
}
