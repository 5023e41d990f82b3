//! The README's table of what one event costs in user space.

use std::fs;
use std::path::Path;

use super::goal::{Goal, Row, table};
use super::sample::CONTAINERS;
use super::{EVENTS, build, per_event, printed};
use crate::docs;
use anyhow::{Result, ensure};

/// Events of which no allocation is asked for.
const STEADY: u64 = 10_000_000;
/// What the README's table is written by.
const WRITER: &str = "make bench";
const WHAT: &str = "Per event in user space";
const PEER: &str = "opentelemetry SDK";

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
            println!("per event in user space, {CONTAINERS} containers\n{}", table(WHAT, PEER, &rows));
        }
        if self.readme {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("README.md");
            fs::write(
                &file,
                docs::replaced(&fs::read_to_string(&file)?, WRITER, &format!("\n{}\n", table(WHAT, PEER, &rows)))?,
            )?;
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
