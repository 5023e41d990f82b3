//! What a record costs the kernel, and what its delivery costs: ours beside programs as they are commonly published.
//!
//! Measured as [`super::miss`] does it: all figures are instructions.

mod ids;
mod report;
mod rows;

use anyhow::{Result, ensure};
use clap::Parser;

use super::miss::{self, TOLERANCE_PERCENT, run_guest};
use super::output::Output;

pub use rows::measure;

pub(super) use report::Report;

/// Where the machine has our programs as they would be without paths.
const IDS_ONLY: &str = "/ids_only.o";
/// What the README's table is written by.
const WRITER: &str = "e2e bench hook --readme";

/// `e2e bench hook`
#[derive(Debug, Parser)]
pub struct Args {
    /// Kernel line
    #[arg(long, default_value = "6.12")]
    kernel: String,
    #[command(flatten)]
    output: Output,
}

impl Args {
    /// Prints what a record adds to a call of the hook, and what it costs to deliver one.
    ///
    /// # Errors
    /// The machine cannot be made, a program does not do what it should, or the two baselines differ too much.
    pub fn run(&self) -> Result<()> {
        self.output.tell(&measured(&self.kernel)?, WRITER)
    }
}

/// # Errors
/// See [`Args::run`].
pub(super) fn measured(kernel: &str) -> Result<Report> {
    let ids_only = miss::object("inotrail-ebpf", "inotrail-programs", "ids-only", &["--cfg=ids_only"])?;
    let mut rows = Vec::new();
    let release = run_guest(kernel, &["hook"], &[(IDS_ONLY, &ids_only)], &mut |line| match rows::parse(line) {
        Some(row) => rows.push(row),
        None => eprintln!("hook | {line}"),
    })?;
    let report = Report::new(release, &rows)?;
    ensure!(report.valid, "the run is not valid: the baselines differ by more than {TOLERANCE_PERCENT} %\n{report}");
    Ok(report)
}
