//! A cgroup of its own for what is watched.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    process, thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use inotrail::container::cgroup::Hierarchy;

/// A new cgroup removed when dropped.
#[derive(Debug)]
pub struct Cgroup {
    folder: PathBuf,
    /// Its name below the root of the hierarchy.
    pub name: String,
    /// Its id in the kernel.
    pub id: u64,
}

impl Cgroup {
    /// Makes one.
    ///
    /// # Errors
    /// Where the hierarchy is not writable.
    pub fn new(hierarchy: &Hierarchy, name: &str) -> Result<Self> {
        let name = format!("inotrail-{name}-{}", process::id());
        let folder = hierarchy.root.join(&name);
        fs::create_dir(&folder).with_context(|| format!("make the cgroup {}", folder.display()))?;
        let id = fs::metadata(&folder)?.ino();
        Ok(Self { folder, name, id })
    }

    /// The file that takes processes in.
    #[must_use]
    pub fn procs(&self) -> PathBuf {
        self.folder.join("cgroup.procs")
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // A process that was waited for may still be on its way out.
        let deadline = Instant::now() + Duration::from_secs(5);
        while let Err(error) = fs::remove_dir(&self.folder) {
            if Instant::now() > deadline {
                eprintln!("{} stays behind: {error}", self.folder.display());
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}
