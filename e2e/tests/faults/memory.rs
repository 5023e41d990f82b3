//! There is little memory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::exporter::Exporter;
use e2e::interrupt;
use e2e::load::Opens;

use super::{Bench, after};

/// What Kubernetes would be told as the limit.
const LIMIT: u64 = 64 << 20;

/// A cgroup with a limit of memory.
struct Limited(PathBuf);

impl Limited {
    fn new() -> Self {
        let name = format!("inotrail-memory-{}", std::process::id());
        let version1 = Path::new("/sys/fs/cgroup/memory");
        let (root, file) = if version1.is_dir() {
            (version1, "memory.limit_in_bytes")
        } else {
            (Path::new("/sys/fs/cgroup"), "memory.max")
        };
        let directory = root.join(name);
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join(file), LIMIT.to_string()).unwrap();
        Self(directory)
    }

    /// Starts an exporter in it.
    fn start(&self, bench: &Bench, run: &Command) -> Exporter {
        let command = after(r#"echo $$ > "$0/cgroup.procs" && exec "$@""#, &self.0, run);
        Exporter::start(command, bench.folder.path(), "/livez").unwrap()
    }

    /// How often somebody was killed for want of memory.
    fn kills(&self) -> u64 {
        let text =
            ["memory.oom_control", "memory.events"].iter().find_map(|file| fs::read_to_string(self.0.join(file)).ok());
        let text = text.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        line.unwrap().parse().unwrap()
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        fs::remove_dir(&self.0).ok();
    }
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
    let limited = Limited::new();
    let lines = bench.folder.path().join("records.jsonl");
    let endpoint = format!("file://{}", lines.display());
    let run = bench.command(
        &endpoint,
        &["--state", bench.state().to_str().unwrap(), "--ring-size", "8MiB", "--rotate-size", "1GiB"],
    );
    let mut exporter = limited.start(&bench, &run);
    bench.make(Opens::new(8, 100));
    bench.acknowledged(&exporter);
    let base = anonymous(&exporter);
    let mut left = vec![base >> 10];
    for _ in 0..3 {
        bench.make(Opens::new(8, 5_000));
        bench.acknowledged(&exporter);
        left.push(returned(&exporter, base) >> 10);
    }
    let kills = limited.kills();
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
    let limited = Limited::new();
    let run =
        bench.command(&bench.receiver.endpoint(), &["--state", bench.state().to_str().unwrap(), "--ring-size", "8MiB"]);
    let exporter = limited.start(&bench, &run);
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
    let kills = limited.kills();
    eprintln!("memory: {left:?} KiB of its own before and after each burst, limit {} KiB; {kills} killed", LIMIT >> 10);
    assert_eq!(kills, 0);
    bench.close(exporter, "complete");
}
