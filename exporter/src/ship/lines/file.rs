//! A file that lines are appended to, renamed when it is full.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, FlockOperation, Mode, OFlags};

use super::calls::Calls;
use super::tail;

/// Only its owner may read it: it says who read which secret.
const MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// The file, which may not be there, or not be there any more.
#[derive(Debug)]
pub(super) struct LogFile<C> {
    path: PathBuf,
    /// Bytes.
    rotate_size: u64,
    rotate_keep: u32,
    calls: C,
    open: Option<File>,
    /// The length to go back to: what follows was not acknowledged, and is written again.
    whole: Option<u64>,
}

impl<C: Calls> LogFile<C> {
    pub(super) fn new(path: PathBuf, rotate_size: u64, rotate_keep: u32, calls: C) -> Self {
        Self { path, rotate_size, rotate_keep, calls, open: None, whole: None }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file at the path, unless it is open; an empty one where there is none.
    pub(super) fn open(&mut self) -> io::Result<()> {
        self.file().map(drop)
    }

    /// Appends whole lines, durably: all of them, or none at the end of the next call. They are in one file.
    pub(super) fn append(&mut self, text: &[u8]) -> io::Result<()> {
        let done = self.try_append(text);
        if done.is_err() {
            // Where this fails too, the next call begins with it.
            drop(self.roll_back());
        }
        done
    }

    fn try_append(&mut self, text: &[u8]) -> io::Result<()> {
        self.roll_back()?;
        if self.file()?.metadata()?.len().saturating_add(text.len() as u64) > self.rotate_size {
            self.rotate()?;
        }
        let len = self.file()?.metadata()?.len();
        self.whole = Some(len);
        if let Some(file) = &self.open {
            self.calls.append(file, text)?;
            self.calls.sync(file)?;
        }
        self.whole = None;
        Ok(())
    }

    /// The file that is at the path now: somebody may have renamed or removed the one that was.
    fn file(&mut self) -> io::Result<&File> {
        if self.open.as_ref().is_some_and(|file| !is_at(&self.path, file)) {
            drop(self.roll_back());
            (self.open, self.whole) = (None, None);
        }
        let file = match self.open.take() {
            Some(file) => file,
            None => open(&self.path, &self.calls)?,
        };
        Ok(self.open.insert(file))
    }

    fn roll_back(&mut self) -> io::Result<()> {
        let (Some(len), Some(file)) = (self.whole, &self.open) else { return Ok(()) };
        // Somebody else may have emptied it: it must not become longer.
        let is_longer = file.metadata().map_or(true, |metadata| metadata.len() > len);
        if is_longer
            && let Err(error) = self.calls.set_len(file, len)
            && is_at(&self.path, file)
        {
            return Err(error);
        }
        self.whole = None;
        Ok(())
    }

    /// Renames the file to `.1`, and those before it to the next number; the last one is replaced. An empty file stays.
    fn rotate(&mut self) -> io::Result<()> {
        if self.file()?.metadata()?.len() == 0 {
            return Ok(());
        }
        // A kill in the midst of this leaves a gap: what is behind it need not move again.
        let is_free = |number: &u32| is_absent(&self.numbered(*number));
        let last = (1..self.rotate_keep).find(is_free).unwrap_or(self.rotate_keep);
        for number in (1..last).rev() {
            self.calls.rename(&self.numbered(number), &self.numbered(number + 1))?;
        }
        self.calls.rename(&self.path, &self.numbered(1))?;
        self.open = None;
        sync_folder(&self.path)
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = OsString::from(&self.path);
        name.push(format!(".{number}"));
        name.into()
    }
}

/// A link is not followed: whoever may write to the folder could have us write anywhere. No other exporter writes there
/// as long as it is open.
fn open(path: &Path, calls: &impl Calls) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    // A pipe without a reader is not waited for.
    let file = rustix::fs::openat(CWD, path, flags | OFlags::NONBLOCK | OFlags::NOCTTY, MODE)?;
    if FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) != FileType::RegularFile {
        return Err(io::Error::other("it is no regular file"));
    }
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    let file = File::from(file);
    tail::mend(&file, calls)?;
    sync_folder(path)?;
    Ok(file)
}

fn is_at(path: &Path, file: &File) -> bool {
    let place = |metadata: &fs::Metadata| (metadata.dev(), metadata.ino());
    matches!((fs::symlink_metadata(path), file.metadata()), (Ok(there), Ok(ours)) if place(&there) == place(&ours))
}

fn is_absent(path: &Path) -> bool {
    matches!(fs::symlink_metadata(path), Err(error) if error.kind() == io::ErrorKind::NotFound)
}

/// Returns once the names of files would outlive a power cut.
fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}
