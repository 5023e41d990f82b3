//! The guest's part: one row per program, between two rows without any.

use anyhow::Result;
use inotrail::event::Backend;
use serde::{Deserialize, Serialize};

use super::super::miss::ours::Ours;
use super::super::miss::peers::Peer;
use super::super::miss::rows::{ALL_OPENS, Case, opens, prepare};
use super::ids;

/// Starts the line of a row on the console.
const LINE: &str = "row ";

/// What was attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Program {
    /// Nothing.
    None,
    /// Ours without paths, by fexit.
    IdsOnly,
    /// Ours.
    Fexit,
    /// Ours.
    Kprobe,
    /// A record of each call.
    Records,
    /// The same, with paths.
    Paths,
    /// The same, of opens alone.
    Opens,
    /// [`Self::Records`] without wake-ups.
    Lazy,
    /// What [`Self::Records`] does, without a record.
    Quiet,
}

/// What one open and close took.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) program: Program,
    /// Kernel and readers together.
    pub(super) instructions: f64,
    /// That the reader got.
    pub(super) records: f64,
}

/// The row in a line of the console.
pub(super) fn parse(line: &str) -> Option<Row> {
    serde_json::from_str(line.strip_prefix(LINE)?).ok()
}

/// Measures every program and writes the rows.
///
/// # Errors
/// A program does not load here, or did not do what it should.
pub fn measure() -> Result<()> {
    prepare()?;
    row(Program::None, opens()?, 0)?;
    row(Program::IdsOnly, ids::cost()?, ALL_OPENS)?;
    for (program, backend) in [(Program::Fexit, Backend::Fexit), (Program::Kprobe, Backend::Kprobe)] {
        row(program, Ours { backend, typed: true, case: Case::Wanted }.cost()?, ALL_OPENS)?;
    }
    for (program, peer) in [
        (Program::Records, Peer::PermissionAll),
        (Program::Paths, Peer::PermissionPaths),
        (Program::Opens, Peer::PermissionOpens),
        (Program::Lazy, Peer::PermissionLazy),
        (Program::Quiet, Peer::PermissionQuiet),
    ] {
        let (instructions, records) = peer.cost_of_all()?;
        row(program, instructions, records)?;
    }
    row(Program::None, opens()?, 0)
}

fn row(program: Program, instructions: f64, records: u64) -> Result<()> {
    let row = Row { program, instructions, records: records as f64 / ALL_OPENS as f64 };
    eprintln!("{LINE}{}", serde_json::to_string(&row)?);
    Ok(())
}
