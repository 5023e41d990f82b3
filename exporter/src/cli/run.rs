//! `inotrail run`: the exporter.

use std::process::ExitCode;

use super::Error;
use crate::config::args::RunArgs;
use crate::config::given::Given;
use crate::{app, config};

pub(super) fn run(args: RunArgs) -> Result<ExitCode, Error> {
    app::reload::ignore_hangups().map_err(app::Error::Start)?;
    let config = config::Run::try_from(args)?;
    let arguments: Vec<_> = std::env::args_os().collect();
    let (given, _) = Given::read(&arguments).outcome?;
    app::run(&config, arguments, given)?;
    Ok(ExitCode::SUCCESS)
}
