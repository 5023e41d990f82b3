//! Everything that has a goal, in one run.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::Parser;
use serde::Serialize;

use super::goal::Table;
use super::miss::Programs;
use super::output::print;
use super::{compile, delivery, event, filelog, hook, latency, miss, repeats, rss, throughput};

/// Kernels that an unwanted open is measured on: before and after 6.19, since which folders on the way are seldom asked for.
const KERNELS: [&str; 2] = ["6.12", "7.3"];

/// `e2e bench goals`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Events whose instructions are counted: five requests. `bench event` has twice as many; figures differ by some percent from run to run, as
/// tables are hashed by seeds that do.
const EVENTS: u64 = 10_000;

/// All tables.
#[derive(Debug, Serialize)]
struct Report(Vec<Table>);

impl Args {
    /// Prints every figure that has a goal, beside the peer's, and whether it is met.
    ///
    /// # Errors
    /// One of them cannot be measured here.
    pub fn run(&self) -> Result<()> {
        print(&Report(measure()?), self.json)
    }
}

type Measure = fn() -> Result<Table>;

/// Instructions, which are the same whatever else the machine does, so that two are counted at once; the longest first.
const COUNTED: [Measure; 5] = [
    || Ok(compile::measured(KERNELS[0])?.figures),
    || event::instructions(EVENTS),
    || Ok(hook::measured(KERNELS[0])?.figures),
    || Ok(miss::measured(KERNELS[0], Programs::WithGoal)?.goals),
    || Ok(miss::measured(KERNELS[1], Programs::WithGoal)?.goals),
];

/// Times, one by one; shorter than each by itself, where that changes only how sure a figure is.
const TIMED: [(&str, Measure); 7] = [
    ("time of an event", event::time),
    ("delivery", delivery::measure),
    ("files that are tailed", || with::<filelog::Args>(&[])?.measure()),
    ("throughput", || Ok(with::<throughput::Args>(&["--step-seconds", "4"])?.measure()?.figures)),
    ("memory", || with::<rss::Args>(&[])?.measure()),
    ("equal accesses", || with::<repeats::Args>(&[])?.measure()),
    ("latency", || with::<latency::Args>(&["--seconds", "10"])?.measure()),
];

fn measure() -> Result<Vec<Table>> {
    let start = Instant::now();
    let mut tables = counted()?;
    for (what, measure) in TIMED {
        eprintln!("\nafter {:.0} s: {what}", start.elapsed().as_secs_f64());
        tables.push(measure()?);
    }
    eprintln!("\nafter {:.0} s: done", start.elapsed().as_secs_f64());
    Ok(tables)
}

/// Two threads take one after the other.
fn counted() -> Result<Vec<Table>> {
    let next = AtomicUsize::new(0);
    let work = || -> Result<Vec<_>> {
        let mut done = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(measure) = COUNTED.get(number) else { return Ok(done) };
            done.push((number, measure()?));
        }
    };
    let (one, other) = thread::scope(|scope| {
        let other = scope.spawn(work);
        (work(), other.join())
    });
    let Ok(other) = other else { bail!("a thread panicked") };
    let mut tables = one?;
    tables.extend(other?);
    tables.sort_by_key(|(number, _)| *number);
    Ok(tables.into_iter().map(|(_, table)| table).collect())
}

/// As on a command line with these arguments.
fn with<A: clap::Args>(arguments: &[&str]) -> Result<A> {
    #[derive(Parser)]
    struct Line<A: clap::Args> {
        #[command(flatten)]
        args: A,
    }
    Ok(Line::<A>::try_parse_from([&[""], arguments].concat())?.args)
}

impl fmt::Display for Report {
    /// In Markdown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|table| writeln!(f, "{table}"))
    }
}
