//! What outlives a run: maps, programs and links in a folder of a BPF file system.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use inotrail_ebpf::{VERSION, map};
use rustix::fs::{FlockOperation, flock, statfs};

use super::memory::HandoverMap;

/// `BPF_FS_MAGIC` (include/uapi/linux/magic.h)
const BPF_FS: u64 = 0xcafe_4a11;
/// How the name of a link's pin starts.
const LINK: &str = "link_";
/// How long a start waits for an exporter that is on its way out.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it looks.
const PAUSE: Duration = Duration::from_millis(50);

/// Why nothing can be pinned.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a BPF file system.
    #[error("{0} is not on a BPF file system: mount one (mount -t bpf bpf /sys/fs/bpf), or leave out --pin-dir")]
    NotBpf(PathBuf),
    /// The folder cannot be used.
    #[error("cannot use {0} for pins: {1}")]
    Folder(PathBuf, io::Error),
    /// Another exporter runs.
    #[error("another exporter uses {0}: stop it, or give this one a --pin-dir of its own")]
    Busy(PathBuf),
}

/// This version's folder, for this process alone.
#[derive(Debug)]
pub(super) struct Pins {
    base: PathBuf,
    folder: PathBuf,
    _lock: OwnedFd,
}

impl Pins {
    /// Takes the folder, once an exporter that is being stopped has let go of it.
    ///
    /// # Errors
    /// See [`Error`].
    pub(super) fn lock(base: &Path) -> Result<Self, Error> {
        let unusable = |error: io::Error| Error::Folder(base.to_owned(), error);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(base).map_err(unusable)?;
        if statfs(base).map_err(|error| unusable(error.into()))?.f_type as u64 != BPF_FS {
            return Err(Error::NotBpf(base.to_owned()));
        }
        let lock: OwnedFd = fs::OpenOptions::new()
            .read(true)
            .custom_flags(rustix::fs::OFlags::DIRECTORY.bits().cast_signed())
            .open(base)
            .map_err(unusable)?
            .into();
        let start = Instant::now();
        while let Err(error) = flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            if error != rustix::io::Errno::WOULDBLOCK {
                return Err(unusable(error.into()));
            }
            if start.elapsed() > PATIENCE {
                return Err(Error::Busy(base.to_owned()));
            }
            thread::sleep(PAUSE);
        }
        let folder = base.join(VERSION.to_string());
        Ok(Self { base: base.to_owned(), folder, _lock: lock })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn map(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(super) fn link(&self, program: &str) -> PathBuf {
        self.folder.join(format!("{LINK}{program}"))
    }

    pub(super) fn program(&self, program: &str) -> PathBuf {
        self.folder.join(format!("program_{program}"))
    }

    /// Whether every map is there.
    pub(super) fn has_maps(&self) -> bool {
        map::PINNED.iter().all(|name| self.map(name).exists())
    }

    /// Programs whose links are there.
    pub(super) fn programs(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        names.filter_map(|name| name.strip_prefix(LINK).map(str::to_owned)).collect()
    }

    /// When the ring was last emptied, `CLOCK_BOOTTIME`.
    pub(super) fn drained_ns(&self) -> Option<u64> {
        drained_ns(&self.folder)
    }

    /// Makes the folder; what an incomplete start left in it goes.
    ///
    /// # Errors
    /// The file system refuses.
    pub(super) fn make(&self) -> io::Result<()> {
        match remove(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::DirBuilder::new().mode(0o700).create(&self.folder)
    }

    /// Detaches what is pinned under other versions. Returns when the ring of one of them was last emptied, as
    /// `CLOCK_BOOTTIME`.
    ///
    /// # Errors
    /// The file system refuses.
    pub(super) fn remove_others(&self) -> io::Result<Option<u64>> {
        let mut latest_ns = None;
        for entry in fs::read_dir(&self.base)? {
            let folder = entry?.path();
            if folder != self.folder {
                latest_ns = latest_ns.max(drained_ns(&folder));
                remove(&folder)?;
            }
        }
        Ok(latest_ns)
    }
}

/// Detaches what any exporter left attached, and forgets all of it: `inotrail detach`. Returns how many programs that were.
///
/// # Errors
/// See [`Error`].
pub fn unpin(base: &Path) -> Result<usize, Error> {
    if !base.exists() {
        return Ok(0);
    }
    let pins = Pins::lock(base)?;
    let unusable = |error: io::Error| Error::Folder(base.to_owned(), error);
    let mut programs = 0;
    for entry in fs::read_dir(&pins.base).map_err(unusable)? {
        programs += remove(&entry.map_err(unusable)?.path()).map_err(unusable)?;
    }
    fs::remove_dir(base).map_err(unusable)?;
    Ok(programs)
}

fn drained_ns(folder: &Path) -> Option<u64> {
    HandoverMap::open(&folder.join(map::HANDOVER)).ok().map(|map| map.get().drained_ns)
}

/// Links first: a program must not run without its maps' pins, or a start in between would take them for whole. Returns how
/// many links that were.
fn remove(folder: &Path) -> io::Result<usize> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.push(entry?.file_name());
    }
    let is_link = |name: &OsString| name.as_encoded_bytes().starts_with(LINK.as_bytes());
    let (links, others): (Vec<_>, Vec<_>) = names.into_iter().partition(is_link);
    for name in links.iter().chain(&others) {
        fs::remove_file(folder.join(name))?;
    }
    fs::remove_dir(folder)?;
    Ok(links.len())
}
