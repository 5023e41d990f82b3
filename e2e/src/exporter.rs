//! `inotrail`, as built beside this program.

use std::env;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::containerd::Containerd;
use crate::daemon::Daemon;
use crate::stack::Stack;

mod trace;

pub use trace::{ARGUMENTS, Attributes, Events, Trace};

const READY: Duration = Duration::from_secs(30);

/// The binary: in the folder of this program, or, for tests, in the one above.
///
/// # Errors
/// It was not built.
pub fn binary() -> Result<PathBuf> {
    built("inotrail")
}

/// A binary of the workspace, built as this program was.
///
/// # Errors
/// See [`binary`].
pub(crate) fn built(name: &str) -> Result<PathBuf> {
    let own = env::current_exe()?;
    let mut candidates = own.ancestors().skip(1).take(2).map(|folder| folder.join(name));
    let found = candidates.find(|path| path.is_file());
    found.with_context(|| format!("{name} is not built: run `cargo build --workspace`"))
}

/// Arguments of `run` by which each access is a record: for whoever counts them.
pub const EACH: [&str; 2] = ["--aggregate", "none"];

/// A running `inotrail run`.
pub struct Exporter {
    /// Its process; the log is `folder/exporter.log`.
    pub daemon: Daemon,
    listen: String,
}

/// Starts `inotrail run` with names from one containerd and a stack's Collector, which it must not report, and with
/// further `arguments`; returns when it is ready.
///
/// # Errors
/// It is not built, or not ready in time.
pub fn run(containerd: &Containerd, stack: &Stack, folder: &Path, arguments: &[&str]) -> Result<Exporter> {
    run_build(&binary()?, containerd, stack, folder, arguments)
}

/// The same with another build of it.
///
/// # Errors
/// See [`run`].
pub fn run_build(
    build: &Path,
    containerd: &Containerd,
    stack: &Stack,
    folder: &Path,
    arguments: &[&str],
) -> Result<Exporter> {
    let mut command = Command::new(build);
    command.args(["run", "--endpoint", &stack.otlp_endpoint]).args(EACH);
    command.arg("--runtime-socket").arg(&containerd.socket).args(arguments);
    if let Some(cgroup) = stack.cgroup() {
        command.arg("--exclude-cgroup").arg(cgroup);
    }
    Exporter::start(command, folder, "/readyz")
}

impl Exporter {
    /// Starts it by a command without an address; returns when a path of its administration server says that it is well.
    ///
    /// # Errors
    /// See [`run`].
    pub fn start(mut command: Command, folder: &Path, well: &str) -> Result<Self> {
        // Free at least now.
        let listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let mut daemon = Daemon::start("exporter", command.args(["--listen", &listen]), folder, None)?;
        let url = format!("http://{listen}{well}");
        daemon.wait_ready(READY, || ureq::get(&url).call().is_ok())?;
        Ok(Self { daemon, listen })
    }

    /// What a path of its administration server says, whatever the status.
    ///
    /// # Errors
    /// It does not answer.
    pub fn ask(&self, path: &str) -> Result<String> {
        let request = ureq::get(format!("http://{}{path}", self.listen)).config().http_status_as_error(false).build();
        Ok(request.call()?.body_mut().read_to_string()?)
    }

    /// The value of one of its metrics, all labels added up.
    ///
    /// # Errors
    /// It does not answer.
    pub fn metric(&self, name: &str) -> Result<u64> {
        Ok(metric(&self.ask("/metrics")?, name))
    }
}

/// The value of a metric in Prometheus' text format, all labels added up.
pub(crate) fn metric(text: &str, name: &str) -> u64 {
    let values = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
    // Go writes large numbers as 1.5e+06.
    values.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>() as u64
}
