//! There is little memory.

use std::fs;

use e2e::cgroup::memory::MemoryCgroup;
use e2e::exporter::Exporter;
use e2e::interrupt;
use e2e::load::Opens;

use super::Bench;

/// What Kubernetes would be told as the limit.
const LIMIT: u64 = 64 << 20;

fn limited() -> MemoryCgroup {
    let limited = MemoryCgroup::new("inotrail-memory").unwrap();
    limited.limit(LIMIT).unwrap();
    limited
}

/// Bytes of a process's own memory.
fn anonymous(exporter: &Exporter) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", exporter.daemon.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// What a burst may leave of more than was there before: buffers of the usual sizes.
const LEFT: u64 = 8 << 20;

/// Waits until a burst has left little. Returns how much memory that is.
fn returned(exporter: &Exporter, base: u64) -> u64 {
    let mut now = 0;
    let is_small = interrupt::wait_for("memory to return to its base", super::LIMIT, || {
        now = anonymous(exporter);
        Ok((now <= base + LEFT).then_some(now))
    });
    is_small.unwrap_or_else(|error| panic!("{error}: it was {} KiB, and is {}", base >> 10, now >> 10))
}

/// What a destination that is a file writes takes many times more memory than what waits for it.
#[test]
fn a_file_in_a_small_cgroup() {
    let mut bench = Bench::new("file");
    let limited = limited();
    let lines = bench.folder.path().join("records.jsonl");
    let endpoint = format!("file://{}", lines.display());
    let run = bench.command(
        &endpoint,
        &["--state", bench.state().to_str().unwrap(), "--ring-size", "8MiB", "--rotate-size", "1GiB"],
    );
    let mut exporter = Exporter::start(limited.enter(&run), bench.folder.path(), "/livez").unwrap();
    bench.make(Opens::new(8, 100));
    bench.acknowledged(&exporter);
    let base = anonymous(&exporter);
    let mut left = vec![base >> 10];
    for _ in 0..3 {
        bench.make(Opens::new(8, 5_000));
        bench.acknowledged(&exporter);
        left.push(returned(&exporter, base) >> 10);
    }
    let kills = limited.kills().unwrap();
    eprintln!("file: {left:?} KiB of its own before and after each burst, limit {} KiB; {kills} killed", LIMIT >> 10);
    exporter.daemon.stop();
    let report = super::report(&lines);
    eprintln!("file: {} made; verify says {} of {}", bench.made, report["verdict"], report["totals"]["received"]);
    assert_eq!(kills, 0);
    assert!(report["verdict"] == "complete" && report["totals"]["received"].as_u64() >= Some(bench.made), "{report}");
}

/// Bursts while the receiver is away, and more while it takes what waits: nobody is killed, and little is kept.
#[test]
fn bursts_in_a_small_cgroup() {
    let mut bench = Bench::new("memory");
    let limited = limited();
    let run =
        bench.command(&bench.receiver.endpoint(), &["--state", bench.state().to_str().unwrap(), "--ring-size", "8MiB"]);
    let exporter = Exporter::start(limited.enter(&run), bench.folder.path(), "/livez").unwrap();
    bench.make(Opens::new(8, 100));
    bench.acknowledged(&exporter);
    let base = anonymous(&exporter);
    let mut left = vec![base >> 10];
    for _ in 0..3 {
        bench.receiver.down();
        bench.make(Opens::new(8, 5_000));
        bench.receiver.up().unwrap();
        bench.make(Opens::new(8, 1_000));
        bench.settle();
        left.push(returned(&exporter, base) >> 10);
    }
    let kills = limited.kills().unwrap();
    eprintln!("memory: {left:?} KiB of its own before and after each burst, limit {} KiB; {kills} killed", LIMIT >> 10);
    assert_eq!(kills, 0);
    bench.close(exporter, "complete");
}
