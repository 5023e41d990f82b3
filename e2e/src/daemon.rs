//! A server that runs while its guard lives.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
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
    log: Option<PathBuf>,
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
        command.stdout(output.try_clone()?).stderr(output);
        let child = spawn(name, command)?;
        Ok(Self { name: name.to_owned(), child, log: Some(log) })
    }

    /// Starts a program whose standard output is read by the caller; its errors go where ours go.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn start_piped(name: &str, command: &mut Command) -> Result<(Self, ChildStdout)> {
        interrupt::defer();
        let mut child = spawn(name, command.stdout(Stdio::piped()))?;
        let output = child.stdout.take();
        let daemon = Self { name: name.to_owned(), child, log: None };
        Ok((daemon, output.context("its output was not piped")?))
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
        waited.with_context(|| format!("the end of its log:\n{}", self.tail()))
    }

    /// Waits until its log has this text.
    ///
    /// # Errors
    /// See [`Self::wait_ready`].
    pub fn wait_logged(&mut self, limit: Duration, text: &str) -> Result<()> {
        let log = self.log.clone();
        self.wait_ready(limit, || read(log.as_deref()).contains(text))
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written into its log so far, both streams.
    #[must_use]
    pub fn log(&self) -> String {
        read(self.log.as_deref())
    }

    /// Sends SIGKILL, and waits until it has ended.
    ///
    /// # Errors
    /// It cannot be sent.
    pub fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
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

/// What can be read of a log.
fn read(log: Option<&Path>) -> String {
    let bytes = log.and_then(|log| fs::read(log).ok()).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop();
    }
}

fn spawn(name: &str, command: &mut Command) -> Result<Child> {
    command.stdin(Stdio::null()).process_group(0).spawn().with_context(|| format!("start {name}"))
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
