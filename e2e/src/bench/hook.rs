//! What a record costs the kernel, and what its delivery costs: ours beside programs as they are commonly published.
//!
//! Measured as [`super::miss`] does it: all figures are instructions.

mod ids;
mod report;
mod rows;

use std::path::Path;

use anyhow::{Result, bail};
use clap::Parser;

use super::miss::{self, TOLERANCE_PERCENT, run_guest};
use crate::docs;

pub use rows::measure;

use report::Report;

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
    /// One JSON object instead of the table
    #[arg(long)]
    json: bool,
    /// Write the README's table
    #[arg(long)]
    readme: bool,
}

impl Args {
    /// Prints what a record adds to a call of the hook, and what it costs to deliver one.
    ///
    /// # Errors
    /// The machine cannot be made, a program does not do what it should, or the two baselines differ too much.
    #[expect(clippy::print_stdout, reason = "the figures are what was asked for")]
    pub fn run(&self) -> Result<()> {
        let ids_only = miss::object("inotrail-ebpf", "inotrail-programs", "ids-only", &["--cfg=ids_only"])?;
        let mut rows = Vec::new();
        let release = run_guest(&self.kernel, "hook", &[(IDS_ONLY, &ids_only)], &mut |line| match rows::parse(line) {
            Some(row) => rows.push(row),
            None => eprintln!("hook | {line}"),
        })?;
        let report = Report::new(release, &rows)?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&report)?);
        } else {
            println!("{report}");
        }
        if !report.valid {
            bail!("the run is not valid: the baselines differ by more than {TOLERANCE_PERCENT} %");
        }
        if self.readme {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("README.md");
            let text = std::fs::read_to_string(&file)?;
            std::fs::write(&file, docs::replaced(&text, WRITER, &format!("\n{report}\n"))?)?;
        }
        Ok(())
    }
}
