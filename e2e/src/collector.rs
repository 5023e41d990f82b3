//! A real Collector on loopback, with the configuration that the project ships.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::daemon::Daemon;
use crate::stack::READY;
use crate::tools;

/// A Collector that may be killed and started again; dropping this stops it.
#[derive(Debug)]
pub struct Collector {
    /// What starts it.
    pub command: Command,
    ports: Ports,
    cgroup: Option<PathBuf>,
    folder: PathBuf,
    /// Nothing: it does not run.
    daemon: Option<Daemon>,
}

/// Where it listens.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// OTLP over gRPC.
    pub grpc: u16,
    /// OTLP over HTTP.
    pub http: u16,
    /// Whether it is well.
    pub health: u16,
    /// Its own metrics.
    pub metrics: u16,
}

impl Collector {
    /// One with its state and log in `folder`, and in the cgroup whose directory is given. It does not run yet.
    ///
    /// # Errors
    /// It cannot be built, or the folder cannot be written.
    pub fn new(folder: &Path, cgroup: Option<PathBuf>, ports: Ports) -> Result<Self> {
        let state = folder.join("collector");
        fs::create_dir_all(&state).with_context(|| format!("create {}", state.display()))?;
        let mut command = Command::new(tools::collector()?.join("otelcol-inotrail"));
        let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../otel-collector/config.yaml");
        command.arg("--config").arg(config).env("COLLECTOR_STATE", state);
        command.env("COLLECTOR_OTLP_GRPC", format!("127.0.0.1:{}", ports.grpc));
        command.env("COLLECTOR_OTLP_HTTP", format!("127.0.0.1:{}", ports.http));
        command.env("COLLECTOR_HEALTH", format!("127.0.0.1:{}", ports.health));
        command.env("COLLECTOR_METRICS_PORT", ports.metrics.to_string());
        Ok(Self { command, ports, cgroup, folder: folder.to_owned(), daemon: None })
    }

    /// Where it takes OTLP over gRPC: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.grpc)
    }

    /// Starts it; returns when it is ready.
    ///
    /// # Errors
    /// It does not start, or is not ready in time.
    pub fn start(&mut self) -> Result<()> {
        let mut daemon = Daemon::start("collector", &mut self.command, &self.folder, self.cgroup.as_deref())?;
        let health = format!("http://127.0.0.1:{}", self.ports.health);
        daemon.wait_ready(READY, || ureq::get(&health).call().is_ok())?;
        self.daemon = Some(daemon);
        Ok(())
    }

    /// Kills it, if it runs.
    ///
    /// # Errors
    /// It cannot be killed.
    pub fn kill(&mut self) -> Result<()> {
        self.daemon.take().map_or(Ok(()), |mut daemon| Ok(daemon.kill()?))
    }

    /// The value of one of its own metrics, all labels added up.
    ///
    /// # Errors
    /// It does not answer.
    pub fn metric(&self, name: &str) -> Result<u64> {
        let url = format!("http://127.0.0.1:{}/metrics", self.ports.metrics);
        Ok(crate::exporter::metric(&ureq::get(url).call()?.body_mut().read_to_string()?, name))
    }

    /// Its process; 0: it does not run.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.daemon.as_ref().map_or(0, Daemon::pid)
    }
}
