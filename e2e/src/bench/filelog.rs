//! What an event costs a node: the exporter, from the ring buffer's record to the acknowledged request, beside a Collector that
//! tails the same events as lines of JSON, which somebody else has found out and written.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::goal::{Goal, Row, Table};
use super::output::Output;
use super::replay::Replayed;
use super::target::{Target, To};
use super::{build, usage};
use crate::daemon::Daemon;
use crate::{interrupt, stack, tools};

/// Until all records were taken.
const LIMIT: Duration = Duration::from_secs(120);
/// Each in turn so often; the least counts, as whatever else the machine does only adds.
const PAIRS: usize = 5;

/// `e2e bench filelog`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Records a second
    #[arg(long, default_value_t = 20_000)]
    rate: u64,
    /// Records of one run
    #[arg(long, default_value_t = 100_000)]
    records: u64,
    #[command(flatten)]
    output: Output,
}

/// What the README's table is written by.
const WRITER: &str = "e2e bench filelog --readme";

impl Args {
    /// Prints the processor time of an event in both, the least of [`PAIRS`] runs. Both compress by zstd and send by gRPC to the same
    /// real Collector, whose time counts for neither; time that a start takes does not count either.
    ///
    /// # Errors
    /// Something does not run here, or not all records arrive.
    pub fn run(&self) -> Result<()> {
        self.output.tell(&self.measure()?, WRITER)
    }

    /// # Errors
    /// See [`Self::run`].
    pub(super) fn measure(&self) -> Result<Table> {
        let folder = build("release", &["bench-lines", "bench-replay"])?;
        let scratch = tempfile::tempdir()?;
        let target = Target::start(To::Nop, scratch.path())?;
        let (mut ours, mut peer) = (f64::MAX, f64::MAX);
        for pair in 1..=PAIRS {
            ours = ours.min(self.ours(&folder, &target)?);
            peer = peer.min(self.peer(&folder, &target, scratch.path())?);
            eprintln!("{pair} of {PAIRS}: at least {ours:.2} and {peer:.2} s");
        }
        let nanoseconds = |seconds: f64| seconds * 1e9 / self.records as f64;
        let row = Row::new(
            "Processor time of an event, ns",
            nanoseconds(ours),
            Some(nanoseconds(peer)),
            Some(Goal::Ratio(30.0)),
        );
        let what = format!("{} events/s, from where they are to a Collector", self.rate);
        Ok(Table { what, peer: Some("Collector with filelog and json_parser".to_owned()), rows: vec![row] })
    }

    /// Processor seconds.
    fn ours(&self, folder: &Path, target: &Target) -> Result<f64> {
        let output = Command::new(folder.join("bench-replay"))
            .args([self.rate.to_string(), self.records.to_string()])
            .args(["--endpoint", &target.endpoint()])
            .output()
            .context("run bench-replay")?;
        ensure!(output.status.success(), "bench-replay: {}", String::from_utf8_lossy(&output.stderr));
        let replayed: Replayed = serde_json::from_slice(&output.stdout).context("read what bench-replay says")?;
        ensure!(replayed.delivered == self.records, "not all arrived: {replayed:?}");
        Ok(replayed.cpu_seconds)
    }

    /// The same of a Collector that tails a file.
    fn peer(&self, folder: &Path, target: &Target, scratch: &Path) -> Result<f64> {
        let lines = scratch.join("lines.json");
        if lines.exists() {
            std::fs::remove_file(&lines)?;
        }
        let [health] = stack::free_ports()?;
        let mut command = Command::new(tools::collector_filelog()?.join("otelcol-filelog"));
        command.args(["--config", &format!("yaml:{}", config(&lines, &target.endpoint(), health))]);
        let mut collector = Daemon::start("filelog", &mut command, scratch, None)?;
        let url = format!("http://127.0.0.1:{health}");
        collector.wait_ready(stack::READY, || ureq::get(&url).call().is_ok())?;
        let (before, accepted) = (usage::cpu_seconds(collector.pid())?, target.accepted()?);
        let status = Command::new(folder.join("bench-lines"))
            .args([self.rate.to_string(), self.records.to_string()])
            .arg(&lines)
            .status()
            .context("run bench-lines")?;
        ensure!(status.success(), "bench-lines: {status}");
        interrupt::wait_for("all lines at the Collector", LIMIT, || {
            Ok((target.accepted()? >= accepted + self.records).then_some(()))
        })?;
        Ok(usage::cpu_seconds(collector.pid())? - before)
    }
}

/// Defaults, but for where from and where to, and requests as the exporter's: compressed, and of as many records. By default all of
/// 200 ms are one, which can be more than a receiver takes (4 MiB).
fn config(lines: &Path, endpoint: &str, health: u16) -> String {
    format!(
        "{{extensions: {{health_check: {{endpoint: '127.0.0.1:{health}'}}}}, \
          receivers: {{file_log: {{include: ['{}'], start_at: beginning, operators: [{{type: json_parser}}, {{type: move, from: attributes.body, to: body}}]}}}}, \
          exporters: {{otlp_grpc: {{endpoint: '{endpoint}', compression: zstd, tls: {{insecure: true}}, \
                                    sending_queue: {{batch: {{min_size: 2000, max_size: 2000}}}}}}}}, \
          service: {{extensions: [health_check], telemetry: {{metrics: {{level: none}}}}, \
                     pipelines: {{logs: {{receivers: [file_log], exporters: [otlp_grpc]}}}}}}}}",
        lines.display()
    )
}
