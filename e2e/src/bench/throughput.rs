//! How much the exporter takes: records of the ring buffer at a pace, and real opens, faster and faster, until some are not told
//! one by one; and whether the books close beyond that.

use std::fmt;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;

use super::goal::{Goal, Row, Table};
use super::load::Load;
use super::output::Output;
use super::replay::Replayed;
use super::target::{Target, To};
use super::{build, usage};
use crate::exporter::{EACH, Exporter};
use crate::interrupt;

/// Until everything has arrived.
const LIMIT: Duration = Duration::from_secs(600);
/// Opens a second that are tried, one after the other.
const STEPS: [u32; 8] = [20_000, 40_000, 60_000, 80_000, 100_000, 150_000, 200_000, 300_000];
/// A load that makes less than this part of its opens in time is no faster.
const KEPT: f64 = 0.9;
/// More than is told one by one anywhere.
const BEYOND: u32 = 2_000_000;
/// Seconds' worth of it, which take longer.
const BEYOND_SECONDS: u32 = 2;

/// `e2e bench throughput`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Records a second
    #[arg(long, default_value_t = 200_000)]
    rate: u32,
    /// Seconds of them
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// For so many seconds each rate of real opens is tried
    #[arg(long, default_value_t = 10)]
    step_seconds: u32,
    #[command(flatten)]
    output: Output,
}

/// What the README's table is written by.
const WRITER: &str = "e2e bench throughput --readme";

/// All that is known in the end.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    replayed: Replayed,
    /// Processor time of the Collector meanwhile, seconds.
    collector_cpu_seconds: f64,
    opens: Vec<Opened>,
    beyond: Opened,
    pub(super) figures: Table,
}

/// What became of real opens.
#[derive(Clone, Copy, Debug, Serialize)]
struct Opened {
    made: u64,
    /// As many as were made a second.
    rate: f64,
    /// Accesses in acknowledged records.
    told: u64,
    /// These records, with those of losses. They are as many as accesses where each was told alone.
    records: u64,
    lost: u64,
}

impl Args {
    /// Prints what becomes of records that are replayed through the exporter's own pipeline and shipping to a real Collector, the
    /// highest rate of real opens by processes in containers that the exporter tells one by one, and the books beyond that.
    ///
    /// # Errors
    /// Something does not run here, or an access is neither told nor told as lost.
    pub fn run(&self) -> Result<()> {
        self.output.tell(&self.measure()?, WRITER)
    }

    /// # Errors
    /// See [`Self::run`].
    pub(super) fn measure(&self) -> Result<Report> {
        let (replayed, collector_cpu_seconds) = self.replay()?;
        let mut opens = Vec::new();
        for rate in STEPS {
            let opened = opened(To::Nop, rate, self.step_seconds)?;
            opens.push(opened);
            if !opened.is_told_alone() || opened.rate < KEPT * f64::from(rate) {
                break;
            }
        }
        let beyond = opened(To::Receiver, BEYOND, BEYOND_SECONDS)?;
        let what = format!("{} records a second for {} s, and real opens", self.rate, self.seconds);
        let figures = Table { what, peer: None, rows: rows(&replayed, &opens, beyond) };
        Ok(Report { replayed, collector_cpu_seconds, opens, beyond, figures })
    }

    /// Also returns the Collector's processor time.
    fn replay(&self) -> Result<(Replayed, f64)> {
        let program = build("release", &["bench-replay"])?.join("bench-replay");
        let folder = tempfile::tempdir()?;
        let target = Target::start(To::Nop, folder.path())?;
        let records = u64::from(self.rate) * u64::from(self.seconds);
        eprintln!("{records} records, {} a second", self.rate);
        let before = usage::cpu_seconds(target.pid())?;
        let output = Command::new(program)
            .args([self.rate.to_string(), records.to_string()])
            .args(["--endpoint", &target.endpoint()])
            .output()
            .context("run bench-replay")?;
        ensure!(output.status.success(), "bench-replay: {}", String::from_utf8_lossy(&output.stderr));
        let replayed: Replayed = serde_json::from_slice(&output.stdout).context("read what bench-replay says")?;
        ensure!(
            replayed.delivered + replayed.dropped + replayed.ring_full == replayed.made,
            "the books do not close: {replayed:?}"
        );
        Ok((replayed, usage::cpu_seconds(target.pid())? - before))
    }
}

