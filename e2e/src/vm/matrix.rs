//! `e2e matrix`: every test in every machine, and the README's table of what came of it.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;

use super::{
    Cell, Plan, Test, plan, readme,
    results::Results,
    table::{passed, table},
};

/// Runs every test in every machine and writes the README's table. A run that was interrupted goes on where it was:
/// what passed with the same programs on the same kernel is kept.
#[derive(Debug, Parser)]
pub struct Args {
    /// Run all afresh
    #[arg(long)]
    fresh: bool,
    /// Go on with the guests of the run before, though the code has changed since: the README's table says which they are
    #[arg(long, conflicts_with = "fresh")]
    resume: bool,
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
        let (given, built) = if self.resume { results.guests()? } else { (BTreeMap::new(), built()?) };
        let mut plan = Plan::new(&cells, &Test::all_named(&self.test)?, given, self.update)?.without_repeats();
        plan.jobs = self.jobs;
        results.keep_guests(&plan.programs(), &built)?;
        let rows = plan.run(Some(&results))?;
        eprint!("\n{}", table(&rows));
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("README.md");
        let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        let date = jiff::Zoned::now().date().to_string();
        let run = format!("{date}, guests of {built}");
        let text = readme::replaced(&text, &readme::section(&rows, &cells, &run))?;
        fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
        eprintln!("wrote the table into {}", file.display());
        ensure!(passed(&rows), "not all tests passed");
        Ok(())
    }
}

/// The revision that guests are built from now.
fn built() -> Result<String> {
    let mut git = Command::new("git");
    git.args(["describe", "--always", "--dirty"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = git.output().context("run git")?;
    ensure!(output.status.success(), "git describe: {}", String::from_utf8_lossy(&output.stderr));
    Ok(format!("revision {}", String::from_utf8(output.stdout)?.trim()))
}
