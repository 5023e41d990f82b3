//! A process with a root of its own, like a container's, that does to files what it is told.

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _, stdin, stdout};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::mount::{mount_bind, mount_move};
use rustix::process::chroot;

/// One that lives; it ends when this is dropped.
#[derive(Debug)]
pub struct Puppet {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// What it can do; paths are its own.
#[derive(Clone, Copy, Debug)]
pub enum Order<'a> {
    /// Opens a file to read it.
    Read(&'a str),
    /// Makes a file, or opens it to write it anew.
    Write(&'a str),
    /// Gives a file another name, in place of the one that has it.
    Rename(&'a str, &'a str),
    /// Gives a file a further name.
    Link(&'a str, &'a str),
    /// Makes the second path a symbolic link to the first.
    Symlink(&'a str, &'a str),
    /// Mounts the first path at the second, which is made.
    Bind(&'a str, &'a str),
    /// Makes a directory.
    Mkdir(&'a str),
}

impl Puppet {
    /// Starts the guest program, which has the first part of a puppet; `procs`: the file by which it enters its cgroup.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(guest: &Path, base: &Path, procs: &Path) -> Result<Self> {
        fs::create_dir_all(base).with_context(|| format!("create {}", base.display()))?;
        let mut command = Command::new(guest);
        command.arg("watched").args([base, procs]).arg("puppet");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("start a puppet")?;
        let orders = child.stdin.take().context("its input")?;
        let answers = BufReader::new(child.stdout.take().context("its output")?);
        let mut puppet = Self { child, orders, answers };
        puppet.answer()?;
        Ok(puppet)
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Has it do something, and waits until it is done.
    ///
    /// # Errors
    /// It cannot.
    pub fn order(&mut self, order: Order<'_>) -> Result<()> {
        let words = match order {
            Order::Read(path) => ["read", path, ""],
            Order::Write(path) => ["write", path, ""],
            Order::Rename(from, to) => ["rename", from, to],
            Order::Link(from, to) => ["link", from, to],
            Order::Symlink(from, to) => ["symlink", from, to],
            Order::Bind(from, to) => ["bind", from, to],
            Order::Mkdir(path) => ["mkdir", path, ""],
        };
        writeln!(self.orders, "{}", words.join("\t"))?;
        self.answer().with_context(|| format!("{order:?}"))
    }

    fn answer(&mut self) -> Result<()> {
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        ensure!(answer == "done\n", "a puppet says {answer:?}");
        Ok(())
    }
}

impl Drop for Puppet {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

/// The puppet's own part, in a mount namespace of its own whose `base` is empty: makes that its root, enters the cgroup, and
/// obeys until its input ends.
///
/// # Errors
/// It cannot have a root of its own.
pub fn obey(base: &Path, procs: &Path) -> Result<()> {
    let mut procs = OpenOptions::new().write(true).open(procs).context("open the cgroup")?;
    // Where the root is the kernel's first one, it cannot be exchanged (pivot_root(2)), but covered.
    env::set_current_dir(base)?;
    mount_move(".", "/").context("cover the root")?;
    chroot(".").context("change the root")?;
    env::set_current_dir("/")?;
    procs.write_all(b"0").context("enter the cgroup")?;
    drop(procs);
    say("done")?;
    for line in stdin().lines() {
        let line = line?;
        let words: Vec<_> = line.split('\t').collect();
        match words[..].try_into().map_err(|_| anyhow::anyhow!("no order: {line:?}")).and_then(act) {
            Ok(()) => say("done")?,
            Err(error) => say(&format!("{error:#}"))?,
        }
    }
    Ok(())
}

fn say(answer: &str) -> Result<()> {
    let mut output = stdout();
    writeln!(output, "{answer}")?;
    Ok(output.flush()?)
}

fn act([what, path, other]: [&str; 3]) -> Result<()> {
    match what {
        "read" => drop(File::open(path)?.read(&mut [0])?),
        "write" => drop(File::create(path)?),
        "rename" => fs::rename(path, other)?,
        "link" => fs::hard_link(path, other)?,
        "symlink" => symlink(path, other)?,
        "mkdir" => fs::create_dir(path)?,
        "bind" => {
            if Path::new(path).is_dir() {
                fs::create_dir(other)?;
            } else {
                drop(File::create(other)?);
            }
            mount_bind(path, other)?;
        }
        _ => bail!("no order: {what}"),
    }
    Ok(())
}
