//! Opens of a file that is renamed all the time, below a directory that is renamed all the time.
//!
//! Names are of one letter each and of lengths on both sides of what the kernel keeps inside a dentry, so a torn name or
//! a byte of anything else shows.

use std::{
    fs,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use anyhow::{Context as _, Result, bail, ensure};
use inotrail::{event::Backend, sensor::Record};
use inotrail_ebpf::flags;
use rustix::{
    fs::{CWD, Mode, OFlags, openat, renameat},
    io::Errno,
};

use super::{Reader, run};
use crate::accesses::base;

/// (letter, length) of the file's names.
const LEAVES: [(u8, usize); 4] = [(b'a', 1), (b'b', 30), (b'c', 60), (b'd', 250)];
/// (letter, length) of its directory's names.
const PARENTS: [(u8, usize); 3] = [(b'p', 3), (b'q', 45), (b'r', 120)];
/// Threads that open.
const THREADS: usize = 2;

/// How much is opened.
#[derive(Clone, Copy, Debug)]
pub struct Renames {
    /// Opens, of all threads together.
    pub opens: usize,
}

/// What the records were.
#[derive(Debug, Default)]
struct Found {
    opened: u64,
    refused: u64,
    retried: u64,
    raced: u64,
    truncated: u64,
}

impl Renames {
    /// Lets the guest open and rename: every path in every record is one that existed, or is flagged as raced and is the
    /// end of one that did; and no open is lost or told twice.
    ///
    /// # Errors
    /// Where one is not, or more than one in a thousand raced, or the storm touched no walk at all.
    pub fn prove(self, backend: Backend, guest: &Path, reader: Reader) -> Result<()> {
        let folder = base();
        let mut found = Found::default();
        let arguments = ["renames", &self.opens.to_string()];
        let books = run(backend, guest, reader, &arguments, |record| {
            let Record::Access(access) = record else { return Ok(()) };
            let header = access.header;
            let raced = header.flags & flags::RACED != 0;
            found.retried += u64::from(header.retries > 0);
            found.raced += u64::from(raced);
            found.truncated += u64::from(header.flags & flags::TRUNCATED != 0);
            if header.result < 0 {
                found.refused += 1;
            } else {
                found.opened += 1;
            }
            let path = access.path;
            ensure!(
                is_legal(&folder, path, raced),
                "flags {:#x}, a path that never was: {}",
                header.flags,
                path.escape_ascii()
            );
            Ok(())
        })?;
        let name = backend.as_str();
        eprintln!(
            "{name}: {} opens while names change in {:.1?}: {found:?}, {} without room",
            self.opens, books.took, books.ring_full
        );
        ensure!(
            books.ring_full == 0 && books.gaps == 0 && books.backwards == 0,
            "{name}: the ring was too small: {books:?}"
        );
        ensure!(found.truncated == 0, "{name}: walks ended early");
        ensure!(found.raced * 1000 <= books.events, "{name}: more than one in a thousand raced");
        ensure!(found.retried > 0, "{name}: no name changed under a walk: this proves nothing");
        // Half of the opens cannot fail. The others may find no file, and only the system call tells of those.
        let (opens, events) = (self.opens as u64, books.events);
        if backend == Backend::RawTracepoint {
            books.unseen(opens).with_context(|| name)?;
        } else {
            let fewer = events + books.may_miss() >= opens / 2 && events < opens;
            ensure!(fewer, "{name}: {events} events of {opens} opens");
        }
        Ok(())
    }
}

/// Whether a path is, or ends in, one of the file's names.
fn is_legal(folder: &Path, path: &[u8], raced: bool) -> bool {
    let root: Vec<&[u8]> = folder.iter().skip(1).map(std::ffi::OsStr::as_encoded_bytes).collect();
    let parts: Vec<&[u8]> = match (path.strip_prefix(b"/"), raced) {
        (Some(path), false) => path.split(|byte| *byte == b'/').collect(),
        (None, true) if path.is_empty() => return true,
        (None, true) => path.split(|byte| *byte == b'/').collect(),
        _ => return false,
    };
    let depth = root.len() + 2;
    if parts.len() > depth || (!raced && parts.len() != depth) {
        return false;
    }
    parts.iter().rev().enumerate().all(|(above, part)| match above {
        0 => is_one_of(&LEAVES, part),
        1 => is_one_of(&PARENTS, part),
        _ => root[depth - 1 - above] == *part,
    })
}

fn is_one_of(names: &[(u8, usize)], part: &[u8]) -> bool {
    names.iter().any(|(letter, length)| part.len() == *length && part.iter().all(|byte| byte == letter))
}

fn name((letter, length): (u8, usize)) -> String {
    String::from_utf8_lossy(&vec![letter; length]).into_owned()
}

/// The guest's part.
///
/// # Errors
/// Where the cgroup cannot be entered, or an open or a rename fails in an unexpected way.
pub fn open_renamed(renames: Renames, folder: &Path, procs: &Path) -> Result<()> {
    let (leaves, parents) = (LEAVES.map(name), PARENTS.map(name));
    let parent = folder.join(&parents[0]);
    fs::create_dir(&parent)?;
    fs::write(parent.join(&leaves[0]), "content")?;
    let file = openat(CWD, parent.join(&leaves[0]), OFlags::PATH, Mode::empty())?;
    let link = format!("/proc/self/fd/{}", file.as_raw_fd());
    let parent = openat(CWD, &parent, OFlags::PATH, Mode::empty())?;
    let folder = openat(CWD, folder, OFlags::PATH, Mode::empty())?;
    let done = AtomicBool::new(false);
    fs::write(procs, "0").with_context(|| format!("enter {}", procs.display()))?;
    thread::scope(|scope| {
        let renaming = [
            scope.spawn(|| rename(parent.as_fd(), &leaves, &done)),
            scope.spawn(|| rename(folder.as_fd(), &parents, &done)),
        ];
        let open = || open_both_ways(&link, parent.as_fd(), &leaves, renames.opens / THREADS);
        let opening: Vec<_> = (0..THREADS).map(|_| scope.spawn(open)).collect();
        let opened: Vec<_> = opening.into_iter().map(thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::Relaxed);
        for ended in renaming.into_iter().map(thread::ScopedJoinHandle::join).chain(opened) {
            match ended {
                Ok(result) => result?,
                Err(_) => bail!("a thread panicked"),
            }
        }
        Ok(())
    })
}

/// Gives the one entry of a directory one name after another.
fn rename(directory: BorrowedFd<'_>, names: &[String], done: &AtomicBool) -> Result<()> {
    while !done.load(Ordering::Relaxed) {
        for (number, from) in names.iter().enumerate() {
            renameat(directory, from, directory, &names[(number + 1) % names.len()]).context("rename")?;
        }
    }
    Ok(())
}

/// By a link that always leads to the file, and by one of its names in turn.
fn open_both_ways(link: &str, parent: BorrowedFd<'_>, leaves: &[String], opens: usize) -> Result<()> {
    for number in 0..opens / 2 {
        openat(CWD, link, OFlags::RDONLY, Mode::empty()).context("open by the link")?;
        match openat(parent, &leaves[number % leaves.len()], OFlags::RDONLY, Mode::empty()) {
            Ok(_) | Err(Errno::NOENT) => {}
            Err(error) => bail!("open by name: {error}"),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_names_are_legal() {
        let check = |path: &str, raced, expected| {
            assert_eq!(is_legal(Path::new("/t/x"), path.as_bytes(), raced), expected, "{path} {raced}");
        };
        check("/t/x/ppp/a", false, true);
        check(&format!("/t/x/{}/{}", "q".repeat(45), "d".repeat(250)), false, true);
        check("/t/x/pp/a", false, false);
        check("/t/x/ppp/ab", false, false);
        check("/t/ppp/a", false, false);
        check("ppp/a", false, false);
        check("ppp/a", true, true);
        check("", true, true);
        check("/t/x/ppp/a", true, false);
        check("qq/a", true, false);
    }
}
