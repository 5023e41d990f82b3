//! Folders that go when they are done with.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rustix::mount::{UnmountFlags, unmount};

/// A folder for what a server keeps: the given one, which stays, or a temporary one, which goes when this is dropped.
#[derive(Debug)]
pub enum Folder {
    /// The caller's.
    Given(PathBuf),
    /// Ours.
    Temporary(tempfile::TempDir),
}

impl Folder {
    /// The given folder, created where it is missing, or a temporary one.
    ///
    /// # Errors
    /// It cannot be created.
    pub fn new(given: Option<&Path>) -> Result<Self> {
        let Some(path) = given else {
            let mut builder = tempfile::Builder::new();
            return Ok(Self::Temporary(builder.prefix("inotrail-").tempdir().context("create a temporary folder")?));
        };
        fs::create_dir_all(path).with_context(|| format!("create {}", path.display()))?;
        Ok(Self::Given(path.canonicalize()?))
    }
}

/// Unmounts whatever is mounted below `path`, the innermost first; says so where something cannot be.
pub fn unmount_below(path: &Path) {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let points: Vec<_> = mounts.lines().filter_map(|line| line.split(' ').nth(1)).map(Path::new).collect();
    for point in points.into_iter().rev().filter(|point| point.starts_with(path)) {
        if let Err(error) = unmount(point, UnmountFlags::DETACH) {
            eprintln!("cannot unmount {}: {error}", point.display());
        }
    }
}

impl AsRef<Path> for Folder {
    fn as_ref(&self) -> &Path {
        match self {
            Self::Given(path) => path,
            Self::Temporary(folder) => folder.path(),
        }
    }
}
