//! Outcomes of earlier runs, so that an interrupted matrix goes on where it was.

use std::{collections::BTreeMap, fs, path::PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::{Facts, Machine, Outcome, Programs, Test, Verdict, table::Row};
use crate::{digest::sha256, kernels};

/// Folder of the guests of the last run, by architecture, and the file that says what they were built from.
const GUESTS: &str = "guests";
const BUILT: &str = "built-from";

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

    /// The guests of the run before by architecture, and what they were built from.
    ///
    /// # Errors
    /// Where there are none.
    pub(super) fn guests(&self) -> Result<(BTreeMap<String, Programs>, String)> {
        let folder = self.folder.join(GUESTS);
        let missing = || format!("no guests of a run before in {}: leave --resume out", folder.display());
        let built = fs::read_to_string(folder.join(BUILT)).with_context(missing)?;
        let mut guests = BTreeMap::new();
        for entry in fs::read_dir(&folder).with_context(missing)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                let [init, guest] = ["init", "guest"].map(|name| entry.path().join(name));
                guests.insert(entry.file_name().to_string_lossy().into_owned(), Programs { init, guest });
            }
        }
        Ok((guests, built))
    }

    /// Keeps the guests for a run that goes on with them.
    ///
    /// # Errors
    /// Where they cannot be copied.
    pub(super) fn keep_guests(&self, guests: &BTreeMap<&str, &Programs>, built: &str) -> Result<()> {
        let folder = self.folder.join(GUESTS);
        for (arch, Programs { init, guest }) in guests {
            let folder = folder.join(arch);
            fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
            for (program, name) in [(init, "init"), (guest, "guest")] {
                let copy = folder.join(name);
                fs::copy(program, &copy).with_context(|| format!("write {}", copy.display()))?;
            }
        }
        fs::write(folder.join(BUILT), built).with_context(|| format!("write to {}", folder.display()))
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
