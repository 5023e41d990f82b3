//! How long after an access it is found in Loki, through the real exporter, Collector and Loki.

mod watch;

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::build;
use super::goal::{Goal, Row, Table};
use super::output::Output;
use crate::accesses::{base, spawn};
use crate::cgroup::Cgroup;
use crate::exporter::{EACH, Exporter, built};
use crate::interrupt;
use crate::load::Paced;
use crate::stack::{self, Stack};

use watch::{Found, Watch};

/// Until everything is where it belongs.
const LIMIT: Duration = Duration::from_secs(60);
/// Accesses a second of a quiet node, and of one that the goal is for.
const WATCHED: [u32; 2] = [5, 1_000];
/// Of a busy one. All of its records would take Loki's time to look at, so that only requests are counted.
const BUSY: u32 = 20_000;
/// What exporters and Collectors of others do: a flush a second.
const PEER: (&[&str], &[&str]) = (
    &["--batch-interval", "1s"],
    &["--config", "yaml:exporters::otlp_http/loki::sending_queue::batch::flush_timeout: 1s"],
);

/// What the README's table is written by.
const WRITER: &str = "e2e bench latency --readme";

/// `e2e bench latency`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Seconds of each load
    #[arg(long, default_value_t = 30)]
    seconds: u32,
    #[command(flatten)]
    output: Output,
}

/// What one load came to.
struct Seen {
    /// Nothing: nobody looked.
    found: Option<Found>,
    records_per_request: f64,
    requests_per_second: f64,
    bytes_per_record: f64,
}

impl Args {
    /// Prints milliseconds from an access until Loki's answer that has it, and the requests that the exporter makes for that, with
    /// what is shipped and with a flush a second in exporter and Collector.
    ///
    /// # Errors
    /// Something does not run here, or an access is not found.
    pub fn run(&self) -> Result<()> {
        self.output.tell(&self.measure()?, WRITER)
    }

    /// # Errors
    /// See [`Self::run`].
    pub(super) fn measure(&self) -> Result<Table> {
        let (ours, peer) = (self.of(&[], &[])?, self.of(PEER.0, PEER.1)?);
        let rows = ours.iter().zip(&peer).flat_map(|((rate, ours), (_, peer))| rows(*rate, ours, peer)).collect();
        let what = "From an access to Loki's answer that has it".to_owned();
        Ok(Table { what, peer: Some("A flush a second".to_owned()), rows })
    }

    /// All loads, with further flags of the exporter and of the Collector.
    fn of(&self, exporter: &[&str], collector: &[&str]) -> Result<Vec<(u32, Seen)>> {
        let stack = Stack::start_with(None, stack::Ports::Free, &[], collector)?;
        let rates = WATCHED.map(|rate| (rate, true)).into_iter().chain([(BUSY, false)]);
        let seen = (0..).zip(rates).map(|(number, (rate, is_watched))| {
            eprintln!("{rate} accesses a second for {} s {}", self.seconds, exporter.join(" "));
            Ok((rate, self.load(&stack, number, rate, is_watched, exporter)?))
        });
        seen.collect()
    }

    fn load(&self, stack: &Stack, number: u32, rate: u32, is_watched: bool, arguments: &[&str]) -> Result<Seen> {
        let folder = tempfile::tempdir()?;
        let cgroup = Cgroup::create_top("inotrail-latency")?;
        let container = format!("{number:064x}");
        let procs = cgroup.add(&container)?.join("cgroup.procs");
        let mut command = Command::new(build("release", &["inotrail"])?.join("inotrail"));
        // Nobody can name this container.
        command.args(["run", "--runtime", "none", "--resolve-timeout", "10ms", "--endpoint", &stack.otlp_endpoint]);
        command.args(EACH).arg("--cgroup-root").arg(cgroup.path()).args(arguments);
        let exporter = Exporter::start(command, folder.path(), "/readyz")?;
        let paced = Paced { rate, seconds: self.seconds };
        let mut watch = is_watched.then(|| Watch::new(&stack.loki, &container, paced.opens()));
        let mut guest = spawn(&built("guest")?, &paced.arguments(), &procs)?;
        // The guest ends by itself, whatever comes between.
        let found = watch.as_mut().map(Watch::run).transpose();
        let status = guest.wait()?;
        std::fs::remove_dir(base()).ok();
        let found = found?;
        ensure!(status.success(), "the guest: {status}");
        Self::requests(&exporter, paced, found)
    }

    fn requests(exporter: &Exporter, paced: Paced, found: Option<Found>) -> Result<Seen> {
        let records = interrupt::wait_for("delivery of all records", LIMIT, || {
            let delivered = exporter.metric("inotrail_events_delivered_total")?;
            Ok((delivered >= paced.opens()).then_some(delivered))
        })?;
        let requests = exporter.metric("inotrail_request_duration_seconds_count")? as f64;
        let bytes = exporter.metric("inotrail_exported_bytes_total")? as f64;
        Ok(Seen {
            found,
            records_per_request: records as f64 / requests,
            requests_per_second: requests / f64::from(paced.seconds),
            bytes_per_record: bytes / records as f64,
        })
    }
}

fn rows(rate: u32, ours: &Seen, peer: &Seen) -> Vec<Row> {
    let mut rows = Vec::new();
    if let (Some(ours), Some(peer)) = (&ours.found, &peer.found) {
        for (name, percent) in [("median", 50), ("90 %", 90), ("99 %", 99), ("longest", 100)] {
            let goal = (rate == WATCHED[1] && percent == 99).then_some(Goal::AtMost(250.0));
            rows.push(Row::new(
                &format!("{rate} accesses/s: {name}, ms"),
                ours.milliseconds(percent),
                Some(peer.milliseconds(percent)),
                goal,
            ));
        }
        rows.push(Row::new(
            &format!("{rate} accesses/s: an answer of Loki, median, ms"),
            ours.answer,
            Some(peer.answer),
            None,
        ));
    }
    let mut row =
        |what: &str, ours, peer| rows.push(Row::new(&format!("{rate} accesses/s: {what}"), ours, Some(peer), None));
    row("requests a second", ours.requests_per_second, peer.requests_per_second);
    row("records of a request", ours.records_per_request, peer.records_per_request);
    row("bytes of a record, compressed", ours.bytes_per_record, peer.bytes_per_record);
    rows
}
