//! What one event costs in user space, ours beside OpenTelemetry's SDK, and what an access costs the kernel.

pub mod baseline;
pub mod compile;
pub mod counted;
pub mod delivery;
pub mod direct;
pub mod event;
pub mod filelog;
pub mod goal;
pub mod goals;
pub mod hook;
pub mod latency;
mod load;
pub mod lookup;
pub mod memory;
pub mod miss;
pub mod outage;
mod output;
pub mod path;
pub mod policies;
pub mod repeats;
pub mod replay;
pub mod rss;
pub mod sample;
pub mod scale;
pub mod sdk;
pub mod start;
mod target;
pub mod throughput;
mod usage;

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

/// Events of the shorter run: ten batches.
const EVENTS: u64 = 20_000;

/// Prints what it costs to look up an event's container, process, volume and owner, on a node that is full: instructions by
/// callgrind, as for [`event`], and the time of a run.
///
/// # Errors
/// `valgrind` is missing, or the program cannot be built or run.
#[expect(clippy::print_stdout, reason = "the figures are what was asked for")]
pub fn lookup() -> Result<()> {
    let program = build("release", &["bench-lookup"])?.join("bench-lookup");
    println!("look-ups per event, {} containers, {} processes", memory::CONTAINERS, memory::PROCESSES);
    println!("  instructions  {:>8.0}", per_event(&program, EVENTS, &[])?);
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

/// Builds programs, by cargo's profile. Returns where they are.
fn build(profile: &str, programs: &[&str]) -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder = if profile == "dev" { "debug" } else { profile };
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        // Of a package alone, cargo would build the crates that it takes once more, with other features.
        .args(["build", "--quiet", "--profile", profile, "--workspace"])
        .args(programs.iter().flat_map(|program| ["--bin", program]))
        .current_dir(&root)
        .status()
        .context("run cargo")?;
    ensure!(status.success(), "cargo build: {status}");
    Ok(env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from).join(folder))
}

/// Instructions per event: the program is run twice under callgrind, with N and with 2N events, and the difference has no
/// start-up in it. `arguments` come after that number.
fn per_event(program: &Path, events: u64, arguments: &[&str]) -> Result<f64> {
    let (once, twice) = (instructions(program, events, arguments)?, instructions(program, 2 * events, arguments)?);
    Ok((twice.saturating_sub(once)) as f64 / events as f64)
}

/// Instructions of one run, by valgrind's `Collected : 123`.
fn instructions(program: &Path, events: u64, arguments: &[&str]) -> Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .arg(events.to_string())
        .args(arguments)
        .output()
        .context("run valgrind (apt-get install valgrind)")?;
    let text = String::from_utf8_lossy(&output.stderr);
    let collected = text.lines().filter_map(|line| line.split_once("Collected : ")).next_back();
    match collected.and_then(|(_, count)| count.trim().parse().ok()) {
        Some(count) if output.status.success() => Ok(count),
        _ => bail!("{} under valgrind: {}\n{text}", program.display(), output.status),
    }
}

/// The numbers that a program prints.
fn printed(program: &Path, events: u64, arguments: &[&str]) -> Result<Vec<u64>> {
    let output = Command::new(program)
        .arg(events.to_string())
        .args(arguments)
        .output()
        .with_context(|| format!("run {}", program.display()))?;
    ensure!(output.status.success(), "{}: {}", program.display(), output.status);
    let text = String::from_utf8(output.stdout)?;
    text.split_whitespace().map(|word| word.parse().with_context(|| format!("{}: {text}", program.display()))).collect()
}

#[cfg(test)]
mod tests;
