//! The cgroup hierarchy in which containers live, and its tree.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};

mod mount;

use super::path::as_path;
use mount::Mount;

/// Directories that one scan visits at most: as many as the table of containers holds.
pub const SCAN_MAX: usize = 65_536;

/// One cgroup hierarchy. Cgroup ids mean something only inside theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// Where it is mounted.
    pub root: PathBuf,
    /// `None`: version 2. `Some("memory")`, `Some("pids")`: that controller's version 1 hierarchy.
    pub controller: Option<&'static str>,
    /// As `/proc/cgroups` and `/proc/self/cgroup` number it; 0 is version 2.
    pub id: u32,
    /// Path inside the hierarchy of the directory that is mounted at `root`.
    prefix: PathBuf,
    /// Path inside the hierarchy of the root of this process's cgroup namespace, from where `/proc/PID/cgroup` names cgroups: in a pod
    /// its container's own cgroup. `None`: not found.
    namespace: Option<PathBuf>,
}

/// Why no hierarchy could be chosen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of `/proc` could not be read.
    #[error("cannot read {0}: mount /proc")]
    Proc(&'static str, #[source] io::Error),
    /// Nothing is mounted that could hold containers.
    #[error("no cgroup file system is mounted: mount /sys/fs/cgroup (in a container: the host's, read-only)")]
    NotMounted,
}

impl Hierarchy {
    /// Chooses the hierarchy in which containers live: version 2 where it has the memory or the pids controller, else
    /// version 1's memory, else its pids, else version 2 whatever it has.
    ///
    /// That version 2 is mounted says nothing: on hybrid nodes it is there too, empty, or with a left-over controller.
    ///
    /// # Errors
    ///
    /// [`Error`], where `/proc` cannot be read or no cgroup file system is mounted.
    pub fn detect() -> Result<Self, Error> {
        let mounts = read("/proc/self/mountinfo")?;
        let cgroups = read("/proc/self/cgroup")?;
        let has_controllers = |root: &Path| {
            fs::read_to_string(root.join("cgroup.controllers"))
                .is_ok_and(|list| list.split_whitespace().any(|name| name == "memory" || name == "pids"))
        };
        let mut chosen = choose(&mounts, &cgroups, has_controllers).ok_or(Error::NotMounted)?;
        if chosen.namespace.is_none() {
            chosen.namespace = chosen.own_namespace(&cgroups);
        }
        Ok(chosen)
    }

    /// The root of the cgroup namespace, found by who is where: `/proc` hides its name from those who are in it.
    fn own_namespace(&self, cgroups: &[u8]) -> Option<PathBuf> {
        let (_, shown) = mount::membership(cgroups, self.controller)?;
        let (own, mut found) = (std::process::id().to_string(), None);
        let is_here = |list: String| list.lines().any(|pid| pid == own);
        let visit = |_, path: &Path| {
            if found.is_none() && fs::read_to_string(self.directory(path).join("cgroup.procs")).is_ok_and(is_here) {
                found = Some(path.to_owned());
            }
        };
        let _all = self.scan(visit).ok()?;
        mount::root_of(&found?, as_path(shown))
    }

    /// A hierarchy whose tree is a directory made by a test.
    #[cfg(test)]
    pub(crate) fn at(root: &Path) -> Self {
        Self { root: root.to_owned(), controller: None, id: 0, prefix: "/".into(), namespace: Some("/".into()) }
    }

    /// Calls `visit` with id and path of every cgroup, parents first, until [`SCAN_MAX`]; false: there were more.
    ///
    /// The path is the one inside the hierarchy, as the kernel reports it: it starts with `/`, and the root is `/`.
    /// Cgroups that vanish meanwhile are left out.
    ///
    /// # Errors
    ///
    /// The mount itself cannot be read.
    pub fn scan(&self, mut visit: impl FnMut(u64, &Path)) -> io::Result<bool> {
        visit(self.id_of(Path::new(""))?, &self.prefix);
        let mut left = SCAN_MAX - 1;
        let mut found = vec![self.prefix.clone()];
        while let Some(parent) = found.pop() {
            let Ok(entries) = fs::read_dir(self.directory(&parent)) else { continue };
            for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
                if left == 0 {
                    return Ok(false);
                }
                left -= 1;
                let path = parent.join(entry.file_name());
                // `d_ino`: the same number as `st_ino`, without a call per directory.
                visit(entry.ino(), &path);
                found.push(path);
            }
        }
        Ok(true)
    }

    /// Id of the cgroup at `path` (inside the hierarchy).
    ///
    /// # Errors
    ///
    /// There is none, or it is outside of what is mounted.
    pub fn id_of(&self, path: &Path) -> io::Result<u64> {
        fs::metadata(self.directory(path)).map(|metadata| metadata.ino())
    }

    /// Path of the cgroup that a process is in, as the kernel reports cgroups: it starts with `/`.
    ///
    /// # Errors
    ///
    /// The process has ended, or it is not known where `/proc` counts from.
    pub fn cgroup_of_process(&self, pid: u32) -> io::Result<Box<[u8]>> {
        self.cgroup_in(&fs::read(format!("/proc/{pid}/cgroup"))?).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// The same of what a `/proc/PID/cgroup` says. `None`: it does not name this hierarchy, or it is not known where it counts from.
    #[must_use]
    pub fn cgroup_in(&self, memberships: &[u8]) -> Option<Box<[u8]>> {
        let (_, shown) = mount::membership(memberships, self.controller)?;
        let path = mount::resolve(self.namespace.as_deref()?, as_path(shown))?;
        Some(path.into_os_string().into_encoded_bytes().into())
    }

    /// Path of the cgroup that this process is in.
    ///
    /// # Errors
    /// As [`Self::cgroup_of_process`].
    pub fn own_cgroup(&self) -> io::Result<PathBuf> {
        Ok(as_path(&self.cgroup_of_process(std::process::id())?).to_owned())
    }

    /// Where the files of the cgroup at `path` (inside the hierarchy) are.
    #[must_use]
    pub fn directory(&self, path: &Path) -> PathBuf {
        let below = path.strip_prefix(&self.prefix).or_else(|_| path.strip_prefix("/")).unwrap_or(path);
        if below.as_os_str().as_bytes().is_empty() { self.root.clone() } else { self.root.join(below) }
    }
}

fn read(file: &'static str) -> Result<Vec<u8>, Error> {
    fs::read(file).map_err(|error| Error::Proc(file, error))
}

fn choose(mounts: &[u8], cgroups: &[u8], has_controllers: impl Fn(&Path) -> bool) -> Option<Hierarchy> {
    let unified = Mount::widest(mounts, None);
    if let Some(mount) = &unified
        && has_controllers(&mount.point)
    {
        return hierarchy(unified?, cgroups, None);
    }
    for controller in ["memory", "pids"] {
        if let Some(mount) = Mount::widest(mounts, Some(controller)) {
            return hierarchy(mount, cgroups, Some(controller));
        }
    }
    hierarchy(unified?, cgroups, None)
}

fn hierarchy(mount: Mount, cgroups: &[u8], controller: Option<&'static str>) -> Option<Hierarchy> {
    let (id, _) = mount::membership(cgroups, controller)?;
    // Where nothing above it is mounted, it is all that there is.
    let namespace = (mount.above == 0).then(|| "/".into());
    Some(Hierarchy { root: mount.point, controller, id, prefix: mount.prefix, namespace })
}

#[cfg(test)]
mod tests;
