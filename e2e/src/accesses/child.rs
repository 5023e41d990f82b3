//! The process that accesses: the guest program once more, in a mount namespace of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{self, Command, ExitStatus},
};

use anyhow::{Context as _, Result, ensure};
use rustix::mount::{MountFlags, mount};

use super::{Case, Place, cases};

/// A process that performs one case.
#[derive(Debug)]
pub struct Child {
    child: process::Child,
    /// Where it does so.
    pub place: Place,
}

impl Child {
    /// Starts the guest program on a case. Its files are on a file system that goes with it.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn spawn(guest: &Path, case: &Case, procs: &Path) -> Result<Self> {
        let base = base();
        fs::create_dir_all(&base).with_context(|| format!("create {}", base.display()))?;
        // unshare(1) becomes the guest: the process stays the same.
        let child = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "--"])
            .arg(guest)
            .args(["access", case.name])
            .arg(&base)
            .arg(procs)
            .spawn()
            .context("start unshare")?;
        let place = Place { folder: base.join(case.name), pid: child.id() };
        Ok(Self { child, place })
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// Where it cannot be waited for.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        self.child.wait().context("wait for the child")
    }
}

/// The part of the guest that is such a child: prepares the case, enters the cgroup that is watched, and accesses.
///
/// # Errors
/// Where there is no such case, or it does not work out as the case says.
pub fn access(name: &str, base: &Path, procs: &Path) -> Result<()> {
    let case = cases().find(|case| case.name == name).with_context(|| format!("no case {name}"))?;
    ensure!(process::id() != 1, "process 1 does not access");
    mount("tmpfs", base, "tmpfs", MountFlags::empty(), None).context("mount a tmpfs")?;
    let folder = base.join(name);
    fs::create_dir(&folder)?;
    (case.setup)(&folder).with_context(|| format!("{name}: setup"))?;
    fs::write(procs, "0").with_context(|| format!("enter {}", procs.display()))?;
    (case.access)(&folder).with_context(|| format!("{name}: access"))
}

/// Where the cases' file system is mounted; the folder below stays empty.
fn base() -> PathBuf {
    std::env::temp_dir().join("inotrail-accesses")
}
