//! Every chosen test in every chosen machine.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::{Mutex, PoisonError},
    thread,
    time::Instant,
};

use anyhow::{Context as _, Result};
use inotrail::event::Backend;
use tempfile::TempDir;

use super::{
    BACKENDS, Cell, Facts, Machine, Outcome, Programs, TESTS, Test, Verdict,
    results::Results,
    table::{Row, list},
};
use crate::kernels::Line;

/// What is to run, and how.
#[derive(Debug)]
pub struct Plan {
    pairs: Vec<(Machine, &'static Test)>,
    /// The backends to test.
    pub backends: Vec<Backend>,
    /// Machines at a time.
    pub jobs: usize,
    /// Keep the logs of tests that pass.
    pub keep: bool,
    /// Holds the guests.
    _folder: TempDir,
}

/// Machines that this system runs at a time: each has two CPUs.
pub(super) fn jobs() -> usize {
    thread::available_parallelism().map_or(1, |cpus| cpus.get().div_ceil(2))
}

impl Plan {
    /// Every test in every machine. Fetches the kernels, and builds the guests but those that are `given`, by architecture.
    ///
    /// # Errors
    /// Where either fails.
    pub fn new(
        cells: &[Cell],
        tests: &[&'static Test],
        mut given: BTreeMap<String, Programs>,
        update: bool,
    ) -> Result<Self> {
        let folder = tempfile::tempdir().context("make a folder for the guests")?;
        let mut programs = BTreeMap::new();
        let mut kernels = BTreeMap::new();
        let mut pairs = Vec::new();
        for cell in cells {
            let Line { line, arch, .. } = &cell.line;
            let kernel = match kernels.entry((line, arch)) {
                Entry::Occupied(kernel) => kernel.into_mut(),
                Entry::Vacant(place) => place.insert(cell.line.fetch(update)?),
            };
            let programs = match programs.entry(arch.clone()) {
                Entry::Occupied(programs) => programs.into_mut(),
                Entry::Vacant(place) => {
                    let built = given.remove(arch).map_or_else(|| Programs::build(arch), Ok)?;
                    let folder = folder.path().join(arch);
                    let mut programs = built.stripped(arch, &folder)?;
                    if tests.iter().any(|test| test.image) {
                        programs = programs.with_image(arch, &folder)?;
                    }
                    place.insert(programs)
                }
            };
            let (kernel, programs) = (kernel.clone(), programs.clone());
            let machine = Machine { cell: cell.clone(), kernel, programs, keep: false };
            pairs.extend(tests.iter().map(|test| (machine.clone(), *test)));
        }
        Ok(Self { pairs, backends: BACKENDS.to_vec(), jobs: jobs(), keep: false, _folder: folder })
    }

    /// Without the runs on other preemption models of tests that are for one.
    #[must_use]
    pub(super) fn without_repeats(mut self) -> Self {
        self.pairs.retain(|(machine, test)| !test.once || machine.cell.is_last_model());
        self
    }

    /// Runs it all, and says each outcome as it comes. What is in `kept` does not run again.
    ///
    /// # Errors
    /// Where a machine cannot be made.
    pub fn run(&self, kept: Option<&Results>) -> Result<Vec<Row>> {
        // What is most asked for comes first, on every machine.
        let mut pairs: Vec<_> = self.pairs.iter().enumerate().collect();
        pairs.sort_by_key(|(_, (_, test))| TESTS.iter().position(|it| it.name == test.name));
        let total = pairs.len();
        let queue = Mutex::new(pairs.into_iter().enumerate());
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        let work = || -> Result<Vec<(usize, Vec<Row>)>> {
            let mut done = Vec::new();
            while let Some((turn, (number, (machine, test)))) = next() {
                let (what, start) = (format!("[{}/{total}] {} {}", turn + 1, machine.cell, test.name), Instant::now());
                eprintln!("{what}");
                let rows = self.pair(machine, test, kept)?;
                eprintln!("{what}: {:.1?}\n{}", start.elapsed(), list(&rows));
                done.push((number, rows));
            }
            Ok(done)
        };
        let mut rows = thread::scope(|scope| -> Result<Vec<_>> {
            let workers: Vec<_> = (0..self.jobs.max(1)).map(|_| scope.spawn(work)).collect();
            let mut rows = Vec::new();
            for worker in workers {
                rows.extend(worker.join().ok().context("a thread of the matrix panicked")??);
            }
            Ok(rows)
        })?;
        rows.sort_by_key(|(number, _)| *number);
        Ok(rows.into_iter().flat_map(|(_, rows)| rows).collect())
    }

    /// One test in one machine, on every backend.
    fn pair(&self, machine: &Machine, test: &'static Test, kept: Option<&Results>) -> Result<Vec<Row>> {
        if let Some(rows) = kept.and_then(|kept| kept.get(machine, test)) {
            return Ok(rows);
        }
        let machine = Machine { keep: self.keep, ..machine.clone() };
        let asked: Vec<_> = self.backends.iter().copied().filter(|backend| test.backends.contains(backend)).collect();
        // Only the first test is for backends that are refused: it must see them refused.
        let asks = test.asks();
        let refused = |backend: &Backend| machine.cell.line.refused.get(backend.as_str());
        let (out, run): (Vec<_>, Vec<_>) = asked.iter().partition(|backend| !asks && refused(backend).is_some());
        let told = machine.run(test, &run)?;
        let skipped = out.iter().map(|backend| Verdict {
            backend: backend.as_str().to_owned(),
            outcome: Outcome::NotApplicable(refused(backend).cloned().unwrap_or_default()),
        });
        let mut verdicts: Vec<_> = told.verdicts.into_iter().chain(skipped).collect();
        if asks {
            for verdict in &mut verdicts {
                judge(verdict, &machine, told.facts.as_ref());
            }
        }
        let rows: Vec<_> = verdicts
            .into_iter()
            .map(|verdict| Row { cell: machine.cell.clone(), test, verdict, facts: told.facts.clone() })
            .collect();
        if let Some(kept) = kept {
            kept.put(&machine, test, &rows)?;
        }
        Ok(rows)
    }
}

/// Holds what the machine says about a backend against what `kernels.toml` says.
fn judge(verdict: &mut Verdict, machine: &Machine, facts: Option<&Facts>) {
    let Cell { line, preempt } = &machine.cell;
    let Some(facts) = facts else {
        verdict.outcome = Outcome::Fail("the guest told no facts".to_owned());
        return;
    };
    let wrong = match (&verdict.outcome, line.refused.get(&verdict.backend)) {
        _ if facts.release != machine.kernel.release => Some(format!("the machine runs {}", facts.release)),
        _ if preempt.as_ref().is_some_and(|model| *model != facts.preemption) => {
            Some(format!("the preemption model is {}", facts.preemption))
        }
        (Outcome::NotApplicable(why), None) => Some(format!("must work and does not: {why}")),
        (Outcome::NotApplicable(why), Some(known)) if !why.contains(known) => {
            Some(format!("refused for another reason than {known}: {why}"))
        }
        (Outcome::Pass(_), Some(known)) => Some(format!("works, and kernels.toml says it is refused: {known}")),
        _ => None,
    };
    if let Some(wrong) = wrong {
        verdict.outcome = Outcome::Fail(wrong);
    }
}
