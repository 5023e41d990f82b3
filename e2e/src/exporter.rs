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

const READY: Duration = Duration::from_secs(30);

/// The binary: in the folder of this program, or, for tests, in the one above.
///
/// # Errors
/// It was not built.
pub fn binary() -> Result<PathBuf> {
    let own = env::current_exe()?;
    let mut candidates = own.ancestors().skip(1).take(2).map(|folder| folder.join("inotrail"));
    candidates.find(|path| path.is_file()).context("inotrail is not built: run `cargo build --workspace`")
}

/// Starts `inotrail run` with names from one containerd and a stack's Collector, which it must not report, and with
/// further `arguments`; returns when it is ready. Its log is `folder/exporter.log`.
///
/// # Errors
/// It is not built, or not ready in time.
pub fn run(containerd: &Containerd, stack: &Stack, folder: &Path, arguments: &[&str]) -> Result<Daemon> {
    // Free at least now.
    let listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let mut command = Command::new(binary()?);
    command.args(["run", "--endpoint", &stack.otlp_endpoint, "--listen", &listen]);
    command.arg("--containerd-socket").arg(&containerd.socket).args(arguments);
    if let Some(cgroup) = stack.cgroup() {
        command.arg("--exclude-cgroup").arg(cgroup);
    }
    let mut exporter = Daemon::start("exporter", &mut command, folder, None)?;
    exporter.wait_ready(READY, || ureq::get(format!("http://{listen}/readyz")).call().is_ok())?;
    Ok(exporter)
}
