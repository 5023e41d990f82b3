//! Cgroups of our own: for servers that the exporter must leave out, for containers, and for what a test watches.

pub mod memory;
pub mod namespace;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use inotrail::container::cgroup::Hierarchy;

/// How long a cgroup may stay busy after its last process was told to end.
const BUSY: Duration = Duration::from_secs(5);

/// A cgroup that goes, with those below it, when this is dropped. Its processes must have ended by then.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
    directory: PathBuf,
}

impl Cgroup {
    /// A new one below this process's own, in the hierarchy that the exporter uses.
    ///
    /// # Errors
    /// No cgroup file system is mounted, or it is read-only.
    pub fn create(name: &str) -> Result<Self> {
        let hierarchy = Hierarchy::detect()?;
        let own = hierarchy.own_cgroup()?;
        let path = own.join(unique(name));
        let directory = hierarchy.directory(&path);
        fs::create_dir(&directory).with_context(|| format!("create the cgroup {}", directory.display()))?;
        Ok(Self { path, directory })
    }

    /// A new one at the top of the hierarchy that the exporter uses: in none of this process's scopes.
    ///
    /// # Errors
    /// No cgroup file system is mounted, or it is read-only.
    pub fn create_top(name: &str) -> Result<Self> {
        let top = Self::for_containers(name)?;
        fs::create_dir(&top.directory).with_context(|| format!("create the cgroup {}", top.directory.display()))?;
        Ok(top)
    }

    /// One that a container runtime will create, at the top of every hierarchy.
    ///
    /// # Errors
    /// No cgroup file system is mounted.
    pub fn for_containers(name: &str) -> Result<Self> {
        let path = Path::new("/").join(unique(name));
        let directory = Hierarchy::detect()?.directory(&path);
        Ok(Self { path, directory })
    }

    /// One that a kubelet takes as its root: at the top of every hierarchy, with all CPUs and memory nodes. Nobody else may
    /// have one of that name.
    ///
    /// # Errors
    /// No cgroup file system is mounted, or one is read-only.
    pub fn for_kubelet(name: &str) -> Result<Self> {
        let path = Path::new("/").join(name);
        let top = Self { directory: Hierarchy::detect()?.directory(&path), path };
        for root in mounts() {
            let directory = below(&root, &top.path);
            // A hierarchy may be mounted twice.
            fs::create_dir_all(&directory).with_context(|| format!("create the cgroup {}", directory.display()))?;
            // Version 1 starts a cgroup without any, and then no process may enter it.
            for file in ["cpuset.cpus", "cpuset.mems"] {
                if let Ok(all) = fs::read(root.join(file)) {
                    fs::write(directory.join(file), all).with_context(|| format!("write {file} of the cgroup"))?;
                }
            }
        }
        Ok(top)
    }

    /// Adds one below it, and says where its files are.
    ///
    /// # Errors
    /// It cannot be created.
    pub fn add(&self, name: &str) -> Result<PathBuf> {
        let directory = self.directory.join(name);
        fs::create_dir(&directory).with_context(|| format!("create the cgroup {}", directory.display()))?;
        Ok(directory)
    }

    /// The file that takes processes in.
    #[must_use]
    pub fn procs(&self) -> PathBuf {
        self.directory.join("cgroup.procs")
    }

    /// Its path, as in `/proc/PID/cgroup`: what `--exclude-cgroup` and `--cgroup-root` take.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        remove(&self.directory);
        // Container runtimes create theirs in every version 1 hierarchy.
        for root in mounts() {
            remove(&below(&root, &self.path));
        }
    }
}

/// So that processes that run side by side, and tests of one process, do not share one.
fn unique(name: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{name}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The directory of a cgroup in a hierarchy.
fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// Where cgroup hierarchies are mounted.
fn mounts() -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    fields
        .filter(|fields| matches!(fields[..], [_, _, "cgroup" | "cgroup2", ..]))
        .map(|fields| fields[1].into())
        .collect()
}

/// Removes a cgroup and those below it; says so where one cannot be removed.
fn remove(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        remove(&entry.path());
    }
    let started = Instant::now();
    while let Err(error) = fs::remove_dir(directory) {
        if error.kind() == ErrorKind::NotFound {
            return;
        }
        if started.elapsed() > BUSY {
            return eprintln!("cannot remove the cgroup {}: {error}", directory.display());
        }
        thread::sleep(Duration::from_millis(10));
    }
}
