//! A cgroup of its own for what is watched.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process, thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

/// A new cgroup in the hierarchy where containers live, removed when dropped.
#[derive(Debug)]
pub struct Cgroup {
    folder: PathBuf,
    /// Its id in the kernel.
    pub id: u64,
}

impl Cgroup {
    /// Makes one: in version 2 where its root has controllers, else in version 1's memory hierarchy.
    ///
    /// # Errors
    /// Where the hierarchy is not mounted or not writable.
    pub fn new(name: &str) -> Result<Self> {
        let root = Path::new("/sys/fs/cgroup");
        let version_2 = root.join("cgroup.controllers").exists();
        let root = if version_2 { root.to_owned() } else { root.join("memory") };
        let folder = root.join(format!("inotrail-{name}-{}", process::id()));
        fs::create_dir(&folder).with_context(|| format!("make the cgroup {}", folder.display()))?;
        let id = fs::metadata(&folder)?.ino();
        Ok(Self { folder, id })
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
