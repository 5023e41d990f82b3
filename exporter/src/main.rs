//! The binary `inotrail`: arguments, own log messages, subcommand, exit code.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use anyhow::anyhow;
use clap::FromArgMatches;
use inotrail::cli::{self, EXIT_USAGE};
use inotrail::config;
use inotrail::config::args::{Args, Command, LogArgs};
use inotrail::config::choice::LogFormat;
use inotrail::telemetry::OwnLogs;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    let mut command = match config::with_file(config::command(), &arguments) {
        Ok(command) => command,
        Err(error) => return fail(&error.into(), EXIT_USAGE.into()),
    };
    let args = match command.try_get_matches_from_mut(arguments) {
        Ok(matches) => Args::from_arg_matches(&matches).map_err(|error| error.format(&mut command)),
        Err(error) => Err(error),
    };
    let args = match args {
        Ok(args) => args,
        Err(error) => {
            // A closed stdout changes nothing about what was asked.
            let _closed = error.print();
            return if error.use_stderr() { EXIT_USAGE.into() } else { ExitCode::SUCCESS };
        }
    };
    // A quarter of a MiB, which an exporter would keep for as long as it runs.
    drop(command);
    let default = if matches!(args.command, Command::Run(_)) { "info" } else { "warn" };
    if let Err(error) = log(&args.log, default) {
        return fail(&error, EXIT_USAGE.into());
    }
    match cli::execute(args.command) {
        Ok(code) => code,
        Err(error) => {
            let code = error.exit_code();
            fail(&error.into(), code)
        }
    }
}

/// One line on stderr.
fn fail(error: &anyhow::Error, code: ExitCode) -> ExitCode {
    let _closed = writeln!(io::stderr(), "inotrail: {error:#}");
    code
}

fn log(args: &LogArgs, default: &str) -> anyhow::Result<()> {
    let level = args.log_level.as_deref().unwrap_or(default);
    let filter = EnvFilter::try_new(level)
        .map_err(|_| anyhow!("--log-level '{level}': expected error, warn, info, debug, trace, or target=level,..."))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match args.log_format {
        LogFormat::Text => log.with_ansi(io::stderr().is_terminal()).finish().with(OwnLogs::global()).init(),
        LogFormat::Json => log.json().flatten_event(true).finish().with(OwnLogs::global()).init(),
    }
    Ok(())
}
