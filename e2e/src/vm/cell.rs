//! A cell of the matrix: a kernel line, an architecture and a preemption model.

use std::fmt;

use anyhow::Result;

use crate::kernels::Line;

/// One kind of machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The kernel line, which has the architecture.
    pub line: Line,
    /// The preemption model on the command line; where there is none, the kernel's own.
    pub preempt: Option<String>,
}

impl Cell {
    /// All cells of `kernels.toml`, in its order.
    ///
    /// # Errors
    /// Where the file is not what it should be.
    pub fn all() -> Result<Vec<Self>> {
        Ok(Line::all()?.into_iter().flat_map(Self::of).collect())
    }

    /// One cell of `kernels.toml`.
    ///
    /// # Errors
    /// Where there is no such line.
    pub fn named(line: &str, arch: &str, preempt: Option<&str>) -> Result<Self> {
        Ok(Self { line: Line::named(line, arch)?, preempt: preempt.map(str::to_owned) })
    }

    fn of(line: Line) -> Vec<Self> {
        if line.preempt.is_empty() {
            return vec![Self { line, preempt: None }];
        }
        line.preempt.iter().map(|model| Self { line: line.clone(), preempt: Some(model.clone()) }).collect()
    }

    /// Whether the kernel's line names no other preemption model after this one.
    pub(super) fn is_last_model(&self) -> bool {
        self.line.preempt.last() == self.preempt.as_ref()
    }

    /// The preemption model as the command line and the tables name it; `default` is the kernel's own.
    #[must_use]
    pub fn model(&self) -> &str {
        self.preempt.as_deref().unwrap_or("default")
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.line.line, self.line.arch, self.model())
    }
}
