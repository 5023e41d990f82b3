//! The calls that cases make, and the file they make them on.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// Opens and closes a file by its absolute path.
pub(super) fn open(path: impl AsRef<Path>, flags: OFlags) -> Result<()> {
    rustix::fs::open(path.as_ref(), flags, Mode::from_raw_mode(0o600))?;
    Ok(())
}

/// Tries to, and must fail with this error.
pub(super) fn refused(path: impl AsRef<Path>, flags: OFlags, errno: Errno) -> Result<()> {
    match rustix::fs::open(path.as_ref(), flags, Mode::from_raw_mode(0o600)) {
        Ok(_) => bail!("the open was not refused"),
        Err(error) => ensure!(error == errno, "refused with {error}, and not {errno}"),
    }
    Ok(())
}

/// Makes the one file that most cases need.
pub(super) fn one_file(folder: &Path) -> Result<()> {
    fs::write(folder.join("file"), "content")?;
    Ok(())
}

/// Becomes the program.
pub(super) fn execute(path: impl AsRef<Path>) -> Result<()> {
    let error = Command::new(path.as_ref()).exec();
    Err(error).with_context(|| format!("execute {}", path.as_ref().display()))
}
