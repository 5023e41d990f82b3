//! The whole exporter in a test machine: as the image has it, and with clocks that only such a machine has: a calendar that is
//! set, and an hour that passes in minutes.

mod away;
mod image;
mod jumps;

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use inotrail::event::Backend;
use serde_json::Value;

use crate::accesses::{base, spawn};
use crate::cgroup::Cgroup;
use crate::exporter::{EACH, Exporter};
use crate::folder::Folder;
use crate::interrupt;
use crate::load::{Opens, only_in_a_machine};
use crate::receiver::Receiver;

pub use away::prove_away;
pub use image::{PROGRAM, prove_image};
pub use jumps::prove_jumps;

/// By the machine's clock.
const LIMIT: Duration = Duration::from_secs(300);
/// Flags of the machine's own network (linux/if.h), and that it is up.
const LOOPBACK: (&str, &str) = ("/sys/class/net/lo/flags", "0x9");

/// An exporter with a spool, whom it watches, and whom it sends to.
struct Scene {
    exporter: Exporter,
    receiver: Receiver,
    cgroup: Cgroup,
    /// Of the spool, the log and the trail.
    _folder: Folder,
    guest: PathBuf,
    /// The program that is the exporter, by its name.
    inotrail: PathBuf,
    /// Accesses so far.
    made: u64,
}

impl Scene {
    fn start(backend: Backend, guest: &Path, inotrail: &Path, more: &[&str]) -> Result<Self> {
        only_in_a_machine()?;
        fs::write(LOOPBACK.0, LOOPBACK.1).context("the machine has no network of its own")?;
        let folder = Folder::new(None)?;
        let cgroup = Cgroup::create_top("inotrail-simulated")?;
        let receiver = Receiver::start(folder.as_ref(), &base())?;
        let mut command = named(inotrail);
        command.args(["run", "--host", "--runtime", "none", "--kubernetes", "never"]).args(EACH);
        command.args(["--backend", backend.as_str(), "--endpoint", &receiver.endpoint()]);
        command.arg("--cgroup-root").arg(cgroup.path());
        command.arg("--state").arg(folder.as_ref().join("state")).args(more);
        let exporter = Exporter::start(command, folder.as_ref(), "/livez")?;
        Ok(Self {
            exporter,
            receiver,
            cgroup,
            _folder: folder,
            guest: guest.to_owned(),
            inotrail: inotrail.to_owned(),
            made: 0,
        })
    }

    /// Makes accesses, and returns when the exporter has made events of them.
    fn make(&mut self, opens: Opens) -> Result<()> {
        let status = spawn(&self.guest, &opens.arguments(), &self.cgroup.procs())?.wait()?;
        ensure!(status.success(), "the opens ended with {status}");
        self.made += (opens.threads * opens.each) as u64;
        interrupt::wait_for("events of all accesses", LIMIT, || {
            Ok((self.exporter.metric("inotrail_events_total")? >= self.made).then_some(()))
        })
    }

    /// Waits until nothing waits, stops the exporter, and holds what came against what was made, and against what
    /// `inotrail verify` says. Returns that in a few words.
    fn close(&mut self) -> Result<String> {
        let settled = interrupt::wait_for("the books to close", LIMIT, || {
            let received = self.receiver.received();
            Ok((received.accesses + received.lost() >= self.made).then_some(()))
        });
        self.exporter.daemon.stop();
        let received = self.receiver.received();
        let (made, came, lost) = (self.made, received.accesses, received.lost());
        let books = format!("{made} made = {came} received + {lost} lost {:?}", received.lost);
        settled.with_context(|| format!("{books}\n{}", self.exporter.daemon.log()))?;
        ensure!(made == came && lost == 0 && received.changed == 0, "{books}; {} changed", received.changed);
        let output = named(&self.inotrail)
            .args(["verify", "--output", "json"])
            .arg(self.receiver.trail()?)
            .output()
            .context("run verify")?;
        let report: Value = serde_json::from_slice(&output.stdout).context("read what verify says")?;
        ensure!(report["verdict"] == "complete", "verify says {report}");
        Ok(format!("{made} accesses, difference 0"))
    }
}

/// A program under the exporter's name: by that the guest knows that it is to be the exporter.
fn named(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg0("inotrail");
    command
}
