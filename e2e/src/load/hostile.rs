//! Processes that try to make the sensor tell of another file than the one that is opened.

mod descriptor;
mod mounts;
mod request;

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::ValueEnum;
use inotrail::{event::Backend, sensor::Record};

use super::{Books, Reader, run};
use crate::accesses::base;

/// What a process changes while another of its threads opens a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Attack {
    /// The descriptor that the open returns is made to be another file, or closed, before the call ends.
    Descriptor,
    /// The memory that holds the path.
    Request,
    /// The mounts that the file lies on.
    Mounts,
}

/// How much is opened, under which attack.
#[derive(Clone, Copy, Debug)]
pub struct Hostile {
    /// What is changed meanwhile.
    pub attack: Attack,
    /// Opens.
    pub opens: usize,
}

impl Attack {
    /// Its name on the command line.
    fn name(self) -> &'static str {
        match self {
            Self::Descriptor => "descriptor",
            Self::Request => "request",
            Self::Mounts => "mounts",
        }
    }
}

impl Hostile {
    /// Lets the guest attack: no record is lost, none tells of a file that was not opened without saying that it may, and
    /// none holds a name that the guest did not make.
    ///
    /// # Errors
    /// Where one does, or the attack changed nothing and so proves nothing.
    pub fn prove(self, backend: Backend, guest: &Path, reader: Reader) -> Result<()> {
        let name = format!("{}: {}", backend.as_str(), self.attack.name());
        let proved = match self.attack {
            Attack::Descriptor => descriptor::prove(self, backend, guest, reader),
            Attack::Request => request::prove(self, backend, guest, reader),
            Attack::Mounts => mounts::prove(self, backend, guest, reader),
        };
        eprintln!("{name}: {} opens: {}", self.opens, proved.with_context(|| name.clone())?);
        Ok(())
    }

    /// Runs the guest, gives every access to `each`, and makes sure that none was lost.
    fn run(
        self,
        backend: Backend,
        guest: &Path,
        reader: Reader,
        mut each: impl FnMut(&inotrail::event::Access<'_>) -> Result<()>,
    ) -> Result<Books> {
        let arguments = ["hostile", self.attack.name(), &self.opens.to_string()];
        let books = run(backend, guest, reader, &arguments, |record| {
            let Record::Access(access) = record else { return Ok(()) };
            each(access).with_context(|| {
                let (path, requested) = (access.path.escape_ascii(), access.requested.escape_ascii());
                format!("{path} (requested {requested}) {}: {:?}", access.confidence(), access.header)
            })
        })?;
        ensure!(books.ring_full == 0 && books.gaps == 0 && books.backwards == 0, "the ring was too small: {books:?}");
        Ok(books)
    }
}

/// The guest's part.
///
/// # Errors
/// Where the cgroup cannot be entered, or a call fails in an unexpected way.
pub fn attack(hostile: Hostile, folder: &Path, procs: &Path) -> Result<()> {
    let enter = || fs::write(procs, "0").with_context(|| format!("enter {}", procs.display()));
    match hostile.attack {
        Attack::Descriptor => descriptor::attack(hostile.opens, folder, enter),
        Attack::Request => request::attack(hostile.opens, folder, enter),
        Attack::Mounts => mounts::attack(hostile.opens, folder, enter),
    }
}

/// Runs `meanwhile` again and again in threads of their own until all of `opening` has ended.
fn against(opening: &[&(dyn Fn() -> Result<()> + Sync)], meanwhile: &[&(dyn Fn() -> Result<()> + Sync)]) -> Result<()> {
    let done = AtomicBool::new(false);
    let done = &done;
    thread::scope(|scope| {
        let changing: Vec<_> = meanwhile
            .iter()
            .map(|change| {
                scope.spawn(move || {
                    while !done.load(Ordering::Relaxed) {
                        change()?;
                    }
                    Ok(())
                })
            })
            .collect();
        let opening: Vec<_> = opening.iter().map(|open| scope.spawn(open)).collect();
        let opened: Vec<_> = opening.into_iter().map(thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::Relaxed);
        for ended in changing.into_iter().map(thread::ScopedJoinHandle::join).chain(opened) {
            match ended {
                Ok(result) => result?,
                Err(_) => bail!("a thread panicked"),
            }
        }
        Ok(())
    })
}

/// The path of a file of the guest, as records have it.
fn path(name: &str) -> Vec<u8> {
    base().join(name).into_os_string().into_encoded_bytes()
}
