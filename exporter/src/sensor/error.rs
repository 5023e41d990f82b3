//! Why no sensor runs, and what came of each backend.

use super::privileges::Missing;
use super::{backend, btf, layout, pins, scopes, self_test};
use crate::event::Backend;

/// Why no sensor runs.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No usable type information.
    #[error(transparent)]
    Btf(#[from] btf::Error),
    /// The kernel's layout is not known.
    #[error(transparent)]
    Layout(#[from] layout::Unresolved),
    /// A configured cgroup does not exist.
    #[error(transparent)]
    Scope(#[from] scopes::Error),
    /// Nothing can be pinned.
    #[error(transparent)]
    Pins(#[from] pins::Error),
    /// This process may not load eBPF programs.
    #[error("missing {}: run as root, or give the container these capabilities", list(.0))]
    Capability(Vec<Missing>),
    /// This kernel lets no program read its memory.
    #[error("{}", backend::CONFIDENTIAL)]
    Lockdown,
    /// No backend works here.
    #[error("no backend works on this kernel ({}); `inotrail check` tells more", reasons(.0))]
    NoBackend(Vec<Attempt>),
}

/// What is missing and what for, in one line.
fn list(missing: &[Missing]) -> String {
    missing.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}

fn reasons(attempts: &[Attempt]) -> String {
    let reason = |attempt: &Attempt| {
        format!(
            "{}: {}",
            attempt.backend.as_str(),
            attempt.failure.as_ref().map_or_else(String::new, ToString::to_string)
        )
    };
    attempts.iter().map(reason).collect::<Vec<_>>().join("; ")
}

/// What came of trying one backend.
#[derive(Debug)]
pub struct Attempt {
    /// The backend.
    pub backend: Backend,
    /// Why it does not run; nothing where it does.
    pub failure: Option<AttemptError>,
}

/// Why a backend that was tried does not run.
#[derive(Debug, thiserror::Error)]
pub enum AttemptError {
    /// A program was refused.
    #[error(transparent)]
    Program(#[from] backend::Error),
    /// The maps could not be made.
    #[error("cannot make the maps: {0}")]
    Maps(String),
    /// The filter could not be set.
    #[error(transparent)]
    Scope(#[from] scopes::Error),
    /// It attached and did not report the sentinel exactly once.
    #[error(transparent)]
    SelfTest(#[from] self_test::Failure),
}
