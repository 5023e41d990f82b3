//! Subcommands: from checked arguments to calls of [`crate::app`], and back to text and exit codes.

mod check;
mod generate;
pub mod oci_hook;
pub mod policy;
mod run;
mod trace;
mod verify;

use std::io;
use std::path::Path;
use std::process::ExitCode;

use thiserror::Error;

use crate::config::args::Command;
use crate::{app, config, policy_source};
pub use verify::VerifyError;

/// A command line that cannot be used (`EX_USAGE`, sysexits.h).
pub const EXIT_USAGE: u8 = 64;

/// Why a subcommand did not do its work.
#[derive(Debug, Error)]
pub enum Error {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// It cannot start.
    #[error(transparent)]
    App(#[from] app::Error),
    /// The globs of `--path` are too many.
    #[error("--path: {0}; give fewer or simpler globs")]
    Globs(globset::Error),
    /// The page that `man` was asked for does not exist.
    #[error("there is no page '{0}': leave it out, or name a subcommand")]
    NoPage(String),
    /// The OCI hook cannot be put into place or taken away.
    #[error(transparent)]
    Hook(#[from] oci_hook::HookError),
    /// A file of policies.
    #[error(transparent)]
    Policies(#[from] policy_source::Error),
    /// Policies are wrong; the text is `policy check`'s.
    #[error("policies are wrong:\n{0}")]
    WrongPolicies(String),
    /// Recorded events cannot be held against policies.
    #[error(transparent)]
    Test(#[from] policy::TestError),
    /// A trail cannot be read.
    #[error(transparent)]
    Verify(#[from] verify::VerifyError),
    /// stdout failed.
    #[error("cannot write to stdout: {0}")]
    Output(io::Error),
}

impl Error {
    /// 64 where the command line is at fault, else 1.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config(config::Error::Usage(_) | config::Error::Wrong { .. } | config::Error::Values { .. })
            | Self::Globs(_)
            | Self::NoPage(_) => EXIT_USAGE.into(),
            _ => ExitCode::FAILURE,
        }
    }
}

/// Does what the command line says.
///
/// # Errors
/// It was not done; nothing was printed about it yet.
pub fn execute(command: Command) -> Result<ExitCode, Error> {
    match command {
        Command::Run(args) => run::run(*args),
        Command::Trace(args) => trace::trace(*args),
        Command::Check(args) => check::check(*args),
        Command::Detach { pin_dir } => detach(&pin_dir),
        Command::OciHook(command) => oci_hook::run(&command),
        Command::Policy(command) => policy::run(command),
        Command::Verify(args) => verify::verify(*args),
        Command::Crd => generate::crd(),
        Command::Completions { shell } => generate::completions(shell),
        Command::Man { page } => generate::man(page.as_deref()),
    }
}

fn detach(pin_dir: &Path) -> Result<ExitCode, Error> {
    let programs = app::detach(pin_dir)?;
    print(format!("{programs} programs detached\n").as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// Width of the terminal that stdout is; nothing where it is none, or does not say.
fn columns() -> Option<u16> {
    rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| size.ws_col).filter(|columns| *columns > 0)
}

/// Writes a text to stdout. That nobody reads to its end (`inotrail man | head`) is no error.
fn print(text: &[u8]) -> Result<(), Error> {
    use io::Write;
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::Output(error)),
        _ => Ok(()),
    }
}
