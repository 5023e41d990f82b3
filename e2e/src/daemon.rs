//! A server that runs while its guard lives.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::interrupt;

/// How long a server may take to stop before it is killed.
const STOP: Duration = Duration::from_secs(15);
/// Lines of a log that a message shows.
const TAIL: usize = 15;

/// A running server; dropping this stops it.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts a program with its output in `folder/<name>.log`, in the cgroup whose directory is given.
    ///
    /// It gets a process group of its own: a terminal's Ctrl-C reaches us, and we stop it.
    ///
    /// # Errors
    /// The program or the log cannot be opened.
    pub fn start(name: &str, command: &mut Command, folder: &Path, cgroup: Option<&Path>) -> Result<Self> {
        interrupt::defer();
        let log = folder.join(format!("{name}.log"));
        let output = File::create(&log).with_context(|| format!("create {}", log.display()))?;
        let mut wrapped = cgroup.map(|cgroup| joined(cgroup, command));
        let command = wrapped.as_mut().unwrap_or(command);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).process_group(0);
        let child = command.spawn().with_context(|| format!("start {name}"))?;
        Ok(Self { name: name.to_owned(), child, log })
    }

    /// Waits until `ready` says yes.
    ///
    /// # Errors
    /// It ends instead, or is not ready within `limit`; both with the end of its log.
    pub fn wait_ready(&mut self, limit: Duration, mut ready: impl FnMut() -> bool) -> Result<()> {
        let what = format!("readiness of {}", self.name);
        let waited = interrupt::wait_for(&what, limit, || {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended: {status}", self.name);
            }
            Ok(ready().then_some(()))
        });
        waited.with_context(|| format!("{}:\n{}", self.log.display(), self.tail()))
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written so far, both streams.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Sends SIGTERM and waits until it has ended; kills it after a while.
    pub fn stop(&mut self) {
        if let Err(error) = self.try_stop() {
            eprintln!("cannot stop {}: {error}", self.name);
        }
    }

    fn try_stop(&mut self) -> io::Result<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let started = std::time::Instant::now();
        // Not `wait_for`: an interrupt is why we are here.
        while self.child.try_wait()?.is_none() {
            if started.elapsed() > STOP {
                eprintln!("{} does not stop: killed", self.name);
                self.child.kill()?;
                self.child.wait()?;
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn tail(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(TAIL)..].join("\n")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The same command, which enters a cgroup before it starts the program.
fn joined(cgroup: &Path, command: &Command) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", r#"echo $$ > "$0/cgroup.procs" && exec "$@""#]).arg(cgroup);
    shell.arg(command.get_program()).args(command.get_args());
    for (key, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(key, value),
            None => shell.env_remove(key),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        shell.current_dir(folder);
    }
    shell
}

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

impl AsRef<Path> for Folder {
    fn as_ref(&self) -> &Path {
        match self {
            Self::Given(path) => path,
            Self::Temporary(folder) => folder.path(),
        }
    }
}

impl AsRef<OsStr> for Folder {
    fn as_ref(&self) -> &OsStr {
        AsRef::<Path>::as_ref(self).as_os_str()
    }
}
