//! `inotrail policy`: what can be said of policies before they are in force.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use super::{Error, print};
use crate::config::args::PolicyCommand;
use crate::policy::Policy;
use crate::policy::document::Problem;
use crate::policy_source;

mod explain;
mod test;

pub use test::TestError;

pub(super) fn run(command: PolicyCommand) -> Result<ExitCode, Error> {
    match command {
        PolicyCommand::Check { files } => check(&files),
        PolicyCommand::Explain { files } => explain::explain(&files),
        PolicyCommand::Test(args) => test::test(&args),
    }
}

fn check(files: &[PathBuf]) -> Result<ExitCode, Error> {
    let (policies, problems) = policy_source::read(files)?;
    if problems.is_empty() {
        let rules: usize = policies.iter().map(|policy| policy.rules.len()).sum();
        print(format!("{} policies with {rules} rules are right\n", policies.len()).as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    print(list(&problems).as_bytes())?;
    Ok(ExitCode::FAILURE)
}

/// Policies that are all right.
fn read(files: &[PathBuf]) -> Result<Vec<Policy>, Error> {
    let (policies, problems) = policy_source::read(files)?;
    if problems.is_empty() { Ok(policies) } else { Err(Error::WrongPolicies(list(&problems).trim_end().to_owned())) }
}

/// `FILE:LINE:COLUMN: what`, one per line.
fn list(problems: &[(PathBuf, Problem)]) -> String {
    problems.iter().fold(String::new(), |mut text, (file, problem)| {
        // Writing to memory does not fail.
        let _written = writeln!(text, "{}:{problem}", file.display());
        text
    })
}
