//! What a running exporter may still do. Needs root.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// `CAP_SYS_ADMIN`, `CAP_SYS_RESOURCE`, `CAP_PERFMON`, `CAP_BPF` (include/uapi/linux/capability.h).
const DROPPED: u64 = 1 << 21 | 1 << 24 | 1 << 38 | 1 << 39;
/// `CAP_BPF`, which kernels before 5.19 ask for at every change of a map.
const BPF: u64 = 1 << 39;

/// A started `inotrail`, killed with the test, and what it wrote to stderr up to the line that was waited for.
struct Running(Child, String);

impl Drop for Running {
    fn drop(&mut self) {
        let _ended_already = self.0.kill().and_then(|()| self.0.wait());
    }
}

/// Starts it and waits for the line on stderr that says it is watching.
fn start(args: &[&str], line: &str) -> Running {
    let mut child = Command::new(env!("CARGO_BIN_EXE_inotrail"));
    child.args(args).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut running = Running(child.spawn().expect("start inotrail"), String::new());
    let errors = BufReader::new(running.0.stderr.take().expect("stderr"));
    let mut lines = errors.lines().map(|line| line.expect("read"));
    let mut before = String::new();
    loop {
        let Some(text) = lines.next() else { panic!("it ended without '{line}': {before}") };
        before = before + &text + "\n";
        if text.contains(line) {
            running.1 = before;
            break;
        }
    }
    // What it writes from now on is read, for it must not wait.
    std::thread::spawn(move || lines.for_each(drop));
    running
}

/// The capability sets and `NoNewPrivs` of every thread.
fn threads(pid: u32) -> Vec<BTreeMap<String, u64>> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("tasks");
    let fields = |text: String| {
        let lines = text.lines().filter_map(|line| line.split_once(":\t"));
        let numbers = lines.filter(|(name, _)| name.starts_with("Cap") || *name == "NoNewPrivs");
        numbers.map(|(name, value)| (name.to_owned(), u64::from_str_radix(value, 16).expect("a number"))).collect()
    };
    tasks.map(|task| fields(fs::read_to_string(task.expect("task").path().join("status")).expect("status"))).collect()
}

fn holds_nothing(running: &Running) {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let old = ["5.10.", "5.15."].iter().any(|line| release.starts_with(line));
    let dropped = if old { DROPPED & !BPF } else { DROPPED };
    let threads = threads(running.0.id());
    assert!(threads.len() > 2, "{threads:?}");
    for thread in threads {
        for set in ["CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb"] {
            assert_eq!(thread[set] & dropped, 0, "{set} of {thread:x?}");
        }
        assert_eq!(thread["NoNewPrivs"], 1);
    }
}

#[test]
fn trace_drops_what_loading_took() {
    // Of no use if there was nothing to drop.
    assert_ne!(threads(std::process::id())[0]["CapEff"] & BPF, 0, "run as root");
    let running = start(&["trace", "--runtime", "none", "--no-host"], "watching by");
    holds_nothing(&running);
}

#[test]
fn run_drops_what_loading_took_and_says_so() {
    let args = ["run", "--endpoint", "http://127.0.0.1:9", "--listen", "127.0.0.1:0", "--runtime", "none"];
    let running = start(&args, " running ");
    let line = running.1.lines().find(|line| line.contains("dropped capabilities")).unwrap_or_default();
    assert!(line.contains("CAP_BPF") && line.contains("CAP_SYS_ADMIN"), "{}", running.1);
    holds_nothing(&running);
}
