//! Outcomes of earlier runs, so that an interrupted matrix goes on where it was.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::{Facts, Machine, Outcome, Programs, Test, Verdict, table::Row};
use crate::{digest::sha256, kernels};

/// A folder per build of the programs, a file per machine and test.
#[derive(Debug)]
pub struct Results {
    folder: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    facts: Option<Facts>,
    verdicts: Vec<Verdict>,
}

impl Results {
    /// Opens the folder; what is in it goes where all is to run afresh.
    ///
    /// # Errors
    /// Where the folder cannot be removed.
    pub(super) fn open(fresh: bool) -> Result<Self> {
        let folder = kernels::cache()?.join("matrix");
        if fresh && folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("remove {}", folder.display()))?;
        }
        Ok(Self { folder })
    }

    /// What a test came to, of the same programs on the same kernel. Failures run again.
    pub(super) fn get(&self, machine: &Machine, test: &'static Test) -> Option<Vec<Row>> {
        let content = fs::read(self.path(machine, test).ok()?).ok()?;
        let Kept { facts, verdicts } = serde_json::from_slice(&content).ok()?;
        let row = |verdict| Row { cell: machine.cell.clone(), test, verdict, facts: facts.clone() };
        Some(verdicts.into_iter().map(row).collect())
    }

    /// Keeps what it came to, unless it failed.
    pub(super) fn put(&self, machine: &Machine, test: &Test, rows: &[Row]) -> Result<()> {
        if rows.iter().any(|row| matches!(row.verdict.outcome, Outcome::Fail(_))) {
            return Ok(());
        }
        let path = self.path(machine, test)?;
        let kept = Kept {
            facts: rows.first().and_then(|row| row.facts.clone()),
            verdicts: rows.iter().map(|row| row.verdict.clone()).collect(),
        };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        }
        // Whole or not at all: the run may be interrupted here.
        let part = path.with_extension("part");
        fs::write(&part, serde_json::to_vec(&kept)?).with_context(|| format!("write {}", part.display()))?;
        fs::rename(&part, &path).with_context(|| format!("write {}", path.display()))
    }

    /// Named by all that the outcome depends on.
    fn path(&self, machine: &Machine, test: &Test) -> Result<PathBuf> {
        let Programs { init, guest } = &machine.programs;
        let mut all = format!("{test:?} {:?}", machine.cell).into_bytes();
        for program in [init, guest] {
            all.extend(fs::read(program).with_context(|| format!("read {}", program.display()))?);
        }
        let name = format!("{}-{}-{}.json", machine.kernel.release, machine.cell.model(), test.name);
        Ok(self.folder.join(sha256(&all)).join(name))
    }
}
