//! `inotrail run`: the exporter.

use std::process::ExitCode;

use super::Error;
use crate::config::args::RunArgs;
use crate::{app, config};

pub(super) fn run(args: RunArgs) -> Result<ExitCode, Error> {
    let config = config::Run::try_from(args)?;
    app::run(&config)?;
    Ok(ExitCode::SUCCESS)
}
