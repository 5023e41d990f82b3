//! How a bench tells what it found.

use std::fmt::Display;
use std::fs;
use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use crate::docs;

/// Where to.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct Output {
    /// As JSON
    #[arg(long)]
    json: bool,
    /// Write it into the README too
    #[arg(long)]
    readme: bool,
}

impl Output {
    /// Prints it; `command` is what writes that part of the README.
    ///
    /// # Errors
    /// The README has no such part, or cannot be written.
    pub(super) fn tell(self, found: &(impl Display + Serialize), command: &str) -> Result<()> {
        print(found, self.json)?;
        if self.readme {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("README.md");
            let text = docs::replaced(&fs::read_to_string(&file)?, command, &format!("\n{found}\n"))?;
            fs::write(&file, text)?;
        }
        Ok(())
    }
}

/// In Markdown, or as JSON.
#[expect(clippy::print_stdout, reason = "the figures are what was asked for")]
pub(super) fn print(found: &(impl Display + Serialize), as_json: bool) -> Result<()> {
    if as_json {
        println!("{}", serde_json::to_string_pretty(found)?);
    } else {
        println!("{found}");
    }
    Ok(())
}
