//! What a Collector and the Loki behind it take for the records of many exporters.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;

use super::senders;
use crate::bench::usage::{cpu_seconds, peak_bytes};
use crate::interrupt;
use crate::stack::{Ports, Stack};

/// Until all is in Loki.
const LIMIT: Duration = Duration::from_secs(120);
/// How long it is watched what both take for nothing.
const IDLE: Duration = Duration::from_secs(5);

/// Both servers, as the project ships them, on this machine.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Behind {
    pub(super) exporters: usize,
    pub(super) records: u64,
    pub(super) requests: u64,
    /// Bytes that exporters send for a record, compressed.
    pub(super) wire_bytes: f64,
    /// Bytes of Loki's chunks for a record.
    pub(super) stored_bytes: f64,
    /// Processor time for a record, beyond what an idle one takes, in microseconds.
    pub(super) collector_us: f64,
    pub(super) loki_us: f64,
    /// Most memory, in bytes.
    pub(super) collector_peak: u64,
    pub(super) loki_peak: u64,
}

impl Behind {
    /// Measures both with so many exporters, which send `rate` records a second together, for `seconds`.
    ///
    /// # Errors
    /// One does not start, or Loki has not all records.
    pub(super) fn measure(exporters: usize, rate: usize, seconds: u32) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let stack = Stack::start(Some(folder.path()), Ports::Free)?;
        sleep(IDLE);
        let times = || -> Result<[f64; 2]> {
            let [collector, loki] = stack.pids();
            Ok([cpu_seconds(collector)?, cpu_seconds(loki)?])
        };
        let before_idle = times()?;
        sleep(IDLE);
        let (before, started) = (times()?, std::time::Instant::now());
        let sent = senders::send(&stack.otlp_endpoint, exporters, rate, seconds)?;
        interrupt::wait_for("all records in Loki", LIMIT, || {
            Ok((stack.loki.metric("loki_distributor_lines_received_total")? >= sent.records).then_some(()))
        })?;
        let refused = stack.loki.metric("loki_discarded_samples_total")?;
        ensure!(refused == 0, "Loki refused {refused} records");
        store(&stack)?;
        let (after, took) = (times()?, started.elapsed().as_secs_f64());
        let per_record = |number: usize| {
            let idle = (before[number] - before_idle[number]) * took / IDLE.as_secs_f64();
            (after[number] - before[number] - idle) * 1e6 / sent.records as f64
        };
        let [collector, loki] = stack.pids();
        Ok(Self {
            exporters,
            records: sent.records,
            requests: sent.requests,
            wire_bytes: sent.wire_bytes as f64 / sent.records as f64,
            stored_bytes: bytes(&folder.path().join("loki/chunks"))? as f64 / sent.records as f64,
            collector_us: per_record(0),
            loki_us: per_record(1),
            collector_peak: peak_bytes(collector)?,
            loki_peak: peak_bytes(loki)?,
        })
    }

    /// Records of a request.
    pub(super) fn records_per_request(&self) -> f64 {
        self.records as f64 / self.requests as f64
    }
}

/// Has Loki write all that it has into its store; it takes nothing any more.
fn store(stack: &Stack) -> Result<()> {
    let url = format!("{}/ingester/shutdown?flush=true&terminate=false", stack.loki.url);
    ureq::post(url).send_empty().context("have Loki write its chunks").map(drop)
}

/// Of all files below a folder.
fn bytes(folder: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let entry = entry?;
        sum += if entry.file_type()?.is_dir() { bytes(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(sum)
}
