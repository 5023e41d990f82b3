//! What an access that nobody wants costs the kernel: ours beside programs as they are commonly published.
//!
//! Measured in a machine whose clock goes on by a nanosecond with each instruction, so that its nanoseconds are instructions,
//! kernel and readers together, and do not depend on what else this one does.

mod machine;
mod ours;
mod peers;
mod report;
mod rows;

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Parser;

use crate::kernels::Line;

#[path = "../../../exporter/build/bpf.rs"]
mod bpf;

pub use rows::measure;

use report::Report;

/// Where the machine has the cookbook's programs.
const COOKBOOK: &str = "/cookbook.o";

/// `e2e bench miss`
#[derive(Debug, Parser)]
pub struct Args {
    /// Kernel line
    #[arg(long, default_value = "6.12")]
    kernel: String,
    /// One JSON object instead of the table
    #[arg(long)]
    json: bool,
}

impl Args {
    /// Prints what the programs add to one open and close, unwanted and wanted.
    ///
    /// # Errors
    /// The machine cannot be made, a program does not do what it should, or the two baselines differ too much.
    #[expect(clippy::print_stdout, reason = "the figures are what was asked for")]
    pub fn run(&self) -> Result<()> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
        let programs = build(&root)?;
        let cookbook = cookbook(&root)?;
        let kernel = Line::named(&self.kernel, env::consts::ARCH)?.fetch(false)?;
        let mut rows = Vec::new();
        machine::run(&kernel, &programs, &[(COOKBOOK, &cookbook)], "miss", &mut |line| match rows::parse(line) {
            Some(row) => rows.push(row),
            None => eprintln!("miss | {line}"),
        })?;
        let report = Report::new(kernel.release, &rows)?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&report)?);
        } else {
            print!("{report}");
        }
        if !report.valid {
            bail!("the run is not valid: the baselines differ by more than {} %", report::TOLERANCE_PERCENT);
        }
        Ok(())
    }
}

/// Builds the guest as it would be released: readers count too.
fn build(root: &Path) -> Result<PathBuf> {
    eprintln!("building the guest");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["build", "--quiet", "--release", "--package", "e2e", "--bin", "init", "--bin", "guest"];
    let status = Command::new(cargo).args(arguments).current_dir(root).status().context("run cargo")?;
    ensure!(status.success(), "the guest does not build: {status}");
    Ok(target(root).join("release"))
}

/// Builds the cookbook's programs for the kernels of this architecture, as ours are built.
fn cookbook(root: &Path) -> Result<PathBuf> {
    let object = bpf::Object {
        workspace: root,
        package: "cookbook",
        program: "cookbook-programs",
        architecture: env::consts::ARCH,
    };
    object.compile(&target(root).join("cookbook"))
}

fn target(root: &Path) -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}
