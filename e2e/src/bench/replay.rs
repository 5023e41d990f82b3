//! Records of the ring buffer at a pace, through the exporter's own pipeline, batches, journal and shipping, to a receiver.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Parser as _;
use inotrail::app::export::Export;
use inotrail::app::shipping::Shipping;
use inotrail::config;
use inotrail::config::args::{Args, Command};
use inotrail::config::choice::TraceOutput;
use inotrail::filter::Filter;
use inotrail::loss::Uuid;
use inotrail::metrics::{Dropped, Metrics};
use inotrail::pipeline::Output;
use inotrail::route::Route;
use inotrail::sensor::DRAIN_MAX;
use inotrail::sink::{Limits, Printer, Sink};
use serde::{Deserialize, Serialize};

use super::path::{Way, node};
use super::usage;

/// What became of so many records.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Replayed {
    /// Records that were to be taken.
    pub made: u64,
    /// Of these, the ones for which a ring of the default size would have had no room: they were not taken.
    pub ring_full: u64,
    /// Acknowledged by the receiver.
    pub delivered: u64,
    /// Lost behind the ring, for any reason.
    pub dropped: u64,
    /// From the first record to the last acknowledgement.
    pub seconds: f64,
    /// Processor time of this process from the first record on.
    pub cpu_seconds: f64,
}

/// Gives records to the pipeline at so many a second (0: as fast as it takes them), `made` in all, and waits for all
/// acknowledgements. `arguments` are those of `inotrail run`, of which what is about the sensor means nothing.
///
/// # Errors
/// The arguments are wrong, or there is no spool.
pub fn replay(rate: u64, made: u64, arguments: &[String]) -> Result<Replayed> {
    let config = config(arguments)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let _entered = runtime.enter();
    let metrics = Arc::new(Metrics::default());
    let (shipping, _) = Shipping::start(&config.shipping, Uuid(1), &metrics, None)?;
    let export = Export::new(vec![Route::default()], config.shipping.batch, &node(), shipping.journal.clone());
    let mut way = Way::counted(export, &metrics);
    let (start, before) = (Instant::now(), usage::cpu_seconds(std::process::id())?);
    let ring_full = pour(&mut way, rate, made, config.sensor.ring_bytes as usize, config.sensor.drain_interval);
    way.into_output().finish();
    runtime.block_on(shipping.drain())?;
    let seconds = start.elapsed().as_secs_f64();
    let dropped = Dropped::ALL.iter().map(|reason| metrics.dropped(*reason).get()).sum();
    let cpu_seconds = usage::cpu_seconds(std::process::id())? - before;
    Ok(Replayed { made, ring_full, delivered: metrics.delivered.get(), dropped, seconds, cpu_seconds })
}

/// Writes the same to a file, as lines of flat JSON.
///
/// # Errors
/// It cannot be written.
pub fn lines(rate: u64, made: u64, file: &Path) -> Result<()> {
    let out = BufWriter::with_capacity(64 << 10, File::create(file)?);
    let sink = Sink::new(out, TraceOutput::Json, node(), false, None);
    let mut way = Way::new(Printer::new(sink, Filter::default(), Limits::default()));
    // No ring is there that could be full.
    pour(&mut way, rate, made, usize::MAX, Duration::from_millis(5));
    way.into_output().finish()?;
    Ok(())
}

fn config(arguments: &[String]) -> Result<config::Run> {
    let given = ["inotrail", "run", "--runtime", "none", "--kubernetes", "never"].map(str::to_owned);
    match Args::try_parse_from(given.iter().chain(arguments))?.command {
        Command::Run(args) => Ok((*args).try_into()?),
        _ => bail!("arguments of `inotrail run` are wanted"),
    }
}

/// As the sensor's thread does it. Returns how many found no room in the ring.
fn pour<O: Output>(way: &mut Way<O>, rate: u64, made: u64, ring_bytes: usize, interval: Duration) -> u64 {
    let room = (ring_bytes / way.bytes_per_record()) as u64;
    let (start, mut taken, mut ring_full) = (Instant::now(), 0, 0);
    while taken + ring_full < made {
        let due = if rate == 0 { made } else { made.min((start.elapsed().as_secs_f64() * rate as f64) as u64) };
        let mut waits = due - taken - ring_full;
        if rate > 0 && waits > room {
            ring_full += waits - room;
            waits = room;
        }
        let part = waits.min(DRAIN_MAX as u64);
        if way.drain(part as usize).is_break() {
            break;
        }
        taken += part;
        if part == waits {
            thread::sleep(interval);
        }
    }
    ring_full
}
