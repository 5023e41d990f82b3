//! What the guest says on the console: how a test ended, one line for each backend.

use std::io::{self, Write as _};

use anyhow::{Context as _, Result};
use inotrail::event::Backend;
use serde::{Deserialize, Serialize};

use super::console_lines;

/// All backends.
pub const BACKENDS: [Backend; 3] = [Backend::Fexit, Backend::Kprobe, Backend::RawTracepoint];

/// The backend of this name.
///
/// # Errors
/// Where there is none.
pub fn backend(name: &str) -> Result<Backend> {
    let names = || BACKENDS.map(Backend::as_str).join(", ");
    let known = BACKENDS.into_iter().find(|backend| backend.as_str() == name);
    known.with_context(|| format!("no backend {name}: there are {}", names()))
}

/// How a test ended on one backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The backend's name.
    pub backend: String,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a test ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As it should; what was done follows, in a few words.
    Pass(String),
    /// Not as it should; why.
    Fail(String),
    /// It cannot run there; why.
    NotApplicable(String),
}

impl Verdict {
    /// Says it on the console.
    ///
    /// # Errors
    /// Where nothing can be written there.
    pub fn say(&self) -> Result<()> {
        say(console_lines::VERDICT, self)
    }
}

/// In one write, so that no other process's words come in between.
pub(super) fn say(name: &str, what: &impl Serialize) -> Result<()> {
    let line = format!("{name}{}\n", serde_json::to_string(what)?);
    io::stderr().write_all(line.as_bytes()).context("write to the console")
}
