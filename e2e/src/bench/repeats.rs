//! How many records workloads store in Loki, with equal accesses told in one record and with a record each.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::goal::{Goal, Row, Table};
use super::output::Output;
use crate::cgroup::Cgroup;
use crate::exporter::{self, EACH, Exporter};
use crate::interrupt;
use crate::stack::{self, Stack};

const LIMIT: Duration = Duration::from_secs(120);

/// `e2e bench repeats`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// `--aggregate` of the exporter
    #[arg(long, default_value = "5s")]
    window: String,
    #[command(flatten)]
    output: Output,
}

/// What the README's table is written by.
const WRITER: &str = "e2e bench repeats --readme";

/// What a container does: name, a shell script that is run in an empty folder, and how many times fewer the records should be.
const WORKLOADS: [(&str, &str, Option<Goal>); 3] = [
    (
        "A compiler run: 150 C files of five headers",
        "for i in $(seq 150); do \
           printf '#include <stdio.h>\\n#include <stdlib.h>\\n#include <string.h>\\n#include <unistd.h>\\n#include <sys/socket.h>\\nint f%d(void){return %d;}\\n' $i $i > $i.c; \
         done; for i in $(seq 150); do cc -c $i.c -o $i.o; done",
        Some(Goal::Ratio(10.0)),
    ),
    (
        "A loop that tails a log: 200 times, ten a second",
        "echo one > log; for i in $(seq 200); do tail -n 1 log; sleep 0.1; done",
        Some(Goal::Ratio(10.0)),
    ),
    (
        "A package install: `apt-get download`, `dpkg --extract`",
        "apt-get -q download hello && dpkg --extract hello_*.deb root && test -x root/usr/bin/hello",
        None,
    ),
];

/// What Loki has of one run.
struct Stored {
    records: u64,
    accesses: u64,
}

impl Args {
    /// Prints records and accesses of each workload, run in a cgroup that stands for a container's.
    ///
    /// # Errors
    /// Something does not run here, or Loki has not as many accesses as the exporter has told.
    pub fn run(&self) -> Result<()> {
        self.output.tell(&self.measure()?, WRITER)
    }

    /// # Errors
    /// See [`Self::run`].
    pub(super) fn measure(&self) -> Result<Table> {
        let stack = Stack::start(None, stack::Ports::Free)?;
        let mut rows = Vec::new();
        for (number, (name, script, goal)) in (0u64..).zip(WORKLOADS) {
            eprintln!("{name}");
            let each = stored(&stack, 2 * number, script, &EACH)?;
            ensure!(each.records == each.accesses, "{} records of {} accesses", each.records, each.accesses);
            let together = stored(&stack, 2 * number + 1, script, &["--aggregate", &self.window])?;
            rows.push(Row::new(name, together.records as f64, Some(together.accesses as f64), goal));
        }
        let what = format!("Records in Loki with `--aggregate {}`", self.window);
        Ok(Table { what, peer: Some("Accesses in them".to_owned()), rows })
    }
}

/// Runs the script under an exporter of its own, and asks Loki for all of it.
fn stored(stack: &Stack, number: u64, script: &str, arguments: &[&str]) -> Result<Stored> {
    let folder = tempfile::tempdir()?;
    let cgroup = Cgroup::create_top("inotrail-repeats")?;
    let container = format!("{number:064x}");
    let procs = cgroup.add(&container)?.join("cgroup.procs");
    let mut command = Command::new(exporter::binary()?);
    // Nobody can name this container.
    command.args(["run", "--runtime", "none", "--resolve-timeout", "10ms", "--endpoint", &stack.otlp_endpoint]);
    command.arg("--cgroup-root").arg(cgroup.path()).args(arguments);
    let mut exporter = Exporter::start(command, folder.path(), "/readyz")?;
    work(folder.path(), &procs, script)?;
    // Also tells what is counted and not told yet.
    exporter.daemon.stop();
    let told = told(&exporter.daemon.log())?;
    interrupt::wait_for("all accesses in Loki", LIMIT, || {
        let stored = ask(stack, &container)?;
        ensure!(stored.accesses <= told, "{} accesses in Loki, of {told}", stored.accesses);
        Ok((stored.accesses == told).then_some(stored))
    })
}

/// How many accesses an exporter has told, by its last words.
fn told(log: &str) -> Result<u64> {
    ensure!(log.contains("stopped: 0 dropped"), "accesses are missing: {log}");
    let told = log.rsplit_once("events=").and_then(|(_, rest)| rest.split_whitespace().next()?.parse().ok());
    told.filter(|told| *told > 0).with_context(|| format!("no access was told: {log}"))
}

/// Runs the script in the cgroup.
fn work(folder: &Path, procs: &Path, script: &str) -> Result<()> {
    let empty = folder.join("work");
    fs::create_dir(&empty)?;
    let entered = format!("echo 0 > {} && {script}", procs.display());
    let output = Command::new("sh").args(["-ec", &entered]).current_dir(&empty).output().context("run sh")?;
    ensure!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// All that Loki has of a container.
fn ask(stack: &Stack, container: &str) -> Result<Stored> {
    let of = format!(r#"{{service_name=~".+"}} | container_id="{container}" | otel_event_name="inotrail.file.access""#);
    // Records after accesses: they are complete when these are.
    let accesses = stack.loki.number(&format!("sum(sum_over_time({of} | unwrap inotrail_aggregation_count [1h]))"))?;
    Ok(Stored { accesses, records: stack.loki.number(&format!("sum(count_over_time({of} [1h]))"))? })
}
