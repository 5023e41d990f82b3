//! The guest's part: one row per program, between two rows without any.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use inotrail::event::Backend;
use rustix::fs::{Mode, OFlags, open};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use super::audit;
use super::floor::Floor;
use super::ours::Ours;
use super::peers::Peer;
use super::watch::Notice;

/// The file that is opened: six permission checks up to Linux 6.18.
pub(super) const FILE: &str = "/a/b/c/d/file";
/// The first seconds of a machine's life cost twice as much.
const WARM_UP_NS: u64 = 6_000_000_000;
const ROUNDS: usize = 5;
const ROUND: u64 = 2000;

/// The default of `--drain-interval`.
pub(in super::super) const DRAIN: Duration = Duration::from_millis(5);

/// Starts the line of a row on the console.
const LINE: &str = "row ";

/// What one open and close took.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Row {
    /// The program that was attached; nothing in a baseline.
    pub(super) program: Option<String>,
    /// Whether it is one of ours.
    pub(super) ours: bool,
    /// What it had to do with the accesses.
    pub(super) case: Case,
    /// Instructions, kernel and readers together.
    pub(super) instructions: f64,
}

/// What a program has to do with an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) enum Case {
    /// Nothing: its cgroup is out of scope.
    OutOfScope,
    /// Nothing: no rule is about its container.
    NoRule,
    /// Nothing: no rule of its container is about the file.
    NoFile,
    /// To report it.
    Wanted,
}

/// The row in a line of the console.
pub(super) fn parse(line: &str) -> Option<Row> {
    serde_json::from_str(line.strip_prefix(LINE)?).ok()
}

/// Which programs are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Programs {
    /// Each.
    All,
    /// Ours that have a goal, where they have it.
    WithGoal,
}

/// Measures programs and writes the rows.
///
/// # Errors
/// A program does not load here, or did not do what it should.
pub fn measure(programs: Programs) -> Result<()> {
    prepare()?;
    row(None, false, Case::OutOfScope, opens()?)?;
    match programs {
        Programs::All => all()?,
        Programs::WithGoal => {
            for backend in [Backend::Fexit, Backend::Kprobe] {
                for case in [Case::OutOfScope, Case::Wanted] {
                    row(Some(backend.as_str()), true, case, Ours { backend, typed: true, case }.cost()?)?;
                }
            }
        }
    }
    row(None, false, Case::OutOfScope, opens()?)
}

fn all() -> Result<()> {
    for (name, backend, typed) in [
        ("fexit", Backend::Fexit, true),
        ("kprobe", Backend::Kprobe, true),
        ("raw-tracepoint", Backend::RawTracepoint, true),
        ("raw-tracepoint without typed arguments", Backend::RawTracepoint, false),
    ] {
        for case in [Case::OutOfScope, Case::NoRule, Case::NoFile, Case::Wanted] {
            row(Some(name), true, case, Ours { backend, typed, case }.cost()?)?;
        }
    }
    for peer in Peer::ALL {
        both(peer.name(), |wanted| peer.cost(wanted))?;
    }
    for floor in Floor::ALL {
        both(floor.name(), |_| floor.cost())?;
    }
    for notice in Notice::ALL {
        both(notice.name(), |_| notice.cost())?;
    }
    // The last one: tasks that are made afterwards stay slower.
    both(audit::NAME, audit::cost)
}

/// The rows of a peer.
fn both(name: &str, cost: impl Fn(bool) -> Result<f64>) -> Result<()> {
    for case in [Case::OutOfScope, Case::Wanted] {
        row(Some(name), false, case, cost(case == Case::Wanted)?)?;
    }
    Ok(())
}

/// The guest's command that [`opens_alone`] is.
pub(super) const OPENS: &str = "opens";

/// What [`opens`] measures, on stdout, in a process that does nothing else.
///
/// # Errors
/// The file cannot be opened.
#[expect(clippy::print_stdout, reason = "the figure is what was asked for")]
pub fn opens_alone() -> Result<()> {
    println!("{}", opens_with(|| thread::sleep(DRAIN))?);
    Ok(())
}

/// Makes the file, and opens it until the machine has settled.
///
/// # Errors
/// It cannot be made or opened.
pub(in super::super) fn prepare() -> Result<()> {
    fs::create_dir_all(Path::new(FILE).parent().context("the file has a folder")?)?;
    fs::write(FILE, "")?;
    // The C library never forgets that there was a second thread, and is slower from then on: there is one from the start.
    while now() < WARM_UP_NS {
        opens_with(|| thread::sleep(DRAIN))?;
    }
    Ok(())
}

fn row(program: Option<&str>, ours: bool, case: Case, instructions: f64) -> Result<()> {
    let row = Row { program: program.map(str::to_owned), ours, case, instructions };
    eprintln!("{LINE}{}", serde_json::to_string(&row)?);
    Ok(())
}

/// How many opens a program saw of those that [`opens`] makes.
pub(in super::super) const ALL_OPENS: u64 = (ROUNDS as u64 + 1) * ROUND;

/// Instructions of one open and close: the median round, after one that is not counted.
pub(in super::super) fn opens() -> Result<f64> {
    round()?;
    let mut rounds = [0; ROUNDS];
    for took in &mut rounds {
        *took = round()?;
    }
    rounds.sort_unstable();
    Ok(rounds[ROUNDS / 2] as f64 / ROUND as f64)
}

/// The same while `read` runs.
pub(in super::super) fn opens_with(read: impl FnMut() + Send) -> Result<f64> {
    with(read, opens)
}

/// Does `work` while `read` runs over and over in a thread of its own, and once more at the end.
pub(in super::super) fn with<T>(mut read: impl FnMut() + Send, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                read();
            }
            read();
        });
        let result = work();
        done.store(true, Ordering::Relaxed);
        if reader.join().is_err() {
            bail!("the reader panicked");
        }
        result
    })
}

/// Nanoseconds that a round takes.
fn round() -> Result<u64> {
    let start = now();
    for _ in 0..ROUND {
        drop(open(FILE, OFlags::RDONLY, Mode::empty()).context(FILE)?);
    }
    Ok(now() - start)
}

/// Since the machine started; no clock discipline.
pub(in super::super) fn now() -> u64 {
    let time = clock_gettime(ClockId::MonotonicRaw);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
