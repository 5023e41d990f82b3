//! What an access that nobody wants costs the kernel: ours beside programs as they are commonly published.
//!
//! Measured in a machine whose clock goes on by a nanosecond with each instruction, so that its nanoseconds are instructions,
//! kernel and readers together, and do not depend on what else this one does.

mod audit;
mod floor;
mod machine;
pub(super) mod ours;
pub(super) mod peers;
mod report;
pub(super) mod rows;
mod watch;

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use clap::Parser;

use super::output::Output;
use crate::kernels::Line;

#[path = "../../../exporter/build/bpf.rs"]
mod bpf;

pub use rows::{Programs, measure, opens_alone};

pub(super) use report::Report;

/// How far the two baselines may lie apart.
pub(super) const TOLERANCE_PERCENT: f64 = 0.5;

/// Where the machine has the cookbook's programs.
const COOKBOOK: &str = "/cookbook.o";

/// `e2e bench miss`
#[derive(Debug, Parser)]
pub struct Args {
    /// Kernel line
    #[arg(long, default_value = "6.12")]
    kernel: String,
    #[command(flatten)]
    output: Output,
}

impl Args {
    /// Prints what the programs add to one open and close, unwanted and wanted.
    ///
    /// # Errors
    /// The machine cannot be made, a program does not do what it should, or the two baselines differ too much.
    pub fn run(&self) -> Result<()> {
        let writer = format!("e2e bench miss --kernel {} --readme", self.kernel);
        self.output.tell(&measured(&self.kernel, Programs::All)?, &writer)
    }
}

/// # Errors
/// See [`Args::run`].
pub(super) fn measured(kernel: &str, programs: Programs) -> Result<Report> {
    let mut rows = Vec::new();
    let arguments: &[&str] = match programs {
        Programs::All => &["miss"],
        Programs::WithGoal => &["miss", "--with-goal"],
    };
    let release = run_guest(kernel, arguments, &[], &mut |line| match rows::parse(line) {
        Some(row) => rows.push(row),
        None => eprintln!("miss | {line}"),
    })?;
    let report = Report::new(release, &rows)?;
    ensure!(report.valid, "the run is not valid: the baselines differ by more than {TOLERANCE_PERCENT} %\n{report}");
    Ok(report)
}

/// Runs the guest with these arguments on a kernel line, with the cookbook's programs and these files, and gives each line that it
/// writes to `each`. Returns the kernel's release.
///
/// # Errors
/// Something does not build, or the machine does not end as it should.
pub(super) fn run_guest(
    line: &str,
    arguments: &[&str],
    files: &[(&str, &Path)],
    each: &mut dyn FnMut(&str),
) -> Result<String> {
    run_guest_with(line, arguments, files, &[], each)
}

/// The same, with more programs and the libraries that they take.
///
/// # Errors
/// As above.
pub(super) fn run_guest_with(
    line: &str,
    arguments: &[&str],
    files: &[(&str, &Path)],
    more: &[(&str, &Path)],
    each: &mut dyn FnMut(&str),
) -> Result<String> {
    eprintln!("building the guest");
    // As it would be released: readers count too.
    let programs = super::build("release", &["init", "guest"])?;
    let cookbook = object("cookbook", "cookbook-programs", "cookbook", &[])?;
    let kernel = Line::named(line, env::consts::ARCH)?.fetch(false)?;
    let files = [&[(COOKBOOK, &*cookbook)], files].concat();
    machine::run(&kernel, &programs, (&files, more), arguments, each)?;
    Ok(kernel.release)
}

/// Builds programs for kernels of this architecture, as ours are built, in a folder of that name.
///
/// # Errors
/// They do not build.
pub(super) fn object(package: &str, program: &str, folder: &str, flags: &[&str]) -> Result<PathBuf> {
    eprintln!("building {folder}");
    let root = root()?;
    let object = bpf::Object { workspace: &root, package, program, architecture: env::consts::ARCH, flags };
    object.compile(&target(&root).join(folder))
}

fn root() -> Result<PathBuf> {
    Ok(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?)
}

fn target(root: &Path) -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}
