//! Outcomes of earlier runs, in a file of the project: a matrix takes hours, and goes on where it was, on another system
//! too.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use super::{Cell, Facts, Machine, Outcome, Test, Verdict, table::Row};

/// One outcome per line, beside `kernels.toml`.
const FILE: &str = "matrix.jsonl";
/// What every outcome depends on, besides the kernel. The rest of the exporter is in the guests, and is not what they test.
const SENSOR: [&str; 10] = [
    "ebpf",
    "exporter/build",
    "exporter/build.rs",
    "exporter/src/sensor",
    "exporter/src/sensor.rs",
    "e2e/src/accesses.rs",
    "e2e/src/accesses/sound.rs",
    "e2e/src/accesses/watch.rs",
    "e2e/src/bin/guest.rs",
    "e2e/src/bin/init.rs",
];
/// Tests, and what theirs depend on besides.
const PATHS: [(&[&str], &[&str]); 4] = [
    (&["check"], &[]),
    (&["accesses", "mutations"], &["e2e/src/accesses"]),
    (&["privileges", "lockdown"], &["e2e/src/privileges", "e2e/src/privileges.rs"]),
    // Every other.
    (&[], &["e2e/src/load", "e2e/src/load.rs"]),
];

/// What is known, and where it is kept.
#[derive(Debug)]
pub struct Results {
    file: PathBuf,
    /// What guests are built from now.
    revision: String,
    /// By machine and test.
    kept: Mutex<BTreeMap<(String, String), Kept>>,
}

/// How a test ended in a machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Kept {
    machine: String,
    test: String,
    /// The guest's arguments.
    guest: Vec<String>,
    release: String,
    revision: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    facts: Option<Facts>,
    verdicts: Vec<Verdict>,
}

impl Results {
    /// Reads what was seen with the sensor as it is now; nothing where all is to run afresh.
    ///
    /// # Errors
    /// The file cannot be read, or this is no git checkout.
    pub(super) fn open(fresh: bool) -> Result<Self> {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
        let mut kept = read(&file)?;
        let builds: BTreeSet<_> = kept.iter().map(Kept::build).collect();
        let same: BTreeSet<_> =
            builds.into_iter().filter(|(revision, paths)| !fresh && is_same(revision, paths)).collect();
        kept.retain(|kept| same.contains(&kept.build()));
        let kept = kept.into_iter().map(|kept| ((kept.machine.clone(), kept.test.clone()), kept)).collect();
        Ok(Self { file, revision: revision()?, kept: Mutex::new(kept) })
    }

    /// What a test came to. Failures run again, and so does all on a newer kernel.
    pub(super) fn get(&self, machine: &Machine, test: &'static Test) -> Option<Vec<Row>> {
        let kept = self.kept().get(&key(&machine.cell, test)).cloned()?;
        if kept.release != machine.kernel.release || kept.guest != test.guest {
            return None;
        }
        let facts = kept.facts;
        let row = |verdict| Row { cell: machine.cell.clone(), test, verdict, facts: facts.clone() };
        Some(kept.verdicts.into_iter().map(row).collect())
    }

    /// Keeps what it came to, unless it failed.
    pub(super) fn put(&self, machine: &Machine, test: &Test, rows: &[Row]) -> Result<()> {
        if rows.iter().any(|row| matches!(row.verdict.outcome, Outcome::Fail(_))) {
            return Ok(());
        }
        let key = key(&machine.cell, test);
        let new = Kept {
            machine: key.0.clone(),
            test: key.1.clone(),
            guest: test.guest.iter().map(|&word| word.to_owned()).collect(),
            release: machine.kernel.release.clone(),
            revision: self.revision.clone(),
            facts: rows.first().and_then(|row| row.facts.clone()),
            verdicts: rows.iter().map(|row| row.verdict.clone()).collect(),
        };
        let mut kept = self.kept();
        kept.insert(key, new);
        write(&self.file, kept.values())
    }

