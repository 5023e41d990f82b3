//! The README's table of what one event costs in user space.

use std::path::Path;

use anyhow::{Result, ensure};

use super::goal::{Goal, Row, Table};
use super::output::Output;
use super::sample::CONTAINERS;
use super::{EVENTS, build, per_event, printed};

/// Events whose time is taken, and how many times: the least of them had the machine most for itself.
const TIMED: u64 = 200_000;
const TIMES: usize = 5;
/// Events of which no allocation is asked for.
const STEADY: u64 = 10_000_000;
/// What the README's table is written by.
const WRITER: &str = "e2e bench event --readme";

/// `e2e bench event`
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    output: Output,
}

impl Args {
    /// Prints instructions per event, from the bytes of the ring buffer's record, and from the event, to the bytes of a request;
    /// allocations; and bytes: of the exporter, and of the opentelemetry SDK with opentelemetry-proto, which is given the same
    /// events, found out in the same way, and a level of zstd that is the same.
    ///
    /// # Errors
    /// `valgrind` is missing, or one of the programs cannot be built or run.
    pub fn run(&self) -> Result<()> {
        let mut table = instructions(EVENTS)?;
        table.rows.extend(time()?.rows);
        self.output.tell(&table, WRITER)
    }
}

/// All that is the same whatever else the machine does, of so many events.
///
/// # Errors
/// See [`Args::run`].
pub(super) fn instructions(events: u64) -> Result<Table> {
    let folder = build("release", &["bench-allocations", "bench-direct", "bench-path", "bench-sdk"])?;
    let [path, direct, sdk] = ["bench-path", "bench-direct", "bench-sdk"].map(|name| folder.join(name));
    let instructions = |program: &Path, arguments: &[&str]| {
        eprintln!("{} {}", program.display(), arguments.join(" "));
        per_event(program, events, arguments)
    };
    let pair = |arguments: &[&str]| -> Result<_> {
        let of = |who| instructions(&path, &[&[who], arguments].concat());
        Ok((of("ours")?, Some(of("sdk")?)))
    };
    let bytes = |arguments: &[&str]| -> Result<_> { Ok(printed(&path, events, arguments)?[0] as f64 / events as f64) };
    let (plain, plain_peer) = pair(&["none"])?;
    let (new, new_peer) = pair(&["none", "new"])?;
    let (packed, packed_peer) = pair(&["zstd"])?;
    let allocations = printed(&folder.join("bench-allocations"), STEADY, &[])?;
    ensure!(allocations.len() == 2, "bench-allocations prints two numbers");
    let row = Row::new;
    let rows = vec![
        row(
            "Instructions, from the ring buffer's record to the bytes of a request, of 1,000 files that come again",
            plain,
            plain_peer,
            Some(Goal::AtMost(2000.0)),
        ),
        row("The same, every file seen for the first time", new, new_peer, None),
        row("The same, of files that come again, compressed by zstd", packed, packed_peer, Some(Goal::Ratio(8.0))),
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
    ];
    Ok(table(rows))
}

fn table(rows: Vec<Row>) -> Table {
    Table {
        what: format!("Per event in user space, {CONTAINERS} containers"),
        peer: Some("opentelemetry SDK".to_owned()),
        rows,
    }
}

/// # Errors
/// See [`Args::run`].
pub(super) fn time() -> Result<Table> {
    let (ours, sdk) = cpu(&build("release", &["bench-path"])?.join("bench-path"))?;
    let what = "CPU time, ns, the least of five (other work on the machine makes it more)";
    Ok(table(vec![Row::new(what, ours, Some(sdk), None)]))
}

/// CPU time per event, nanoseconds: ours and the SDK's in turn, the least of each.
fn cpu(path: &Path) -> Result<(f64, f64)> {
    let (mut ours, mut sdk) = (f64::MAX, f64::MAX);
    for number in 1..=TIMES {
        eprintln!("{} {number} of {TIMES}, by time", path.display());
        for (who, least) in [("ours", &mut ours), ("sdk", &mut sdk)] {
            *least = least.min(printed(path, TIMED, &[who, "none"])?[1] as f64 / TIMED as f64);
        }
    }
    Ok((ours, sdk))
}
