//! Faults on the way of a record, each with exact books: made = received once + told as lost, and `inotrail verify` says
//! the same. Needs root.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod burst;
mod calls;
mod collector;
mod disk;
mod ext4;
mod kill;
mod memory;
mod power;
mod receiver;
mod repeats;
mod wire;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use e2e::accesses::{base, spawn};
use e2e::cgroup::Cgroup;
use e2e::exporter::{self, EACH, Exporter};
use e2e::interrupt;
use e2e::load::Opens;
use e2e::receiver::{Received, Receiver};
use ext4::Ext4;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(120);

/// Why the exporter drops what it has no room for, before and on the disk: how busy the machine is says which of them.
const ROOM: [&str; 3] = ["queue_full", "shed", "spool_full"];

/// One at a time: they share the folder of the guest's files.
static ALONE: Mutex<()> = Mutex::new(());

/// What all faults happen to.
struct Bench {
    receiver: Receiver,
    cgroup: Cgroup,
    /// A BPF file system of this test's own.
    pins: PathBuf,
    /// What [`Self::state`] is on, where a test wants it to fail.
    disk: Option<Ext4>,
    folder: tempfile::TempDir,
    fault: &'static str,
    /// Accesses so far.
    made: u64,
    _alone: MutexGuard<'static, ()>,
}

impl Bench {
    fn new(fault: &'static str) -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::tempdir().unwrap();
        let pins = folder.path().join("bpf");
        fs::create_dir(&pins).unwrap();
        fs::create_dir(folder.path().join("state")).unwrap();
        mount("bpf", &pins, "bpf", MountFlags::empty(), None).unwrap();
        let cgroup = Cgroup::create_top(&format!("inotrail-fault-{fault}")).unwrap();
        let receiver = Receiver::start(folder.path(), &base()).unwrap();
        Self { receiver, cgroup, pins, disk: None, folder, fault, made: 0, _alone: alone }
    }

    /// One whose state is on a file system of its own.
    fn on_disk(fault: &'static str) -> Self {
        let mut bench = Self::new(fault);
        bench.disk = Some(Ext4::mount(&bench.folder.path().join("disk"), &bench.state()));
        bench
    }

    fn disk(&mut self) -> &mut Ext4 {
        self.disk.as_mut().unwrap()
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// `inotrail run` with what it keeps in [`Self::state`].
    fn exporter(&self, more: &[&str]) -> Exporter {
        let state = self.state();
        self.exporter_to(&self.receiver.endpoint(), &[&["--state", state.to_str().unwrap()], more].concat())
    }

    /// The same to another endpoint, and with nothing kept. The ring has room for everything.
    fn exporter_to(&self, endpoint: &str, more: &[&str]) -> Exporter {
        let more = [&["--ring-size", "64MiB"], more].concat();
        Exporter::start(self.command(endpoint, &more), self.folder.path(), "/livez").unwrap()
    }

    fn command(&self, endpoint: &str, more: &[&str]) -> Command {
        let mut command = Command::new(exporter::binary().unwrap());
        command.args(["run", "--host", "--runtime", "none", "--endpoint", endpoint]);
        command.arg("--cgroup-root").arg(self.cgroup.path()).args(more);
        if !more.contains(&EACH[0]) {
            command.args(EACH);
        }
        command.arg("--pin-dir").arg(self.pins.join("inotrail"));
        command
    }

    /// Starts making accesses.
    fn load(&mut self, opens: Opens) -> Child {
        self.made += (opens.threads * opens.each) as u64;
        spawn(Path::new(env!("CARGO_BIN_EXE_guest")), &opens.arguments(), &self.cgroup.procs()).unwrap()
    }

    /// Makes accesses, and returns when all are made.
    fn make(&mut self, opens: Opens) {
        assert!(self.load(opens).wait().unwrap().success());
    }

    /// Waits until all that was made is received, or told to be lost.
    fn settle(&self) -> Received {
        let mut received = Received::default();
        let settled = interrupt::wait_for("the books to close", LIMIT, || {
            received = self.receiver.received();
            Ok((received.accesses + received.lost() >= self.made).then_some(()))
        });
        if settled.is_err() {
            self.print(&received);
        }
        settled.unwrap();
        received
    }

    /// Waits until all that was made is acknowledged: none of it will come again.
    fn acknowledged(&self, exporter: &Exporter) {
        interrupt::wait_for("everything to be acknowledged", LIMIT, || {
            Ok((exporter.metric("inotrail_events_delivered_total")? >= self.made).then_some(()))
        })
        .unwrap();
    }

    /// Settles, stops the exporter, prints the books, and holds them against what `inotrail verify` says.
    fn close(&self, mut exporter: Exporter, verdict: &str) -> Received {
        self.settle();
        exporter.daemon.stop();
        let received = self.receiver.received();
        self.print(&received);
        let difference = self.made.cast_signed() - (received.accesses + received.lost()).cast_signed();
        assert_eq!((difference, received.changed), (0, 0), "{received:?}\n{}", exporter.daemon.log());
        self.verify(&received, verdict);
        received
    }

    fn print(&self, received: &Received) {
        let Received { accesses, lost, again, changed, .. } = received;
        let difference = self.made.cast_signed() - (accesses + received.lost()).cast_signed();
        eprintln!(
            "{}: {} made = {accesses} received + {} lost {lost:?}, difference {difference}; \
             {again} records came again, {changed} changed",
            self.fault,
            self.made,
            received.lost(),
        );
    }

    fn verify(&self, received: &Received, verdict: &str) {
        let report = report(self.receiver.trail().unwrap());
        assert_eq!(report["verdict"], verdict, "{report}");
        let lost: u64 =
            report["totals"]["lost"].as_object().unwrap().values().map(|it| it["accesses"].as_u64().unwrap()).sum();
        let found = (report["totals"]["received"].as_u64().unwrap(), lost);
        assert_eq!(found, (received.accesses + received.others, received.lost()), "{report}");
        let sum =
            |key: &str| report["runs"].as_array().unwrap().iter().map(|run| run[key].as_u64().unwrap()).sum::<u64>();
        eprintln!(
            "{}: verify says {verdict}: {} runs, {} records, {} missing, {} told",
            self.fault,
            report["runs"].as_array().unwrap().len(),
            sum("records"),
            sum("missing"),
            sum("told_lost"),
        );
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        drop(inotrail::sensor::unpin(&self.pins.join("inotrail")));
        unmount(&self.pins, UnmountFlags::DETACH).unwrap();
        fs::remove_dir(base()).ok();
    }
}

/// What `inotrail verify` says of a file of OTLP/JSON.
fn report(trail: &Path) -> Value {
    let mut command = Command::new(exporter::binary().unwrap());
    let output = command.arg("verify").arg(trail).args(["--output", "json"]).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A command after a line of a shell, which is to end in `exec "$@"`; `$0` is a path that it needs.
fn after(line: &str, path: &Path, command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", line]).arg(path).arg(command.get_program()).args(command.get_args());
    shell
}

/// A number below `below`, from the start of a series that looks random.
fn random(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    (*state >> 33) % below
}
