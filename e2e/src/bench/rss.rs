//! Memory of a node's exporter, in pages that are mapped, with many pods and many accesses.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::build;
use super::goal::{Goal, Row, Table};
use super::output::Output;
use super::policies::{MIB, Memory};
use super::target::{Target, To};
use crate::accesses::{base, spawn};
use crate::cgroup::Cgroup;
use crate::cgroup::memory::MemoryCgroup;
use crate::exporter::{EACH, Exporter, built};
use crate::interrupt;
use crate::load::{Opens, Paced};

const LIMIT: Duration = Duration::from_secs(120);
/// Containers that make the load.
const BUSY: usize = 10;
/// Files that each of the others opens.
const OPENS: usize = 10;

/// What the README's table is written by.
const WRITER: &str = "e2e bench rss --readme";

/// `e2e bench rss`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Pods, each of one container, told of as a runtime's hook does
    #[arg(long, default_value_t = 500)]
    pods: usize,
    /// Opens a second, in ten of them
    #[arg(long, default_value_t = 50_000)]
    rate: u32,
    /// For so many seconds
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    #[command(flatten)]
    output: Output,
}

impl Args {
    /// Prints memory of an exporter as built for release: the most that was ever resident, and what it is made of.
    ///
    /// # Errors
    /// Something does not run here, or accesses are missing.
    pub fn run(&self) -> Result<()> {
        self.output.tell(&self.measure()?, WRITER)
    }

    /// # Errors
    /// See [`Self::run`].
    pub(super) fn measure(&self) -> Result<Table> {
        let folder = tempfile::tempdir()?;
        let target = Target::start(To::Nop, folder.path())?;
        let top = Cgroup::create_top("inotrail-rss")?;
        let socket = folder.path().join("hook.sock");
        let mut command = Command::new(build("release", &["inotrail"])?.join("inotrail"));
        command.args(["run", "--runtime", "none", "--kubernetes", "never", "--endpoint", &target.endpoint()]);
        command.args(EACH).arg("--cgroup-root").arg(top.path()).arg("--hook-socket").arg(&socket);
        let memory = MemoryCgroup::new("inotrail-rss")?;
        let exporter = Exporter::start(memory.enter(&command), folder.path(), "/readyz")?;
        let started = Seen::of(&exporter)?;
        let procs = (0..self.pods).map(|number| pod(&top, &socket, number)).collect::<Result<Vec<_>>>()?;
        let mut made = 0;
        for procs in &procs {
            made += one(Opens::new(1, OPENS), procs)?;
        }
        told(&exporter, made)?;
        let named = exporter.metric("inotrail_containers_resolved_total")?;
        ensure!(named >= self.pods as u64, "{named} of {} containers have a name", self.pods);
        let filled = Seen::of(&exporter)?;
        made += self.load(&procs)?;
        told(&exporter, made)?;
        let loaded = Seen::of(&exporter)?;
        fs::remove_dir(base()).ok();
        Ok(self.table([started, filled, loaded], memory.peak()?))
    }

    fn load(&self, procs: &[PathBuf]) -> Result<u64> {
        let paced = Paced { rate: self.rate / BUSY as u32, seconds: self.seconds };
        let guest = built("guest")?;
        let start = |procs: &PathBuf| spawn(&guest, &paced.arguments(), procs);
        let guests = procs.iter().take(BUSY).map(start).collect::<Result<Vec<Child>>>()?;
        let mut made = 0;
        for mut guest in guests {
            let status = guest.wait()?;
            ensure!(status.success(), "the guest: {status}");
            made += paced.opens();
        }
        Ok(made)
    }

    fn table(&self, [started, filled, loaded]: [Seen; 3], charged: u64) -> Table {
        let row = |what: &str, bytes: u64, goal| Row::new(what, bytes as f64 / MIB, None, goal);
        let pods = format!("with {} pods", self.pods);
        let rows = vec![
            row("Resident, most ever", loaded.most, Some(Goal::AtMost(24.0))),
            row("Charged to its container, most ever (what a limit counts)", charged, None),
            row("Resident, most until it was ready", started.most, None),
            row("Resident when it was ready", started.now, None),
            row(&format!("Resident {pods}"), filled.now, None),
            row(&format!("Resident {pods} after {} accesses/s for {} s", self.rate, self.seconds), loaded.now, None),
            row("Of this: ring buffer and maps", loaded.parts.buffers, None),
            row("Of this: heap", loaded.parts.heap, None),
            row("Of this: program's file", loaded.parts.program, None),
        ];
        Table { what: "Memory of an exporter, MiB".to_owned(), peer: None, rows }
    }
}

/// A pod's container, which its runtime's hook tells of. Returns the file by which a process enters it.
fn pod(top: &Cgroup, socket: &Path, number: usize) -> Result<PathBuf> {
    let id = format!("{:064x}", number + 1);
    let annotations = json!({
        "io.kubernetes.cri.container-type": "container",
        "io.kubernetes.cri.container-name": "ledger",
        "io.kubernetes.cri.image-name": "registry.example.org/payments/ledger:1.24.3",
        "io.kubernetes.cri.sandbox-name": format!("ledger-7f8d9c6b5-{number:05x}"),
        "io.kubernetes.cri.sandbox-namespace": format!("team-{}", number % 7),
        "io.kubernetes.cri.sandbox-uid": format!("7d3f5f0a-2f3b-4d58-9c1f-{number:012x}"),
    });
    let procs = top.add(&id)?.join("cgroup.procs");
    let state = json!({
        "ociVersion": "1.0.2", "id": id, "status": "created", "pid": std::process::id(), "bundle": "/",
        "annotations": annotations,
    });
    interrupt::wait_for("answer of the exporter", LIMIT, || {
        Ok(inotrail_oci_hook::tell(socket, Cursor::new(state.to_string())).ok())
    })?;
    Ok(procs)
}

fn one(opens: Opens, procs: &Path) -> Result<u64> {
    let status = spawn(&built("guest")?, &opens.arguments(), procs)?.wait()?;
    ensure!(status.success(), "the guest: {status}");
    Ok((opens.threads * opens.each) as u64)
}

fn told(exporter: &Exporter, made: u64) -> Result<()> {
    interrupt::wait_for("all accesses", LIMIT, || {
        let told = exporter.metric("inotrail_events_delivered_total")? + exporter.metric("inotrail_dropped_total")?;
        Ok((told >= made).then_some(()))
    })
}

/// Bytes.
#[derive(Clone, Copy, Debug)]
struct Seen {
    most: u64,
    now: u64,
    parts: Memory,
}

impl Seen {
    fn of(exporter: &Exporter) -> Result<Self> {
        let status = fs::read_to_string(format!("/proc/{}/status", exporter.daemon.pid()))?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
            Ok::<_, anyhow::Error>(kib.with_context(|| format!("no {name} in {status}"))? << 10)
        };
        Ok(Self { most: field("VmHWM:")?, now: field("VmRSS:")?, parts: Memory::of(exporter)? })
    }
}
