//! Single calls to the disk fail, and the next ones do not.

use std::fs;
use std::process::{Child, Command, Stdio};

use e2e::exporter::Exporter;
use e2e::interrupt;
use e2e::load::Opens;
use rustix::process::{Pid, Signal, kill_process};

use super::power::{wait_for_all, wait_for_spool};
use super::{Bench, LIMIT, ROOM};

/// `strace` on an exporter, which has some of its calls fail before the kernel sees them; they do not any more when this is
/// dropped.
struct Tampered(Child);

impl Tampered {
    /// Calls by name, separated by commas; `how` as strace's `inject` takes it.
    fn start(exporter: &Exporter, calls: &str, how: &str) -> Self {
        let pid = exporter.daemon.pid().to_string();
        let mut strace = Command::new("strace");
        strace.args(["-qq", "-f", "-o", "/dev/null", "-p", &pid, "-e", &format!("trace={calls}")]);
        strace.args(["-e", &format!("inject={calls}:{how}")]);
        let this = Self(strace.stderr(Stdio::null()).spawn().unwrap());
        interrupt::wait_for("strace on each thread", LIMIT, || {
            let traced = |status: String| !status.contains("\nTracerPid:\t0\n");
            let tasks = fs::read_dir(format!("/proc/{pid}/task"))?.flatten();
            // One that has ended meanwhile is none.
            let mut statuses = tasks.filter_map(|task| fs::read_to_string(task.path().join("status")).ok());
            Ok(statuses.all(traced).then_some(()))
        })
        .unwrap();
        this
    }
}

impl Drop for Tampered {
    fn drop(&mut self) {
        kill_process(Pid::from_child(&self.0), Signal::TERM).unwrap();
        self.0.wait().unwrap();
    }
}

/// While the receiver is away every third or so of the calls that keep records fails; and when the disk has worked again,
/// the power is cut: what a failed `fdatasync` was to write is on the disk all the same. (A real one also leaves pages that the
/// next does not write: the spool's own tests have a disk that does so.)
#[test]
fn what_a_failed_call_was_to_keep_is_kept() {
    let mut bench = Bench::on_disk("calls");
    let mut exporter = bench.exporter(&[]);
    let sometimes = "error=EIO:when=2+3";
    for (calls, how) in [
        ("fdatasync", sometimes),
        ("pwrite64", sometimes),
        ("fdatasync,fsync,pwrite64,openat,unlinkat", "error=EIO:when=2+5"),
        ("pwrite64,openat,unlinkat", "error=EROFS"),
    ] {
        bench.receiver.down();
        let before = bench.receiver.received().accesses;
        let tampered = Tampered::start(&exporter, calls, how);
        bench.make(Opens { pause_ms: 1, ..Opens::new(4, 1_500) });
        interrupt::wait_for("the failure", LIMIT, || Ok(exporter.daemon.log().contains("fails").then_some(())))
            .unwrap();
        drop(tampered);
        let made = bench.made - before;
        wait_for_all(&exporter, made, |waiting| waiting >= made);
        wait_for_spool(&exporter, "ok");
        bench.disk().shut_down();
        exporter.daemon.kill().unwrap();
        bench.disk().mount_again();
        bench.receiver.up().unwrap();
        exporter = bench.exporter(&[]);
        let received = bench.settle();
        eprintln!("{calls} {how}:");
        bench.print(&received);
        assert_eq!(received.lost(), 0, "{calls} {how}: {received:?}");
    }
    bench.close(exporter, "so_far");
}

/// What waits is on the disk alone, and every third or so of the reads fails: it is read again, and what cannot be read then
/// is told.
#[test]
fn what_cannot_be_read_is_read_again() {
    let mut bench = Bench::new("reads");
    bench.receiver.down();
    let exporter = bench.exporter(&["--queue-size", "4MiB", "--batch-records", "20"]);
    bench.make(Opens { pause_ms: 1, ..Opens::new(8, 3_000) });
    wait_for_all(&exporter, bench.made, |waiting| waiting > 0);
    let tampered = Tampered::start(&exporter, "pread64", "error=EIO:when=2+3");
    bench.receiver.up().unwrap();
    let received = bench.settle();
    drop(tampered);
    assert!(exporter.daemon.log().contains("fails: what waits"), "no read has failed");
    wait_for_spool(&exporter, "ok");
    assert!(
        received.lost() < bench.made / 5 && received.lost.keys().all(|reason| ROOM.contains(&&**reason)),
        "{received:?}"
    );
    bench.close(exporter, "complete");
}
