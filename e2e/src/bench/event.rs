//! The README's table of what one event costs in user space.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};
use serde::Serialize;

use super::sample::CONTAINERS;
use super::{EVENTS, build, per_event, printed};
use crate::docs;

/// Events of which no allocation is asked for.
const STEADY: u64 = 10_000_000;
/// What the README's table is written by.
const WRITER: &str = "make bench";

/// How to tell.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// As JSON
    #[arg(long)]
    json: bool,
    /// Write the README's table
    #[arg(long)]
    readme: bool,
}

/// One figure. Less is better.
#[derive(Debug, Serialize)]
struct Row {
    what: String,
    ours: f64,
    /// The opentelemetry SDK's.
    peer: Option<f64>,
    ratio: Option<f64>,
    goal: Option<Goal>,
    met: Option<bool>,
}

/// What a figure should be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Goal {
    /// This, or less.
    AtMost(f64),
    /// So many times less than the peer.
    Ratio(f64),
}

impl Row {
    fn new(what: &str, ours: f64, peer: Option<f64>, goal: Option<Goal>) -> Self {
        let ratio = peer.map(|peer| peer / ours);
        let met = goal.map(|goal| match goal {
            Goal::AtMost(most) => ours <= most,
            Goal::Ratio(least) => ratio.is_some_and(|ratio| ratio >= least),
        });
        Self { what: what.to_owned(), ours, peer, ratio, goal, met }
    }
}

impl Args {
    /// Prints instructions per event, from the bytes of the ring buffer's record, and from the event, to the bytes of a request;
    /// allocations; and bytes: of the exporter, and of the opentelemetry SDK with opentelemetry-proto, which is given the same
    /// events, found out in the same way, and a level of zstd that is the same.
    ///
    /// # Errors
    /// `valgrind` is missing, or one of the programs cannot be built or run.
    #[expect(clippy::print_stdout, reason = "the figures are what was asked for")]
    pub fn run(&self) -> Result<()> {
        let rows = measure()?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&rows)?);
        } else {
            println!("per event in user space, {CONTAINERS} containers\n{}", table(&rows));
        }
        if self.readme {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("README.md");
            fs::write(&file, docs::replaced(&fs::read_to_string(&file)?, WRITER, &format!("\n{}\n", table(&rows)))?)?;
        }
        Ok(())
    }
}

fn measure() -> Result<Vec<Row>> {
    let folder = build("release", &["bench-allocations", "bench-direct", "bench-path", "bench-sdk"])?;
    let [path, direct, sdk] = ["bench-path", "bench-direct", "bench-sdk"].map(|name| folder.join(name));
    let instructions = |program: &Path, arguments: &[&str]| {
        eprintln!("{} {}", program.display(), arguments.join(" "));
        per_event(program, EVENTS, arguments)
    };
    let pair = |compression| -> Result<_> {
        Ok((instructions(&path, &["ours", compression])?, Some(instructions(&path, &["sdk", compression])?)))
    };
    let bytes = |arguments: &[&str]| -> Result<_> { Ok(printed(&path, EVENTS, arguments)?[0] as f64 / EVENTS as f64) };
    let (plain, plain_peer) = pair("none")?;
    let (packed, packed_peer) = pair("zstd")?;
    let allocations = printed(&folder.join("bench-allocations"), STEADY, &[])?;
    ensure!(allocations.len() == 2, "bench-allocations prints two numbers");
    let row = Row::new;
    Ok(vec![
        row(
            "Instructions, from the ring buffer's record to the bytes of a request",
            plain,
            plain_peer,
            Some(Goal::AtMost(2000.0)),
        ),
        row("The same, compressed by zstd", packed, packed_peer, Some(Goal::Ratio(8.0))),
        row(
            "Instructions, from the event to the bytes of a request",
            instructions(&direct, &["none"])?,
            Some(instructions(&sdk, &["none"])?),
            None,
        ),
        row(
            "Allocations in 10 million events, beside one for each request",
            (allocations[0] - allocations[1]) as f64,
            None,
            Some(Goal::AtMost(0.0)),
        ),
        row("Bytes of a request", bytes(&["ours", "none"])?, Some(bytes(&["sdk", "none"])?), None),
        row("The same, compressed by zstd", bytes(&["ours", "zstd"])?, Some(bytes(&["sdk", "zstd"])?), None),
    ])
}

/// In Markdown.
fn table(rows: &[Row]) -> String {
    let head = "| Per event in user space | inotrail | opentelemetry SDK | Ratio | Goal |\n|---|---|---|---|---|\n";
    let lines = rows.iter().map(|row| {
        let Row { what, ours, peer, ratio, goal, met } = row;
        let peer = peer.map(|peer| format!("{peer:.0}")).unwrap_or_default();
        let ratio = ratio.map(|ratio| format!("{ratio:.1}")).unwrap_or_default();
        let goal = goal.map_or_else(String::new, |goal| match goal {
            Goal::AtMost(most) => format!("at most {most:.0}"),
            Goal::Ratio(least) => format!("{least:.0} times less"),
        });
        let missed = if *met == Some(false) { " (missed)" } else { "" };
        format!("| {what} | {ours:.0} | {peer} | {ratio} | {goal}{missed} |\n")
    });
    head.to_owned() + &lines.collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_says_what_is_missed() {
        let rows = [
            Row::new("a", 100.0, Some(750.0), Some(Goal::Ratio(8.0))),
            Row::new("b", 0.0, None, Some(Goal::AtMost(0.0))),
            Row::new("c", 1.5, Some(3.0), None),
        ];
        let table = table(&rows);
        let lines: Vec<_> = table.lines().skip(2).collect();
        assert_eq!(lines[0], "| a | 100 | 750 | 7.5 | 8 times less (missed) |");
        assert_eq!(lines[1], "| b | 0 |  |  | at most 0 |");
        assert_eq!(lines[2], "| c | 2 | 3 | 2.0 |  |");
    }
}
