//! A real Collector and a real Loki on loopback.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::cgroup::Cgroup;
use crate::collector::{self, Collector};
use crate::daemon::Daemon;
use crate::folder::Folder;
use crate::loki::Loki;
use crate::{interrupt, tools};

/// Loki replays its log first; the Collector is ready at once.
pub(crate) const READY: Duration = Duration::from_secs(60);

/// Run a Collector and a Loki on loopback until Ctrl-C.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder for their state and logs, which stays [default: a temporary one, which goes]
    #[arg(long, value_name = "PATH")]
    dir: Option<PathBuf>,
    /// Listen on the programs' own ports (4317, 4318, 3100, ...) instead of free ones
    #[arg(long)]
    standard_ports: bool,
}

impl Args {
    /// Starts both, prints their addresses and waits for a signal.
    ///
    /// # Errors
    /// See [`Stack::start`].
    #[expect(clippy::print_stdout, reason = "the answer of this subcommand")]
    pub fn run(self) -> Result<()> {
        let ports = if self.standard_ports { Ports::Standard } else { Ports::Free };
        let stack = Stack::start(self.dir.as_deref(), ports)?;
        println!("OTLP/gRPC  {}", stack.otlp_endpoint);
        println!("OTLP/HTTP  {}", stack.otlp_http_endpoint);
        println!("Loki       {}", stack.loki.url);
        let exclude = stack.cgroup().map(|cgroup| {
            println!("cgroup     {}", cgroup.display());
            format!(" --exclude-cgroup {}", cgroup.display())
        });
        let (endpoint, exclude) = (&stack.otlp_endpoint, exclude.unwrap_or_default());
        println!("\nTo send to it: inotrail run --endpoint {endpoint}{exclude}\nCtrl-C stops both.");
        interrupt::wait();
        Ok(())
    }
}

/// A running Collector and the Loki behind it; dropping this stops both.
#[derive(Debug)]
pub struct Stack {
    /// Where the Collector takes OTLP over gRPC: `http://127.0.0.1:PORT`.
    pub otlp_endpoint: String,
    /// Where it takes OTLP over HTTP: `http://127.0.0.1:PORT`, without `/v1/logs`.
    pub otlp_http_endpoint: String,
    /// Loki.
    pub loki: Loki,
    // In this order they go: who writes before who is written to, and their cgroup when it is empty.
    collector: Collector,
    loki_daemon: Daemon,
    cgroup: Option<Cgroup>,
    _folder: Folder,
}

/// Which ports the stack listens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ports {
    /// Whichever are free.
    Free,
    /// The programs' own: 4317, 4318, 13133, 8888, 3100, 9095.
    Standard,
}

impl Stack {
    /// Starts both with their state in `folder` (or in a temporary one), and waits until they are ready.
    ///
    /// # Errors
    /// A program cannot be built, does not start, or is not ready in time.
    pub fn start(folder: Option<&Path>, ports: Ports) -> Result<Self> {
        Self::start_with(folder, ports, &[], &[])
    }

    /// The same with further flags of Loki's and of the Collector's.
    ///
    /// # Errors
    /// See [`Self::start`].
    pub fn start_with(
        folder: Option<&Path>,
        ports: Ports,
        loki_flags: &[&str],
        collector_flags: &[&str],
    ) -> Result<Self> {
        interrupt::defer();
        let loki_program = tools::loki()?.join("loki");
        let folder = Folder::new(folder)?;
        let cgroup = Cgroup::create("inotrail-stack");
        let cgroup =
            cgroup.inspect_err(|error| eprintln!("the stack runs without a cgroup of its own: {error:#}")).ok();
        let [grpc, http, health, metrics, loki_http, loki_grpc] = ports.choose()?;

        let loki = Loki { url: local(loki_http) };
        let mut command = Command::new(loki_program);
        command.arg(format!("-config.file={}", file("helm/files/loki.yaml").display())).arg("-config.expand-env=true");
        command.args(loki_flags);
        command.env("LOKI_DIR", state(&folder, "loki")?);
        command.env("LOKI_HTTP_PORT", loki_http.to_string()).env("LOKI_GRPC_PORT", loki_grpc.to_string());
        let mut loki_daemon = start("loki", &mut command, &folder, cgroup.as_ref())?;

        let directory = cgroup.as_ref().map(|cgroup| cgroup.add("collector")).transpose()?;
        let ports = collector::Ports { grpc, http, health, metrics };
        let mut collector = Collector::new(folder.as_ref(), directory, ports)?;
        collector.command.args(collector_flags).env("LOKI_ENDPOINT", format!("{}/otlp", loki.url));
        collector.start()?;
        loki_daemon.wait_ready(READY, || loki.is_ready())?;
        let (otlp_endpoint, otlp_http_endpoint) = (collector.endpoint(), local(http));
        Ok(Self { otlp_endpoint, otlp_http_endpoint, loki, collector, loki_daemon, cgroup, _folder: folder })
    }

    /// Kills the Collector.
    ///
    /// # Errors
    /// It cannot be killed.
    pub fn kill_collector(&mut self) -> Result<()> {
        self.collector.kill()
    }

    /// Starts the Collector again where it was killed; returns when it is ready.
    ///
    /// # Errors
    /// See [`Self::start`].
    pub fn start_collector(&mut self) -> Result<()> {
        self.collector.start()
    }

    /// The value of one of the Collector's own metrics, all labels added up.
    ///
    /// # Errors
    /// It does not answer.
    pub fn collector_metric(&self, name: &str) -> Result<u64> {
        self.collector.metric(name)
    }

    /// The cgroup that holds both, as `--exclude-cgroup` takes it; nothing where none could be created.
    #[must_use]
    pub fn cgroup(&self) -> Option<&Path> {
        self.cgroup.as_ref().map(Cgroup::path)
    }

    /// Process ids of the Collector (0: it was killed) and of Loki.
    #[must_use]
    pub fn pids(&self) -> [u32; 2] {
        [self.collector.pid(), self.loki_daemon.pid()]
    }
}

impl Ports {
    fn choose(self) -> Result<[u16; 6]> {
        if self == Self::Standard {
            return Ok([4317, 4318, 13133, 8888, 3100, 9095]);
        }
        free_ports()
    }
}

/// All are held until the last one is known, so they differ.
///
/// # Errors
/// None are free.
pub(crate) fn free_ports<const COUNT: usize>() -> Result<[u16; COUNT]> {
    let listeners = [(); COUNT].map(|()| TcpListener::bind("127.0.0.1:0"));
    let mut ports = [0; COUNT];
    for (port, listener) in ports.iter_mut().zip(&listeners) {
        let listener = listener.as_ref().map_err(|error| anyhow::anyhow!("listen on loopback: {error}"))?;
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}

fn start(name: &str, command: &mut Command, folder: &Folder, cgroup: Option<&Cgroup>) -> Result<Daemon> {
    let cgroup = cgroup.map(|cgroup| cgroup.add(name)).transpose()?;
    Daemon::start(name, command, folder.as_ref(), cgroup.as_deref())
}

fn state(folder: &Folder, name: &str) -> Result<PathBuf> {
    let path = folder.as_ref().join(name);
    fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
    Ok(path)
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

fn local(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}
