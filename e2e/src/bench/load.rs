//! Accesses of several containers at a steady rate.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;

use anyhow::{Result, ensure};

use crate::accesses::{base, spawn};
use crate::cgroup::Cgroup;
use crate::exporter::built;
use crate::load::{ALARM, Paced};

/// Each makes an equal part of the load.
pub(super) const CONTAINERS: u32 = 10;

/// Processes that open files, each in a cgroup that is named as a container's.
pub(super) struct Load {
    paced: Paced,
    guests: Vec<Child>,
    cgroup: Cgroup,
    folder: tempfile::TempDir,
}

impl Load {
    /// Starts nothing yet.
    pub(super) fn new(rate: u32, seconds: u32) -> Result<Self> {
        let per_container = rate / CONTAINERS;
        ensure!(
            rate > 0 && per_container * CONTAINERS == rate && per_container.is_multiple_of(100),
            "--rate {rate}: a multiple of {} is wanted",
            CONTAINERS * 100
        );
        let folder = tempfile::tempdir()?;
        let policy = format!(
            "apiVersion: inotrail.dev/v1alpha1\nkind: ClusterFileAccessPolicy\nmetadata: {{name: load}}\nspec:\n  rules:\n  \
             - {{name: all, paths: ['/**']}}\n  - {{name: alarm, paths: ['**/{ALARM}'], severity: high, action: violation}}\n"
        );
        fs::write(folder.path().join("policy.yaml"), policy)?;
        let paced = Paced { rate: per_container, seconds };
        Ok(Self { paced, guests: Vec::new(), cgroup: Cgroup::create_top("inotrail-load")?, folder })
    }

    /// What the exporter is to report.
    pub(super) fn cgroup(&self) -> &Path {
        self.cgroup.path()
    }

    /// A record of every access, and violations among them.
    pub(super) fn policy(&self) -> PathBuf {
        self.folder.path().join("policy.yaml")
    }

    pub(super) fn start(&mut self) -> Result<()> {
        let guest = built("guest")?;
        for number in 0..CONTAINERS {
            let procs = self.cgroup.add(&format!("{number:064x}"))?.join("cgroup.procs");
            self.guests.push(spawn(&guest, &self.paced.arguments(), &procs)?);
        }
        Ok(())
    }

    /// Waits for the end. Returns how many accesses there were.
    pub(super) fn wait(&mut self) -> Result<u64> {
        for mut guest in self.guests.drain(..) {
            let status = guest.wait()?;
            ensure!(status.success(), "the guest: {status}");
        }
        Ok(self.paced.opens() * u64::from(CONTAINERS))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for guest in &mut self.guests {
            // One that has ended is not killed.
            drop(guest.kill());
            drop(guest.wait());
        }
        // Made by whoever is spawned.
        fs::remove_dir(base()).ok();
    }
}
