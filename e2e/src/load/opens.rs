//! Threads that open files, each its own or all the same few: every record names one of them, and every open is accounted
//! for.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::Barrier,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use inotrail::{event::Backend, sensor::Record};
use rustix::fs::{Mode, OFlags};

use super::{Books, Reader, run};
use crate::accesses::base;

/// How much is opened.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Opens {
    /// At once
    pub threads: usize,
    /// By each thread
    pub each: usize,
    /// Files that all threads open in turn; 0: every open creates a file of its own
    pub files: usize,
    /// Milliseconds from one open of a thread to its next
    pub pause_ms: u64,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    /// Opens that were reported.
    pub events: u64,
    /// Opens that the ring had no room for.
    pub ring_full: u64,
    /// Of these, the ones that were counted by file.
    pub ledger: u64,
    /// And those that were counted by cgroup alone.
    pub overflow: u64,
    /// Opens that nobody knows of, no more than calls that the kernel skipped.
    pub unseen: u64,
}

impl Opens {
    /// Each open creates a file of its own.
    #[must_use]
    pub const fn new(threads: usize, each: usize) -> Self {
        Self { threads, each, files: 0, pause_ms: 0 }
    }

    /// What makes the guest do it.
    #[must_use]
    pub fn arguments(self) -> Vec<String> {
        let Self { threads, each, files, pause_ms } = self;
        ["opens".to_owned(), threads.to_string(), each.to_string(), files.to_string(), pause_ms.to_string()].into()
    }

    /// Lets the guest open the files and closes the books: reported + counted + without any room = opened, a file of its own
    /// at most once, the same few exactly as often as each was opened, and no gap in the sequence but what had no room. Where
    /// the kernel skips calls, no more may be missing than it counts.
    ///
    /// # Errors
    /// Where the books do not close.
    pub fn prove(self, backend: Backend, guest: &Path, reader: Reader) -> Result<Account> {
        let total = (self.threads * self.each) as u64;
        let mut seen = vec![0u32; self.threads * self.each];
        let folder = base();
        let books = run(backend, guest, reader, &self.arguments(), |record| {
            let Record::Access(access) = record else { return Ok(()) };
            let place = self.place(&folder, access.path);
            let place = place.with_context(|| format!("an event of {}", access.path.escape_ascii()))?;
            ensure!(access.requested == access.path, "requested {}", access.requested.escape_ascii());
            seen[place] = seen[place].saturating_add(1);
            Ok(())
        })?;
        let name = backend.as_str();
        eprintln!(
            "{name}: {total} opens by {} threads in {:.1?}: {} events, {} without room in a ring of {} KiB, of these {} in the ledger and {} in its overflow, {} numbers missing, missed calls {:?}",
            self.threads,
            books.took,
            books.events,
            books.ring_full,
            reader.ring_bytes >> 10,
            books.ledger,
            books.overflow,
            books.gaps,
            books.misses
        );
        let unseen = books.unseen(total).with_context(|| name)?;
        if self.files == 0 {
            let twice = seen.iter().filter(|count| **count > 1).count();
            ensure!(twice == 0, "{name}: {twice} files were reported more than once");
        } else if unseen == 0 && books.overflow == 0 && books.ring_full == books.ledger {
            self.prove_files(&books).with_context(|| name)?;
        }
        ensure!(books.backwards == 0, "{name}: {} sequence numbers went back", books.backwards);
        // What the ring has no room for at the end leaves no number behind it.
        ensure!(
            books.gaps <= books.ring_full,
            "{name}: {} numbers are missing, and {} were dropped",
            books.gaps,
            books.ring_full
        );
        let Books { events, ring_full, ledger, overflow, .. } = books;
        Ok(Account { events, ring_full, ledger, overflow, unseen })
    }

    /// The few files were opened in turn.
    fn prove_files(self, books: &Books) -> Result<()> {
        let mut opened = books.seen.clone();
        for (inode, count) in &books.counted {
            *opened.entry(*inode).or_default() += count;
        }
        self.prove_turns(opened)
    }

