//! What the programs cost a compiler: many headers, and work between them.
//!
//! Measured as [`super::miss`] does it: all figures are instructions, of the whole machine.

mod guest;

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Parser;
use serde::Serialize;

use super::goal::{self, Goal, Table};
use super::miss::{TOLERANCE_PERCENT, run_guest_with};
use super::output::Output;

pub use guest::measure;
use guest::{Row, Watched};

/// Where the machine has the compiler proper.
const COMPILER: &str = "/cc1";
/// Where it has what is compiled.
const SOURCE: &str = "/source.c";
/// Where headers are below `/usr/include` on Debian.
const MULTIARCH: &str = "x86_64-linux-gnu";
/// What the README's table is written by.
const WRITER: &str = "e2e bench compile --readme";

/// `e2e bench compile`
#[derive(Debug, Parser)]
pub struct Args {
    /// Kernel line
    #[arg(long, default_value = "6.12")]
    kernel: String,
    #[command(flatten)]
    output: Output,
}

/// What the run found.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Instructions of one build without programs, at the start and at the end.
    baseline: [f64; 2],
    valid: bool,
    /// Accesses that one build makes.
    accesses: u64,
    /// In percent of a build.
    pub(super) figures: Table,
}

impl Args {
    /// Prints what the programs add to the build of a few C files.
    ///
    /// # Errors
    /// `gcc` is missing, the machine cannot be made, a program does not do what it should, or the two baselines differ too much.
    pub fn run(&self) -> Result<()> {
        self.output.tell(&measured(&self.kernel)?, WRITER)
    }
}

/// # Errors
/// See [`Args::run`].
pub(super) fn measured(kernel: &str) -> Result<Report> {
    let compiler = compiler()?;
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bench/compile/source.c");
    let headers = headers(&source)?;
    let files: Vec<_> = headers.iter().filter_map(|header| Some((header.to_str()?, &**header))).collect();
    let files = [&[(SOURCE, &*source)], &files[..]].concat();
    let mut rows = Vec::new();
    let each = &mut |line: &str| match guest::parse(line) {
        Some(row) => rows.push(row),
        None => eprintln!("compile | {line}"),
    };
    let release = run_guest_with(kernel, &["compile"], &files, &[(COMPILER, &compiler)], each)?;
    let report = Report::new(&release, &rows)?;
    ensure!(report.valid, "the run is not valid: the baselines differ by more than {TOLERANCE_PERCENT} %\n{report}");
    Ok(report)
}

/// The compiler proper, which gcc calls.
fn compiler() -> Result<PathBuf> {
    let output = Command::new("gcc").arg("-print-prog-name=cc1").output().context("run gcc")?;
    let path = PathBuf::from(String::from_utf8(output.stdout)?.trim());
    ensure!(path.is_absolute(), "gcc has no cc1");
    Ok(path)
}

/// All headers that the source includes.
fn headers(source: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("gcc").args(["-O1", "-M"]).arg(source).output().context("run gcc")?;
    ensure!(output.status.success(), "gcc -M: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    let files = text.split_whitespace().map(PathBuf::from);
    Ok(files.filter(|file| file.extension().is_some_and(|extension| extension == "h")).collect())
}

impl Report {
    fn new(kernel: &str, rows: &[Row]) -> Result<Self> {
        let [first, between @ .., last] = rows else { bail!("the machine wrote no rows") };
        ensure!(first.watched == Watched::No && last.watched == Watched::No, "a baseline is missing");
        let baseline = [first.instructions, last.instructions];
        let mean = f64::midpoint(baseline[0], baseline[1]);
        let figure = |row: &Row| {
            let (what, most) = match row.watched {
                Watched::Everything => ("everything reported", 15.0),
                _ => ("out of scope", 3.0),
            };
            let what = format!("{}, {what}", row.backend.as_deref().unwrap_or_default());
            goal::Row::new(&what, (row.instructions / mean - 1.0) * 100.0, None, Some(Goal::AtMost(most)))
        };
        let accesses = between.iter().map(|row| row.accesses).max().unwrap_or(0);
        let valid = (baseline[1] - baseline[0]).abs() <= mean * TOLERANCE_PERCENT / 100.0;
        let rows = between.iter().map(figure).collect();
        let what = format!("Added to a C build, %, Linux {kernel}");
        Ok(Self { baseline, valid, accesses, figures: Table { what, peer: None, rows } })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { baseline, accesses, figures, .. } = self;
        let millions = baseline[0] / 1e6;
        write!(
            f,
            "{figures}\nA build takes {millions:.0} million instructions without programs, and {accesses} accesses."
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(watched: Watched, instructions: f64) -> Row {
        Row { backend: Some("fexit".to_owned()), watched, instructions, accesses: 7 }
    }

    #[test]
    fn figures_are_percent_of_a_build() {
        let rows = |end| {
            [
                row(Watched::No, 1000.0),
                row(Watched::OutOfScope, 1020.0),
                row(Watched::Everything, 1160.0),
                row(Watched::No, end),
            ]
        };
        let report = Report::new("6.12", &rows(1000.0)).unwrap();
        let met: Vec<_> = report.figures.rows.iter().map(|row| row.met).collect();
        assert_eq!((met, report.accesses, report.valid), (vec![Some(true), Some(false)], 7, true));
        assert!(!Report::new("6.12", &rows(1006.0)).unwrap().valid);
        assert!(Report::new("6.12", &rows(1000.0)[1..]).is_err());
    }
}
