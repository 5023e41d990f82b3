//! What one event costs in user space, ours beside OpenTelemetry's SDK, and what an access costs the kernel.

pub mod direct;
pub mod lookup;
pub mod memory;
pub mod miss;
pub mod outage;
pub mod policies;
pub mod repeats;
pub mod sample;
pub mod sdk;
pub mod start;

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

/// Events of the shorter run: ten batches.
const EVENTS: u64 = 20_000;

/// Prints instructions per event, from the event to the bytes of a request (not compressed): of the exporter's encoder,
/// and of the opentelemetry SDK with opentelemetry-proto, given the same events of 50 containers.
///
/// Each is run twice under callgrind, with N and with 2N events: the difference has no start-up in it.
///
/// # Errors
/// `valgrind` is missing, or one of the programs cannot be built or run.
#[expect(clippy::print_stdout, reason = "the figures are what was asked for")]
pub fn encode() -> Result<()> {
    let folder = build("release", &["bench-direct", "bench-sdk"])?;
    let direct = per_event(&folder.join("bench-direct"))?;
    let sdk = per_event(&folder.join("bench-sdk"))?;
    println!("instructions per event, event to request bytes, {} containers", sample::CONTAINERS);
    println!("  inotrail           {direct:>8.0}");
    println!("  opentelemetry SDK  {sdk:>8.0}");
    println!("  ratio              {:>8.1}", sdk / direct);
    Ok(())
}

/// Prints what it costs to look up an event's container, process, volume and owner, on a node that is full: instructions by
/// callgrind, as for [`encode`], and the time of a run.
///
/// # Errors
/// `valgrind` is missing, or the program cannot be built or run.
#[expect(clippy::print_stdout, reason = "the figures are what was asked for")]
pub fn lookup() -> Result<()> {
    let program = build("release", &["bench-lookup"])?.join("bench-lookup");
    println!("look-ups per event, {} containers, {} processes", memory::CONTAINERS, memory::PROCESSES);
    println!("  instructions  {:>8.0}", per_event(&program)?);
    run(&program)
}

/// Prints the bytes that a container and a process take, on a node that has many of both. They are the same in any build.
///
/// # Errors
/// The program cannot be built or run.
pub fn memory() -> Result<()> {
    run(&build("dev", &["bench-memory"])?.join("bench-memory"))
}

fn run(program: &Path) -> Result<()> {
    let status = Command::new(program).status().with_context(|| format!("run {}", program.display()))?;
    ensure!(status.success(), "{}: {status}", program.display());
    Ok(())
}

/// Builds programs of this package, by cargo's profile. Returns where they are.
fn build(profile: &str, programs: &[&str]) -> Result<PathBuf> {
    build_of("e2e", profile, programs)
}

/// The same with those of another package.
fn build_of(package: &str, profile: &str, programs: &[&str]) -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder = if profile == "dev" { "debug" } else { profile };
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--profile", profile, "--package", package])
        .args(programs.iter().flat_map(|program| ["--bin", program]))
        .current_dir(&root)
        .status()
        .context("run cargo")?;
    ensure!(status.success(), "cargo build: {status}");
    Ok(env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from).join(folder))
}

fn per_event(program: &Path) -> Result<f64> {
    let (once, twice) = (instructions(program, EVENTS)?, instructions(program, 2 * EVENTS)?);
    Ok((twice.saturating_sub(once)) as f64 / EVENTS as f64)
}

/// Instructions of one run, by valgrind's `Collected : 123`.
fn instructions(program: &Path, events: u64) -> Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .arg(events.to_string())
        .output()
        .context("run valgrind (apt-get install valgrind)")?;
    let text = String::from_utf8_lossy(&output.stderr);
    let collected = text.lines().filter_map(|line| line.split_once("Collected : ")).next_back();
    match collected.and_then(|(_, count)| count.trim().parse().ok()) {
        Some(count) if output.status.success() => Ok(count),
        _ => bail!("{} under valgrind: {}\n{text}", program.display(), output.status),
    }
}

#[cfg(test)]
mod tests;