    /// What the guests were built from whose outcomes these tests' are.
    pub(super) fn revisions(&self, tests: &[&'static Test]) -> BTreeSet<String> {
        let kept = self.kept();
        let of = kept.values().filter(|kept| tests.iter().any(|test| test.name == kept.test));
        of.map(|kept| kept.revision.clone()).collect()
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<(String, String), Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(cell: &Cell, test: &Test) -> (String, String) {
    (cell.to_string(), test.name.to_owned())
}

fn read(file: &Path) -> Result<Vec<Kept>> {
    if !file.exists() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    let lines =
        text.lines().map(|line| serde_json::from_str(line).with_context(|| format!("{}: {line}", file.display())));
    lines.collect()
}

/// Whole or not at all: the run may be interrupted here.
fn write<'a>(file: &Path, kept: impl Iterator<Item = &'a Kept>) -> Result<()> {
    let lines = kept.map(|kept| Ok(serde_json::to_string(kept)? + "\n")).collect::<Result<String>>()?;
    let part = file.with_extension("part");
    fs::write(&part, lines).with_context(|| format!("write {}", part.display()))?;
    fs::rename(&part, file).with_context(|| format!("write {}", file.display()))
}

impl Kept {
    /// What it was seen with: a revision of these paths.
    fn build(&self) -> (String, &'static [&'static str]) {
        let of = PATHS.iter().find(|(tests, _)| tests.is_empty() || tests.contains(&&*self.test));
        (self.revision.clone(), of.map_or(&[], |(_, paths)| *paths))
    }
}

/// Whether the sensor and these paths are what they were at a revision.
fn is_same(revision: &str, paths: &[&str]) -> bool {
    git(&[&["diff", "--quiet", revision, "--"], &SENSOR[..], paths].concat()).is_ok()
}

/// The revision that guests are built from now.
fn revision() -> Result<String> {
    let head = git(&["rev-parse", "--short=12", "HEAD"])?;
    // Such a one is never the same again.
    let all: Vec<_> = PATHS.iter().flat_map(|(_, paths)| paths.iter().copied()).collect();
    Ok(if is_same(&head, &all) { head } else { head + "-changed" })
}

fn git(arguments: &[&str]) -> Result<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let output = Command::new("git").args(arguments).current_dir(root).output().context("run git")?;
    ensure!(output.status.success(), "git {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm::TESTS;

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        assert!(read(&file).unwrap().is_empty());
        let verdicts = vec![Verdict { backend: "kprobe".to_owned(), outcome: Outcome::Pass("all 3".to_owned()) }];
        let kept = Kept {
            machine: "6.12 x86_64 none".to_owned(),
            test: TESTS[0].name.to_owned(),
            guest: vec!["facts".to_owned()],
            release: "6.12.1".to_owned(),
            revision: "0123".to_owned(),
            facts: None,
            verdicts,
        };
        write(&file, [&kept, &kept].into_iter()).unwrap();
        let known = read(&file).unwrap();
        assert_eq!(format!("{known:?}"), format!("{:?}", [&kept, &kept]));
        fs::write(&file, "{}\n").unwrap();
        assert!(read(&file).is_err());
    }

    #[test]
    fn another_sensor_is_not_the_same() {
        assert!(!is_same("no-such-revision", &[]));
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for path in SENSOR.iter().chain(PATHS.iter().flat_map(|(_, paths)| *paths)) {
            assert!(root.join(path).exists(), "{path}");
        }
        for name in PATHS.iter().flat_map(|(tests, _)| *tests) {
            assert!(Test::named(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn a_test_depends_on_its_own_files() {
        let check = |test: &str, expected: &[&str]| {
            let mut kept = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE)).unwrap().remove(0);
            kept.test = test.to_owned();
            assert_eq!(kept.build(), (kept.revision.clone(), expected), "{test}");
        };
        check("check", &[]);
        check("mutations", &["e2e/src/accesses"]);
        check("lockdown", &["e2e/src/privileges", "e2e/src/privileges.rs"]);
        check("opens", &["e2e/src/load", "e2e/src/load.rs"]);
    }

    /// Whatever is in the file is of machines and tests that there are.
    #[test]
    fn the_projects_file_can_be_read() {
        let cells: BTreeSet<_> = Cell::all().unwrap().iter().map(ToString::to_string).collect();
        for kept in read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE)).unwrap() {
            assert!(cells.contains(&kept.machine) && Test::named(&kept.test).is_ok(), "{kept:?}");
        }
    }
}
