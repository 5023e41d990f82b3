//! The guest's part: one row per program, between two rows without any.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use anyhow::{Context as _, Result, ensure};
use inotrail::container::cgroup::Hierarchy;
use inotrail::event::Backend;
use inotrail::sensor::{Options, Record, Sensor};
use serde::{Deserialize, Serialize};

use super::super::miss::rows::{DRAIN, now, with};
use super::{COMPILER, MULTIARCH, SOURCE};
use crate::accesses::RING_BYTES;
use crate::cgroup::Cgroup;

/// Files of one build.
const FILES: usize = 4;
/// Builds of each kind, the first of which is not counted: in some, the kernel does half a percent of other work.
const ROUNDS: usize = 6;
/// Builds after which a machine has settled.
const WARM_UP: usize = 3;

/// Starts the line of a row on the console.
const LINE: &str = "row ";

/// What becomes of the build's accesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Watched {
    /// There is no program.
    No,
    /// The build's cgroup is out of scope.
    OutOfScope,
    /// All are reported.
    Everything,
}

/// What one build took.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) backend: Option<String>,
    pub(super) watched: Watched,
    pub(super) instructions: f64,
    /// That were reported.
    pub(super) accesses: u64,
}

/// The row in a line of the console.
pub(super) fn parse(line: &str) -> Option<Row> {
    serde_json::from_str(line.strip_prefix(LINE)?).ok()
}

/// Measures every program and writes the rows.
///
/// # Errors
/// The compiler fails, or a program does not load here or did not do what it should.
pub fn measure() -> Result<()> {
    // Else the compiler's tables, whose order is that of addresses, take another way in each build.
    fs::write("/proc/sys/kernel/randomize_va_space", "0").context("have addresses as they are")?;
    for _ in 0..WARM_UP {
        with(|| thread::sleep(DRAIN), build)?;
    }
    row(None, Watched::No, with(|| thread::sleep(DRAIN), builds)?, 0)?;
    for backend in [Backend::Fexit, Backend::Kprobe] {
        for watched in [Watched::OutOfScope, Watched::Everything] {
            let (instructions, accesses) = cost(backend, watched)?;
            row(Some(backend.as_str()), watched, instructions, accesses)?;
        }
    }
    row(None, Watched::No, with(|| thread::sleep(DRAIN), builds)?, 0)
}

fn cost(backend: Backend, watched: Watched) -> Result<(f64, u64)> {
    let cgroup = Cgroup::create_top("inotrail-compile")?;
    let root = if watched == Watched::OutOfScope { cgroup.path() } else { Path::new("/") };
    let options = Options {
        backend: Some(backend),
        root: root.to_owned(),
        include_self: true,
        ..Options::new(Hierarchy::detect()?, RING_BYTES)
    };
    let mut sensor = Sensor::start(&options).with_context(|| format!("start {}", backend.as_str()))?;
    sensor.drain(|_| ());
    let mut accesses = 0;
    let read = || {
        sensor.drain(|record| accesses += u64::from(matches!(record, Ok(Record::Access(_)))));
        thread::sleep(DRAIN);
    };
    let instructions = with(read, builds)?;
    let all = (ROUNDS * FILES) as u64;
    ensure!((accesses >= all) == (watched == Watched::Everything), "{backend:?}, {watched:?}: {accesses} accesses");
    Ok((instructions, accesses / ROUNDS as u64))
}

fn row(backend: Option<&str>, watched: Watched, instructions: f64, accesses: u64) -> Result<()> {
    let row = Row { backend: backend.map(str::to_owned), watched, instructions, accesses };
    eprintln!("{LINE}{}", serde_json::to_string(&row)?);
    Ok(())
}

/// Nanoseconds, which are instructions, of one build: of the shortest, after one that is not counted.
fn builds() -> Result<f64> {
    build()?;
    let mut least = u64::MAX;
    for _ in 1..ROUNDS {
        let start = now();
        build()?;
        least = least.min(now() - start);
    }
    Ok(least as f64)
}

fn build() -> Result<()> {
    for number in 0..FILES {
        let output = Command::new(COMPILER)
            .args(["-quiet", "-O1", "-imultiarch", MULTIARCH, SOURCE, "-o"])
            .arg(format!("/tmp/{number}.s"))
            .output()
            .with_context(|| format!("run {COMPILER}"))?;
        ensure!(output.status.success(), "{COMPILER}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
