//! `inotrail completions` and `inotrail man`, made from the definition of the command line; `inotrail crd`, from that of
//! policies.

use std::process::ExitCode;

use clap_complete::Shell;
use clap_mangen::Man;

use super::{Error, print};
use crate::config;
use crate::policy::crd;

pub(super) fn completions(shell: Shell) -> Result<ExitCode, Error> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut config::command(), "inotrail", &mut script);
    print(&script)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn crd() -> Result<ExitCode, Error> {
    print(crd::definitions().as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn man(page: Option<&str>) -> Result<ExitCode, Error> {
    let mut command = config::command();
    // Hands global flags down to subcommands and gives these their full names.
    command.build();
    if let Some(page) = page {
        let found = command.find_subcommand(page).cloned().ok_or_else(|| Error::NoPage(page.to_owned()))?;
        command = found.display_name(format!("inotrail-{page}"));
    }
    let mut text = Vec::new();
    Man::new(command).render(&mut text).map_err(Error::Output)?;
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}
