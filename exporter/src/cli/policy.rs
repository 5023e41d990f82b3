//! `inotrail policy`: what can be said of policies before they are in force.

use std::fmt::Write as _;
use std::process::ExitCode;

use super::{Error, print};
use crate::config::args::PolicyCommand;
use crate::policy_source;

pub(super) fn run(command: PolicyCommand) -> Result<ExitCode, Error> {
    match command {
        PolicyCommand::Check { files } => check(&files),
    }
}

fn check(files: &[std::path::PathBuf]) -> Result<ExitCode, Error> {
    let (policies, problems) = policy_source::read(files)?;
    if problems.is_empty() {
        let rules: usize = policies.iter().map(|policy| policy.rules.len()).sum();
        print(format!("{} policies with {rules} rules are right\n", policies.len()).as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = String::new();
    for (file, problem) in problems {
        // Writing to memory does not fail.
        let _written = writeln!(text, "{}:{problem}", file.display());
    }
    print(text.as_bytes())?;
    Ok(ExitCode::FAILURE)
}
