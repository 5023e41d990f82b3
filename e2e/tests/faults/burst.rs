//! Ten times as much as usual, for a while.

use std::fs;
use std::time::Instant;

use e2e::exporter::Exporter;
use e2e::interrupt;
use e2e::load::Opens;

use super::{Bench, LIMIT};

/// How long.
const SECONDS: usize = 60;
/// Accesses of a second that are usual.
const USUAL: usize = 1_000;
/// What a burst may leave in memory, KiB.
const LEFT: u64 = 8 << 10;

/// KiB, by the name of a line of `/proc/PID/status`.
fn memory(exporter: &Exporter, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", exporter.daemon.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// So many times the usual, as far as the machine makes that many, for so long.
fn load(times: usize, seconds: usize) -> Opens {
    // A pause of 1 ms takes 1.1.
    let threads = times * USUAL * 11 / 10_000;
    Opens { pause_ms: 1, ..Opens::new(threads, times * USUAL * seconds / threads) }
}

fn make(bench: &mut Bench, exporter: &Exporter, opens: Opens) {
    let (start, made) = (Instant::now(), bench.made);
    bench.make(opens);
    let took = start.elapsed();
    let made = bench.made - made;
    eprintln!("burst: {made} made in {took:.1?}, {:.0} per second", made as f64 / took.as_secs_f64());
    bench.settle();
    eprintln!(
        "burst: delivered {:.1?} after that; VmRSS {} KiB",
        start.elapsed().saturating_sub(took),
        memory(exporter, "VmRSS")
    );
}

/// With the settings that are the default, a receiver that is at work, and a disk.
#[test]
fn ten_times_as_much() {
    let mut bench = Bench::new("burst");
    let state = bench.state();
    let command = bench.command(&bench.receiver.endpoint(), &["--state", state.to_str().unwrap()]);
    let exporter = Exporter::start(command, bench.folder.path(), "/livez").unwrap();
    make(&mut bench, &exporter, load(1, 3));
    // Each page of the ring is in memory, and each buffer as large as it is when there is much.
    make(&mut bench, &exporter, load(10, 2));
    let rests = |below: u64| {
        interrupt::wait_for("memory to be given back", LIMIT, || {
            let resident = memory(&exporter, "VmRSS");
            Ok((resident <= below).then_some(resident))
        })
    };
    let before = memory(&exporter, "VmRSS");
    make(&mut bench, &exporter, load(10, SECONDS));
    let peak = memory(&exporter, "VmHWM");
    let after = rests(before + LEFT);
    eprintln!("burst: VmRSS {before} KiB before, {peak} at most, {} after", memory(&exporter, "VmRSS"));
    after.unwrap();
    let received = bench.close(exporter, "complete");
    let stages = ["queue_full", "shed", "spool_full", "ring_full", "held_full"];
    assert!(received.lost.keys().all(|reason| stages.contains(&&**reason)), "{received:?}");
}
