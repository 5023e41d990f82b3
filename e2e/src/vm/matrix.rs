//! `e2e matrix`: every test in every machine, and the README's table of what came of it.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;

use super::{
    Cell, Plan, Test, plan, readme,
    results::Results,
    table::{passed, table},
};

/// Runs every test in every machine and writes the README's table. What passed on the same kernel, and with the sensor as it
/// is now, is kept in e2e/matrix.jsonl and does not run again: commit that file, and another system goes on with it.
#[derive(Debug, Parser)]
pub struct Args {
    /// Run all afresh
    #[arg(long)]
    fresh: bool,
    /// Test; all where none is named, and the README's table says which
    #[arg(long)]
    test: Vec<String>,
    /// Machines at a time; each has two CPUs
    #[arg(long, default_value_t = plan::jobs())]
    jobs: usize,
    /// Look for newer packages of the kernels
    #[arg(long)]
    update: bool,
}

impl Args {
    /// Runs it all.
    ///
    /// # Errors
    /// Where a test fails, a machine cannot be made or the README not be written.
    pub fn run(&self) -> Result<()> {
        let cells = Cell::all()?;
        let results = Results::open(self.fresh)?;
        let tests = Test::all_named(&self.test)?;
        let mut plan = Plan::new(&cells, &tests, BTreeMap::new(), self.update)?.without_repeats();
        plan.jobs = self.jobs;
        let rows = plan.run(Some(&results))?;
        eprint!("\n{}", table(&rows));
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("README.md");
        let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        let date = jiff::Zoned::now().date().to_string();
        let revisions = results.revisions(&tests).into_iter().collect::<Vec<_>>().join(", ");
        let run = format!("{date}, sensor of revision {revisions}");
        let text = readme::replaced(&text, &readme::section(&rows, &cells, &run))?;
        fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
        eprintln!("wrote the table into {}", file.display());
        ensure!(passed(&rows), "not all tests passed");
        Ok(())
    }
}
