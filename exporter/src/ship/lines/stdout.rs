//! stdout, whose reader may be slow, or gone.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// A pipe that is ready takes so many bytes at once (`PIPE_BUF`): a write never waits for the reader.
const CHUNK: usize = 4096;
/// Between two looks whether it is still wanted.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

#[derive(Debug)]
pub(super) struct Stdout {
    out: OwnedFd,
    /// It ends in the midst of a line.
    is_torn: bool,
}

impl Stdout {
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self::new(io::stdout().as_fd().try_clone_to_owned()?))
    }

    pub(super) fn new(out: OwnedFd) -> Self {
        Self { out, is_torn: false }
    }

    /// Writes whole lines, for as long as that takes, unless it is to stop. A line that was left in the midst is ended first.
    pub(super) fn append(&mut self, text: &[u8], stop: &AtomicBool) -> io::Result<()> {
        if self.is_torn {
            self.write(b"\n", stop)?;
            self.is_torn = false;
        }
        self.write(text, stop)?;
        self.is_torn = false;
        Ok(())
    }

    fn write(&mut self, mut rest: &[u8], stop: &AtomicBool) -> io::Result<()> {
        while !rest.is_empty() {
            if stop.load(Ordering::Relaxed) {
                return Err(io::Error::other("the reader does not read"));
            }
            if poll(&mut [PollFd::new(&self.out, PollFlags::OUT)], Some(&PATIENCE)).or_else(passing)? == 0 {
                continue;
            }
            let count = rustix::io::write(&self.out, &rest[..rest.len().min(CHUNK)]).or_else(passing)?;
            rest = &rest[count..];
            self.is_torn |= count > 0;
        }
        Ok(())
    }
}

/// Nothing yet.
fn passing(errno: Errno) -> io::Result<usize> {
    if matches!(errno, Errno::INTR | Errno::AGAIN) { Ok(0) } else { Err(errno.into()) }
}
