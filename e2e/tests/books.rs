//! The whole product's books: what `inotrail trace` printed, and what it says it dropped, is what was opened.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use e2e::accesses::{base, spawn};
use e2e::cgroup::Cgroup;
use e2e::exporter::binary;
use e2e::load::Opens;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const OPENS: u64 = 100_000;
const THREADS: usize = 4;

/// A running `inotrail trace` of one cgroup, and its lines.
struct Trace {
    child: Child,
    lines: Receiver<Value>,
}

impl Trace {
    fn start(cgroup: &Cgroup, arguments: &[&str]) -> Self {
        let mut child = Command::new(binary().unwrap())
            .args(["trace", "--output", "json", "--runtime", "none", "--cgroup-root"])
            .arg(cgroup.path())
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (send, lines) = channel();
        thread::spawn(move || {
            for line in out.lines() {
                send.send(serde_json::from_str(&line.unwrap()).unwrap()).unwrap();
            }
        });
        let mut trace = Self { child, lines };
        trace.wait_attached(cgroup);
        trace
    }

    /// Lets processes in the cgroup run until one is reported.
    fn wait_attached(&mut self, cgroup: &Cgroup) {
        let deadline = Instant::now() + Duration::from_secs(60);
        let script = format!("echo 0 > {} && exec true", cgroup.procs().display());
        // Not more often: what the ring has no room for now would be taken for the guest's.
        while self.lines.recv_timeout(Duration::from_millis(200)).is_err() {
            assert!(Instant::now() < deadline, "nothing was reported");
            assert_eq!(self.child.try_wait().unwrap(), None, "trace ended");
            assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
        }
    }

    /// Interrupts it, and returns all further lines and the last words.
    fn stop(mut self) -> (Vec<Value>, String) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::INT).unwrap();
        let lines = self.lines.iter().collect();
        let mut words = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut words).unwrap();
        assert!(self.child.wait().unwrap().success(), "{words}");
        (lines, words)
    }
}

/// `N` of `reason N` in the last line.
fn dropped(words: &str, reason: &str) -> u64 {
    let mut parts = words.split([' ', ',', '\n']).skip_while(|word| *word != reason);
    parts.nth(1).map_or(0, |count| count.parse().unwrap())
}

/// One at a time: they share the folder of the guest's files.
static ALONE: Mutex<()> = Mutex::new(());

fn prove(name: &str, arguments: &[&str], files: usize, (expect_counted, expect_drops): (bool, bool)) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let cgroup = Cgroup::create_top(name).unwrap();
    let trace = Trace::start(&cgroup, arguments);
    let guest = Path::new(env!("CARGO_BIN_EXE_guest"));
    let opens = Opens { files, ..Opens::new(THREADS, OPENS as usize / THREADS) };
    let status = spawn(guest, &opens.arguments(), &cgroup.procs());
    let status = status.unwrap().wait().unwrap();
    assert!(status.success());
    let (lines, words) = trace.stop();
    let folder = base();
    let opened = |line: &&Value| Path::new(line["file.path"].as_str().unwrap_or("")).starts_with(&folder);
    let counted = |line: &&Value| line["inotrail.aggregation.last_time"].is_string();
    let count = |line: &Value| line["inotrail.aggregation.count"].as_u64().unwrap();
    let events = lines.iter().filter(opened).map(count).sum::<u64>();
    let summaries = lines.iter().filter(counted).map(count).sum::<u64>();
    let (losses, accesses): (Vec<&Value>, Vec<&Value>) =
        lines.iter().partition(|line| line["otel.event.name"] == "inotrail.exporter.loss");
    let lost = losses.iter().filter(|line| line["inotrail.loss.reason"] == "ring_full");
    let lost: u64 = lost.map(|line| line["inotrail.loss.count"].as_u64().unwrap()).sum();
    let (ring_full, held_full) = (dropped(&words, "ring_full"), dropped(&words, "held_full"));
    eprintln!(
        "{OPENS} opens = {events} events + {summaries} counted + {ring_full} ring_full + {held_full} held_full; {}",
        words.trim_end()
    );
    assert_eq!(events + summaries + ring_full + held_full, OPENS, "{words}");
    assert_eq!(lost, ring_full, "told as losses: {losses:?}");
    assert_eq!((summaries > 0, ring_full > 0), (expect_counted, expect_drops), "{words}");
    for line in lines.iter().filter(counted) {
        assert_eq!(line["inotrail.file.flags"], "path_unknown", "{line}");
        assert!(line["file.path"].is_null() && line["process.pid"].is_null(), "{line}");
        assert!(line["inotrail.file.access_mode"] == "read" || files == 0, "{line}");
        assert!(line["file.inode"].is_string() && line["inotrail.file.device"].is_string(), "{line}");
        assert!(line["time"].as_str() <= line["inotrail.aggregation.last_time"].as_str(), "{line}");
    }
    // What was kept is numbered without a hole, whatever was dropped before.
    let numbers = accesses.iter().map(|line| line["inotrail.stream.sequence"].as_u64().unwrap());
    let first = accesses.first().unwrap()["inotrail.stream.sequence"].as_u64().unwrap();
    assert!(numbers.eq(first..first + accesses.len() as u64), "{name}: the stream has a hole");
    fs::remove_dir(&folder).ok();
}

#[test]
fn every_open_is_an_event() {
    prove("inotrail-books", &["--ring-size", "64MiB"], 0, (false, false));
}

#[test]
fn what_does_not_fit_is_counted_by_file() {
    prove("inotrail-counts", &["--ring-size", "64KiB", "--drain-interval", "100ms"], 64, (true, false));
}

#[test]
fn what_does_not_fit_there_either_is_counted() {
    prove("inotrail-drops", &["--ring-size", "64KiB", "--drain-interval", "100ms"], 0, (true, true));
}
