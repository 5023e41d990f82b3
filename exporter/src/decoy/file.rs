//! One decoy in one container's root: made, and taken out again.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat, fchmod, fstat, openat, openat2, statat, unlinkat,
};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::Refused;
use crate::policy::decoy::Decoy;

/// Which file it is.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

/// What became of a decoy that is to be taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Removed {
    /// It is gone.
    Now,
    /// It had gone before.
    Before,
    /// Somebody has changed or replaced it, and it stays.
    Changed,
}

/// Makes a decoy where nothing is yet. `root`: the container's.
pub(super) fn plant(root: BorrowedFd<'_>, decoy: &Decoy) -> Result<Identity, Refused> {
    let (folder, name) = place(root, &decoy.path)?;
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(openat(&folder, name, flags, Mode::empty())?);
    let identity = Identity::of(&fstat(&file)?);
    let written = file
        .write_all(decoy.content.as_bytes())
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
        .and_then(|()| fchmod(&file, Mode::from_raw_mode(decoy.mode)));
    if let Err(error) = written {
        unlink(&folder, name, identity)?;
        return Err(error.into());
    }
    Ok(identity)
}

/// Takes a decoy out if it is as it was made. Without its identity: if it looks like that, and was made at `since` (seconds of
/// the Unix epoch) or later.
pub(super) fn remove(
    root: BorrowedFd<'_>,
    decoy: &Decoy,
    identity: Option<Identity>,
    since: i64,
) -> Result<Removed, Refused> {
    let found = match find(root, decoy, identity, since) {
        Err(Refused::NoFolder) | Ok(Found::Nothing) => return Ok(Removed::Before),
        Err(Refused::Link | Refused::OtherMount) | Ok(Found::Other) => return Ok(Removed::Changed),
        Err(other) => return Err(other),
        Ok(Found::Same(identity)) => identity,
    };
    let (folder, name) = place(root, &decoy.path)?;
    // Whoever replaces it right now with a file of his own has that taken out: it is in his own root, and there is no call
    // that names the file.
    Ok(if unlink(&folder, name, found)? { Removed::Now } else { Removed::Changed })
}

/// What is where a decoy was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Same(Identity),
    Other,
    Nothing,
}

/// Looks whether a decoy is there as it was made; see [`remove`].
pub(super) fn find(
    root: BorrowedFd<'_>,
    decoy: &Decoy,
    identity: Option<Identity>,
    since: i64,
) -> Result<Found, Refused> {
    let (folder, name) = place(root, &decoy.path)?;
    // A device or a pipe must not be opened.
    let file = match openat(&folder, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(Found::Nothing),
        file => file?,
    };
    let stat = fstat(&file)?;
    let found = Identity::of(&stat);
    let is_it = match identity {
        Some(identity) => identity == found,
        None => stat.st_ctime >= since,
    };
    let is_same = is_it
        && FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
        && Mode::from_raw_mode(stat.st_mode).as_raw_mode() == decoy.mode
        && stat.st_uid == rustix::process::geteuid().as_raw()
        && stat.st_size == decoy.content.len() as i64
        && has_content(&file, &decoy.content).unwrap_or(false);
    Ok(if is_same { Found::Same(found) } else { Found::Other })
}

fn has_content(file: &OwnedFd, content: &str) -> io::Result<bool> {
    let mut bytes = Vec::new();
    let open = File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    open.take(content.len() as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes == content.as_bytes())
}

/// The folder of a path, and the name there. No link is followed, no other mount is entered, and the root is not left.
fn place<'a>(root: BorrowedFd<'_>, path: &'a str) -> Result<(OwnedFd, &'a str), Refused> {
    let (folder, name) = path.rsplit_once('/').ok_or(Refused::NoFolder)?;
    let folder = if folder.is_empty() { "/" } else { folder };
    let flags = ResolveFlags::IN_ROOT | ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let open = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok((openat2(root, folder, open, Mode::empty(), flags)?, name))
}

/// False: it is another file, which stays.
fn unlink(folder: &OwnedFd, name: &str, identity: Identity) -> Result<bool, Errno> {
    match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if Identity::of(&stat) == identity => unlinkat(folder.as_fd(), name, AtFlags::empty()).map(|()| true),
        Ok(_) | Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

impl Identity {
    fn of(stat: &Stat) -> Self {
        Self { device: stat.st_dev, inode: stat.st_ino }
    }
}

impl From<Errno> for Refused {
    fn from(error: Errno) -> Self {
        match error {
            Errno::EXIST => Self::Exists,
            Errno::XDEV => Self::OtherMount,
            Errno::LOOP => Self::Link,
            Errno::NOENT | Errno::NOTDIR => Self::NoFolder,
            Errno::ROFS => Self::ReadOnly,
            Errno::ACCESS | Errno::PERM => Self::Denied,
            other => Self::Io(other),
        }
    }
}

#[cfg(test)]
mod tests;