/// Opens files in ten containers at so many a second, under an exporter as built for release.
fn opened(to: To, rate: u32, seconds: u32) -> Result<Opened> {
    eprintln!("{rate} opens a second");
    let folder = tempfile::tempdir()?;
    let target = Target::start(to, folder.path())?;
    let mut load = Load::new(rate, seconds)?;
    let mut command = Command::new(build("release", &["inotrail"])?.join("inotrail"));
    // Nobody can name these containers.
    command.args(["run", "--runtime", "none", "--resolve-timeout", "10ms", "--endpoint", &target.endpoint()]);
    command.args(EACH).arg("--cgroup-root").arg(load.cgroup());
    let exporter = Exporter::start(command, folder.path(), "/readyz")?;
    let start = Instant::now();
    load.start()?;
    let made = load.wait()?;
    let rate = made as f64 / start.elapsed().as_secs_f64();
    let (told, lost) = interrupt::wait_for("the end of the books", LIMIT, || {
        let (told, lost) =
            (exporter.metric("inotrail_events_delivered_total")?, exporter.metric("inotrail_dropped_total")?);
        Ok((told + lost >= made).then_some((told, lost)))
    })?;
    ensure!(told + lost == made, "{made} opens: {told} told and {lost} lost");
    if let Some(received) = target.received() {
        // A loss is told a moment after it is counted.
        let closed =
            || (target.received().is_some_and(|received| received.accesses + received.lost() >= made)).then_some(());
        interrupt::wait_for("losses that were told", LIMIT, || Ok(closed()))?;
        let received = target.received().unwrap_or(received);
        ensure!(received.accesses == told && received.lost() == lost, "{told} told and {lost} lost: {received:?}");
    }
    let records = exporter.metric("inotrail_destination_records_total")?;
    Ok(Opened { made, rate, told, records, lost })
}

fn rows(replayed: &Replayed, opens: &[Opened], beyond: Opened) -> Vec<Row> {
    let most = opens.iter().filter(|opened| opened.is_told_alone()).map(|opened| opened.rate).fold(0.0, f64::max);
    vec![
        Row::new(
            "Replayed records that were lost",
            (replayed.made - replayed.delivered) as f64,
            None,
            Some(Goal::AtMost(0.0)),
        ),
        Row::new("Real opens a second, all told one by one", most, None, None),
        Row::new(
            "Beyond: opens that are neither told nor told as lost",
            (beyond.made - beyond.told - beyond.lost) as f64,
            None,
            Some(Goal::AtMost(0.0)),
        ),
    ]
}

impl Opened {
    fn is_told_alone(&self) -> bool {
        self.lost == 0 && self.records == self.made
    }
}

impl fmt::Display for Report {
    /// In Markdown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Replayed { made, delivered, dropped, ring_full, seconds, cpu_seconds } = self.replayed;
        writeln!(f, "{}", self.figures)?;
        writeln!(
            f,
            "Of {made} replayed records {delivered} were delivered, {:.0} a second, {dropped} dropped, and {ring_full} had no room in \
             the ring; the exporter took {cpu_seconds:.1} s of a processor for that, the Collector {:.1}.\n",
            delivered as f64 / seconds,
            self.collector_cpu_seconds
        )?;
        writeln!(f, "| Real opens a second | Made | Told | in records | Lost |\n|---|---|---|---|---|")?;
        self.opens.iter().chain([&self.beyond]).try_for_each(|opened| {
            let Opened { made, rate, told, records, lost } = opened;
            writeln!(f, "| {rate:.0} | {made} | {told} | {records} | {lost} |")
        })
    }
}
