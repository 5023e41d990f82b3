//! Destinations that are files, or stdout.

use std::num::NonZero;

use crate::config::choice::Form;
use crate::config::{default, parse};

/// How lines are written.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Files and stdout")]
pub struct LinesArgs {
    /// Form of the lines of a file or stdout, those of trace --output [default: otlp-json].
    #[arg(long, value_name = "FORM")]
    pub format: Option<Form>,
    /// Size at which a file is renamed to FILE.1, what was FILE.1 to FILE.2 and so on, and a new one begun.
    #[arg(long, value_name = "SIZE", value_parser = parse::rotate_size, default_value = default::ROTATE_SIZE)]
    pub rotate_size: u64,
    /// Renamed files that are kept; the oldest is removed for another.
    #[arg(long, value_name = "N", value_parser = rotate_keep, default_value = default::ROTATE_KEEP)]
    pub rotate_keep: NonZero<u32>,
}

/// Each rotation renames as many files.
fn rotate_keep(text: &str) -> Result<NonZero<u32>, String> {
    let keep = text.parse().ok().filter(|keep: &NonZero<u32>| keep.get() <= 1000);
    keep.ok_or_else(|| "expected 1 to 1000".to_owned())
}