    /// The same of how often each was opened.
    pub(super) fn prove_turns(self, opened: HashMap<u64, u64>) -> Result<()> {
        let mut opened: Vec<u64> = opened.into_values().collect();
        opened.sort_unstable_by(|one, other| other.cmp(one));
        let turns = |file| self.each / self.files + usize::from(file < self.each % self.files);
        let expected = (0..self.files).map(|file| (self.threads * turns(file)) as u64);
        ensure!(expected.eq(opened.iter().copied()), "opens of each file: {opened:?}");
        Ok(())
    }

    /// Where a path stands in the list of all.
    pub(super) fn place(self, folder: &Path, path: &[u8]) -> Option<usize> {
        let (threads, each) = if self.files == 0 { (self.threads, self.each) } else { (1, self.files) };
        let path = std::str::from_utf8(path).ok()?;
        let (thread, number) = Path::new(path).strip_prefix(folder).ok()?.to_str()?.split_once('-')?;
        let (thread, number): (usize, usize) = (thread.parse().ok()?, number.parse().ok()?);
        // The name must be the very one, and not one that reads the same.
        let exact = file(folder, thread, number).to_str() == Some(path);
        (exact && thread < threads && number < each).then_some(thread * each + number)
    }
}

fn file(folder: &Path, thread: usize, number: usize) -> PathBuf {
    folder.join(format!("{thread}-{number}"))
}

/// The guest's part.
///
/// # Errors
/// Where the cgroup cannot be entered or a file cannot be created.
pub fn open_files(opens: Opens, folder: &Path, procs: &Path) -> Result<()> {
    for number in 0..opens.files {
        let path = file(folder, 0, number);
        fs::write(&path, "content").with_context(|| format!("create {}", path.display()))?;
    }
    let barrier = Barrier::new(opens.threads + 1);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..opens.threads)
            .map(|thread| {
                let barrier = &barrier;
                scope.spawn(move || {
                    barrier.wait();
                    barrier.wait();
                    // One name at a time: the C library opens a file of /proc when it gives much memory back.
                    let (flags, name): (_, &dyn Fn(usize) -> PathBuf) = if opens.files == 0 {
                        (OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL, &|number| file(folder, thread, number))
                    } else {
                        (OFlags::RDONLY, &|number| file(folder, 0, number % opens.files))
                    };
                    (0..opens.each).map(name).try_for_each(|file| {
                        if opens.pause_ms > 0 {
                            thread::sleep(Duration::from_millis(opens.pause_ms));
                        }
                        open(&file, flags, opens.files == 0)
                    })
                })
            })
            .collect();
        // All threads exist before the cgroup is entered, and open nothing before.
        barrier.wait();
        let entered = fs::write(procs, "0").with_context(|| format!("enter {}", procs.display()));
        barrier.wait();
        for thread in threads {
            match thread.join() {
                Ok(opened) => opened.context("open a file")?,
                Err(_) => bail!("a thread panicked"),
            }
        }
        entered
    })
}

/// Opens a file; one that only this open is for goes at once, or a load would fill a small machine.
fn open(file: &Path, flags: OFlags, once: bool) -> rustix::io::Result<()> {
    rustix::fs::open(file, flags, Mode::from_raw_mode(0o600)).map(drop)?;
    if once { rustix::fs::unlink(file) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_were_opened_have_a_place() {
        let opens = Opens::new(2, 10);
        let check =
            |path: &str, expected| assert_eq!(opens.place(Path::new("/f"), path.as_bytes()), expected, "{path}");
        check("/f/0-0", Some(0));
        check("/f/1-9", Some(19));
        check("/f/2-0", None);
        check("/f/0-10", None);
        check("/f/00-1", None);
        check("/f//0-1", None);
        check("f/0-1", None);
        check("/f/0-1x", None);
    }
}
