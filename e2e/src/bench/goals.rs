//! Everything that has a goal, in one run.

use std::fmt;
use std::thread;

use anyhow::{Result, bail};
use clap::Parser;
use serde::Serialize;

use super::goal::Table;
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

/// Instructions first: they are the same whatever else the machine does, so that two are counted at once. Then times, one by one.
fn measure() -> Result<Vec<Table>> {
    let (user, kernel) = thread::scope(|scope| {
        let kernel = scope.spawn(|| KERNELS.map(|kernel| miss::measured(kernel).map(|report| report.goals)));
        (user(), kernel.join())
    });
    let Ok(kernel) = kernel else { bail!("a thread panicked") };
    let mut tables = user?;
    for table in kernel {
        tables.push(table?);
    }
    tables.push(event::time()?);
    tables.push(delivery::measure()?);
    tables.push(with_defaults::<filelog::Args>()?.measure()?);
    tables.push(with_defaults::<throughput::Args>()?.measure()?.figures);
    tables.push(with_defaults::<rss::Args>()?.measure()?);
    tables.push(with_defaults::<repeats::Args>()?.measure()?);
    tables.push(with_defaults::<latency::Args>()?.measure()?);
    Ok(tables)
}

fn user() -> Result<Vec<Table>> {
    Ok(vec![event::instructions()?, hook::measured(KERNELS[0])?.figures, compile::measured(KERNELS[0])?.figures])
}

/// As on a command line without arguments.
fn with_defaults<A: clap::Args>() -> Result<A> {
    #[derive(Parser)]
    struct Line<A: clap::Args> {
        #[command(flatten)]
        args: A,
    }
    Ok(Line::<A>::try_parse_from([""])?.args)
}

impl fmt::Display for Report {
    /// In Markdown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|table| writeln!(f, "{table}"))
    }
}
