//! The calls that cases make, and the file they make them on.

use std::fs;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_res_gid, set_thread_res_uid};

/// A descriptor number that nothing else uses: expected events name it.
pub(super) const DESCRIPTOR: i32 = 100;
/// Any user but root.
pub(super) const USER: u32 = 1000;

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

/// Opens a file for reading, under the number [`DESCRIPTOR`].
pub(super) fn numbered(path: impl AsRef<Path>) -> Result<OwnedFd> {
    let file = rustix::fs::open(path.as_ref(), OFlags::RDONLY, Mode::empty())?;
    renumbered(&file)
}

/// The same file, under the number [`DESCRIPTOR`].
pub(super) fn renumbered(file: &OwnedFd) -> Result<OwnedFd> {
    let file = rustix::io::fcntl_dupfd_cloexec(file, DESCRIPTOR)?;
    ensure!(file.as_raw_fd() == DESCRIPTOR, "descriptor {DESCRIPTOR} is taken");
    Ok(file)
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

/// Becomes another user, who keeps root's rights or does not.
pub(super) fn become_user(effective: u32) -> Result<()> {
    let (user, effective) = (Uid::from_raw(USER), Uid::from_raw(effective));
    set_thread_res_gid(Gid::from_raw(USER), Gid::from_raw(USER), Gid::from_raw(USER))?;
    set_thread_res_uid(user, effective, effective)?;
    Ok(())
}
