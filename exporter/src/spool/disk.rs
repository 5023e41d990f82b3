//! The folder that a spool is in.

use std::fmt;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FlockOperation, Mode, OFlags};

use super::Error;

const LOCK: &str = "lock";
const FOLDER_MODE: Mode = Mode::RWXU;
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// What a spool does with its folder. Names have no `/`. Errors are the operating system's.
#[expect(clippy::missing_errors_doc, reason = "said once, above")]
pub trait Disk: fmt::Debug {
    /// An open file.
    type File: fmt::Debug;

    /// Names of all files.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Opens a file to be read.
    fn open(&self, name: &str) -> io::Result<Self::File>;
    /// Opens a file to be read and written; an empty one where there is none.
    fn create(&self, name: &str) -> io::Result<Self::File>;
    /// Bytes of a file.
    fn len(&self, file: &Self::File) -> io::Result<u64>;
    /// Reads up to as many bytes as `to` has; 0 at the end of the file.
    fn read_at(&self, file: &Self::File, to: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes some of the bytes. Returns how many.
    fn write_at(&self, file: &Self::File, bytes: &[u8], offset: u64) -> io::Result<usize>;
    /// Returns once what was written would outlive a power cut, should the file's name.
    fn sync(&self, file: &Self::File) -> io::Result<()>;
    /// Returns once the names of files would.
    fn sync_folder(&self) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
}

/// A folder of the operating system, which no other spool uses meanwhile.
#[derive(Debug)]
pub struct Os {
    folder: OwnedFd,
    /// Locked as long as it is open.
    _lock: OwnedFd,
}

impl Os {
    /// Opens a folder, and makes it where there is none. Only its owner may look into it.
    ///
    /// # Errors
    ///
    /// [`Error::Used`], and [`Error::Folder`] where it cannot be made, opened or locked.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let failed = |cause| Error::Folder { folder: path.to_owned(), cause };
        create(path).map_err(failed)?;
        let failed = |errno: rustix::io::Errno| failed(errno.into());
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(failed)?;
        let mode = rustix::fs::fstat(&folder).map_err(failed)?.st_mode;
        if Mode::from_raw_mode(mode) != FOLDER_MODE {
            rustix::fs::fchmod(&folder, FOLDER_MODE).map_err(failed)?;
        }
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let lock = rustix::fs::openat(&folder, LOCK, flags, FILE_MODE).map_err(failed)?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { folder, _lock: lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::Used { folder: path.to_owned() }),
            Err(errno) => Err(failed(errno)),
        }
    }

    fn at(&self, name: &str, flags: OFlags) -> io::Result<File> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.folder, name, flags, FILE_MODE)?.into())
    }
}

/// Makes a folder, and those above it; their names outlive a power cut too.
fn create(path: &Path) -> io::Result<()> {
    let missing = path.ancestors().take_while(|folder| !folder.exists()).count();
    DirBuilder::new().recursive(true).mode(FOLDER_MODE.bits()).create(path)?;
    for above in path.ancestors().skip(1).take(missing) {
        let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
        File::open(above)?.sync_all()?;
    }
    Ok(())
}

impl Disk for Os {
    type File = File;

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.folder)? {
            // Ours are all of ASCII.
            names.extend(entry?.file_name().to_str().ok().map(str::to_owned));
        }
        Ok(names)
    }

    fn open(&self, name: &str) -> io::Result<File> {
        self.at(name, OFlags::RDONLY)
    }

    fn create(&self, name: &str) -> io::Result<File> {
        self.at(name, OFlags::RDWR | OFlags::CREATE)
    }

    fn len(&self, file: &File) -> io::Result<u64> {
        Ok(file.metadata()?.len())
    }

    fn read_at(&self, file: &File, to: &mut [u8], offset: u64) -> io::Result<usize> {
        file.read_at(to, offset)
    }

    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        file.write_at(bytes, offset)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn sync_folder(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.folder)?)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.folder, name, AtFlags::empty())?)
    }
}

/// Writes all of the bytes.
pub(super) fn write_all<D: Disk>(disk: &D, file: &D::File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match disk.write_at(file, bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                bytes = &bytes[count.min(bytes.len())..];
                offset += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads until `to` is full or the file ends. Returns how many bytes.
pub(super) fn read_up_to<D: Disk>(disk: &D, file: &D::File, to: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < to.len() {
        match disk.read_at(file, &mut to[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}
