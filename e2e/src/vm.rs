//! Test machines: Debian's kernels in QEMU, a first program of our own, and every test on every kernel.

pub mod boot;
mod cell;
mod console;
mod facts;
mod machine;
mod matrix;
mod plan;
pub(crate) mod programs;
pub(crate) mod qemu;
mod readme;
mod results;
mod table;
mod test;
mod verdict;

use anyhow::{Result, ensure};
use clap::Parser;
use inotrail::event::Backend;

use crate::kernels::Line;

pub use cell::Cell;
pub use facts::{BackendFacts, Facts};
pub use machine::Machine;
pub use matrix::Args as MatrixArgs;
pub use plan::Plan;
pub use programs::Programs;
pub use qemu::Threads;
pub use results::Results;
pub use table::{Row, passed};
pub use test::{TESTS, Test};
pub use verdict::{BACKENDS, Outcome, Verdict, backend};

/// Lines on the console by which the programs in a machine and the harness understand each other.
pub mod console_lines {
    /// The machine is up; the kernel's release follows.
    pub const UP: &str = "inotrail-up ";
    /// The guest ended as it should.
    pub const PASS: &str = "inotrail-pass";
    /// It did not; the reason follows.
    pub const FAIL: &str = "inotrail-fail ";
    /// What kind of machine this is: [`Facts`](super::Facts) in JSON.
    pub const FACTS: &str = "inotrail-facts ";
    /// How a test ended on one backend: [`Verdict`](super::Verdict) in JSON.
    pub const VERDICT: &str = "inotrail-verdict ";
}

/// Where the first program finds the guest's arguments, each ended by NUL.
pub const ARGUMENTS: &str = "/arguments";
/// Where the first program finds the modules to load, in order of their names.
pub const MODULES: &str = "/modules";

/// `e2e vm`: runs tests in machines.
#[derive(Debug, Parser)]
pub struct Args {
    /// Kernel line, such as 6.12; all where none is named
    #[arg(long, value_name = "LINE")]
    kernel: Vec<String>,
    /// Architecture; all where none is named
    #[arg(long)]
    arch: Vec<String>,
    /// Preemption model; all of each kernel where none is named
    #[arg(long, value_name = "MODEL")]
    preempt: Vec<String>,
    /// Test; all where none is named
    #[arg(long)]
    test: Vec<String>,
    /// Backend; all where none is named
    #[arg(long, value_parser = backend)]
    backend: Vec<Backend>,
    /// Machines at a time; each has two CPUs
    #[arg(long, default_value_t = plan::jobs())]
    jobs: usize,
    /// Look for newer packages of the kernels
    #[arg(long)]
    update: bool,
    /// Keep the console logs and the initramfs of tests that pass
    #[arg(long)]
    keep: bool,
    /// Print the machines and the tests, and run nothing
    #[arg(long)]
    list: bool,
}

impl Args {
    /// Builds the guest and runs the tests.
    ///
    /// # Errors
    /// Where a test fails or a machine cannot be made.
    pub fn run(&self) -> Result<()> {
        let cells = self.cells()?;
        let tests = Test::all_named(&self.test)?;
        if self.list {
            for cell in &cells {
                eprintln!("{cell}");
            }
            for test in &tests {
                eprintln!("{}: guest {}", test.name, test.guest.join(" "));
            }
            return Ok(());
        }
        let mut plan = Plan::new(&cells, &tests, std::collections::BTreeMap::new(), self.update)?;
        if self.test.is_empty() {
            plan = plan.without_repeats();
        }
        plan.jobs = self.jobs;
        plan.keep = self.keep;
        if !self.backend.is_empty() {
            plan.backends.clone_from(&self.backend);
        }
        let results = plan.run(None)?;
        eprint!("\n{}", table::table(&results));
        ensure!(table::passed(&results), "not all tests passed");
        Ok(())
    }

    fn cells(&self) -> Result<Vec<Cell>> {
        let named = |names: &[String], name: &str| names.is_empty() || names.iter().any(|known| known == name);
        let all = Cell::all()?;
        let absent = |name: &String, of: fn(&Cell) -> &str| !all.iter().any(|cell| of(cell) == name);
        let unknown = (self.kernel.iter().find(|name| absent(name, |cell| &cell.line.line)))
            .or_else(|| self.arch.iter().find(|name| absent(name, |cell| &cell.line.arch)))
            .or_else(|| self.preempt.iter().find(|name| absent(name, Cell::model)));
        ensure!(unknown.is_none(), "nothing in kernels.toml is {}: try --list", unknown.map_or("", |name| name));
        let wanted = |line: &Line| named(&self.kernel, &line.line) && named(&self.arch, &line.arch);
        let cells: Vec<_> =
            all.into_iter().filter(|cell| wanted(&cell.line) && named(&self.preempt, cell.model())).collect();
        ensure!(!cells.is_empty(), "no kernel in kernels.toml is all of that: try --list");
        Ok(cells)
    }
}
