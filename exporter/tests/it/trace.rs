//! `inotrail trace` and `check` on the running kernel, with the real programs. Needs root.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Opens one file over and over until it is dropped.
struct Toucher {
    path: PathBuf,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Toucher {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("inotrail-{}-{name}", std::process::id()));
        fs::write(&path, name).expect("write the file");
        let stop = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let (path, stop) = (path.clone(), Arc::clone(&stop));
            move || {
                while !stop.load(Ordering::Relaxed) {
                    drop(File::open(&path));
                    // A rate, not a wait: enough for any count in no time, and no flood.
                    thread::sleep(Duration::from_micros(500));
                }
            }
        });
        Self { path, stop, thread: Some(thread) }
    }

    fn text(&self) -> &str {
        self.path.to_str().expect("UTF-8")
    }
}

impl Drop for Toucher {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("join");
        }
        fs::remove_file(&self.path).expect("remove the file");
    }
}

fn trace(args: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_inotrail"))
        .args(["trace", "--runtime", "none"])
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start inotrail")
}

/// Waits for the end; a process that does not come to one is killed.
fn end(mut child: Child) -> (ExitStatus, String) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(status) = child.try_wait().expect("wait") {
            let mut errors = String::new();
            child.stderr.take().expect("stderr").read_to_string(&mut errors).expect("read");
            return (status, errors);
        }
        if Instant::now() > deadline {
            child.kill().expect("kill");
            panic!("it did not end: {:?}", child.wait_with_output());
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// The last line on stderr says how many were shown.
fn shown(errors: &str) -> u64 {
    let last = errors.lines().last().unwrap_or_default();
    let count = last.strip_prefix("inotrail: ").and_then(|line| line.split_once(" events; "));
    count.and_then(|(count, _)| count.parse().ok()).unwrap_or_else(|| panic!("no last line in {errors:?}"))
}

#[test]
fn a_count_ends_it_with_a_last_line() {
    let toucher = Toucher::new("count");
    let mut child = trace(&["--path", toucher.text(), "--count", "3", "--output", "json"]);
    let lines: Vec<String> =
        BufReader::new(child.stdout.take().expect("stdout")).lines().map(|line| line.expect("read")).collect();
    let (status, errors) = end(child);
    assert!(status.success(), "{errors}");
    assert_eq!((lines.len(), shown(&errors)), (3, 3), "{errors}");
    let mut before = None;
    for line in lines {
        let event: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(event["file.path"], toucher.text());
        assert_eq!(event["process.pid"], std::process::id());
        assert_eq!(event["inotrail.file.operation"], "open");
        let number = event["inotrail.stream.sequence"].as_u64().expect("sequence");
        assert!(before.is_none_or(|before| number == before + 1), "{number} after {before:?}");
        before = Some(number);
    }
}

#[test]
fn a_reader_that_goes_ends_it_without_an_error() {
    let toucher = Toucher::new("pipe");
    let mut child = trace(&["--path", toucher.text()]);
    let mut out = BufReader::new(child.stdout.take().expect("stdout"));
    let mut header = String::new();
    out.read_line(&mut header).expect("read");
    assert!(header.starts_with("TIME "), "{header}");
    drop(out);
    let (status, errors) = end(child);
    assert_eq!(status.code(), Some(0), "{errors}");
    assert!(shown(&errors) > 0 && errors.lines().count() == 2, "{errors}");
}

#[test]
fn an_interrupt_ends_it_with_a_last_line() {
    let toucher = Toucher::new("interrupt");
    let mut child = trace(&["--path", toucher.text(), "--color", "never"]);
    let mut out = BufReader::new(child.stdout.take().expect("stdout"));
    let mut lines = 0;
    for _ in 0..2 {
        lines += u64::from(out.read_line(&mut String::new()).expect("read") > 0);
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("interrupt");
    lines += out.lines().inspect(|line| assert!(line.is_ok(), "{line:?}")).count() as u64;
    let (status, errors) = end(child);
    assert!(status.success(), "{errors}");
    assert_eq!(shown(&errors), lines - 1, "all but the header: {errors}");
}

#[test]
fn time_ends_it() {
    let toucher = Toucher::new("time");
    let start = Instant::now();
    let mut child = trace(&["--path", toucher.text(), "--for", "300ms"]);
    let lines = BufReader::new(child.stdout.take().expect("stdout")).lines().count() as u64;
    let (status, errors) = end(child);
    assert!(status.success() && start.elapsed() >= Duration::from_millis(300), "{errors}");
    assert!(lines > 1 && shown(&errors) == lines - 1, "{lines} lines, {errors}");
}

#[test]
fn what_is_filtered_out_is_not_shown() {
    let toucher = Toucher::new("filter");
    for filter in [["--namespace", "shop"], ["--container", "web"], ["--comm", "nobody"]] {
        let child = trace(&[&["--path", toucher.text(), "--for", "200ms"], &filter[..]].concat());
        let (status, errors) = end(child);
        assert!(status.success(), "{errors}");
        assert_eq!(shown(&errors), 0, "{filter:?}: {errors}");
    }
    let (_, errors) = end(trace(&["--path", toucher.text(), "--for", "200ms", "--denied"]));
    assert_eq!(shown(&errors), 0, "{errors}");
    let (_, errors) = end(trace(&["--path", toucher.text(), "--for", "200ms", "--no-host"]));
    assert_eq!(shown(&errors), 0, "{errors}");
}

#[test]
fn check_agrees_with_its_exit_code() {
    let output = crate::cli::inotrail(&["check", "--output", "json"], &[]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(output.status.success(), !report["chosen"].is_null(), "{report}");
    let works = |row: &Value| row["loads"] == true && row["attaches"] == true;
    let any = report["backends"].as_array().expect("backends").iter().any(works);
    assert_eq!(any, !report["chosen"].is_null(), "{report}");
    let only = crate::cli::inotrail(&["check", "--backend", "kprobe", "--output", "json"], &[]);
    let chosen = serde_json::from_slice::<Value>(&only.stdout).expect("JSON")["chosen"].clone();
    assert!(chosen.is_null() || chosen == "kprobe", "{chosen}");
}
