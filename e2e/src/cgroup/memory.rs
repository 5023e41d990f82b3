//! What the kernel charges a process for memory: what a container's limit counts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

/// A cgroup that counts memory, in whichever version does so here. It goes when this is dropped; its processes must have ended by
/// then.
#[derive(Debug)]
pub struct MemoryCgroup {
    directory: PathBuf,
    /// Of the version.
    names: &'static Names,
}

/// Files of it.
#[derive(Debug)]
struct Names {
    limit: &'static str,
    peak: &'static str,
    events: &'static str,
}

/// Documentation/admin-guide/cgroup-v1/memory.rst
const VERSION_1: Names =
    Names { limit: "memory.limit_in_bytes", peak: "memory.max_usage_in_bytes", events: "memory.oom_control" };
/// Documentation/admin-guide/cgroup-v2.rst
const VERSION_2: Names = Names { limit: "memory.max", peak: "memory.peak", events: "memory.events" };

impl MemoryCgroup {
    /// A new one at the top, without a limit.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new(name: &str) -> Result<Self> {
        let version_1 = Path::new("/sys/fs/cgroup/memory");
        let (root, names) =
            if version_1.is_dir() { (version_1, &VERSION_1) } else { (Path::new("/sys/fs/cgroup"), &VERSION_2) };
        let directory = root.join(super::unique(name));
        fs::create_dir(&directory).with_context(|| format!("create the cgroup {}", directory.display()))?;
        Ok(Self { directory, names })
    }

    /// Bytes that are charged at most.
    ///
    /// # Errors
    /// It has no such file.
    pub fn limit(&self, bytes: u64) -> Result<()> {
        let file = self.directory.join(self.names.limit);
        fs::write(&file, bytes.to_string()).with_context(|| format!("write {}", file.display()))
    }

    /// The command as one that first enters it.
    #[must_use]
    pub fn enter(&self, command: &Command) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", r#"echo $$ > "$0/cgroup.procs" && exec "$@""#]).arg(&self.directory);
        shell.arg(command.get_program()).args(command.get_args());
        shell
    }

    /// The most bytes that were charged so far: also the pages of files that nobody else had read, and the kernel's own for it.
    ///
    /// # Errors
    /// The kernel does not note it (version 2 before 5.19).
    pub fn peak(&self) -> Result<u64> {
        let text = self.read(self.names.peak)?;
        text.trim().parse().with_context(|| format!("{}: {text}", self.names.peak))
    }

    /// How often somebody was killed for want of memory.
    ///
    /// # Errors
    /// It has no such file.
    pub fn kills(&self) -> Result<u64> {
        let text = self.read(self.names.events)?;
        let count = text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok());
        count.with_context(|| format!("{}: {text}", self.names.events))
    }

    fn read(&self, name: &str) -> Result<String> {
        let file = self.directory.join(name);
        fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))
    }
}

impl Drop for MemoryCgroup {
    fn drop(&mut self) {
        fs::remove_dir(&self.directory).ok();
    }
}
