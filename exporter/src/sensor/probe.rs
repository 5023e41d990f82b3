//! The self-test while running: whether an open of ours still comes through.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::memory::ControlMap;
use crate::event::Access;

/// A file that only this process opens, and only to see whether that is reported.
#[derive(Debug)]
pub struct Probe {
    _anchor: File,
    sentinel: String,
    tgid: u32,
    control: Arc<ControlMap>,
    /// What the control map says of us between two tests.
    left_out: u32,
    seen: AtomicU64,
    drains: AtomicU64,
}

impl Probe {
    /// `tgid`: this process, as the kernel numbers it; `left_out`: the same, or 0 where its accesses are reported.
    pub(super) fn new(tgid: u32, left_out: u32, control: Arc<ControlMap>) -> io::Result<Self> {
        // A descriptor's file in procfs: it exists on a read-only root file system, and its name is ours alone.
        let anchor = File::open("/proc/self/stat")?;
        let sentinel = format!("/proc/self/fdinfo/{}", anchor.as_raw_fd());
        let (seen, drains) = (AtomicU64::new(0), AtomicU64::new(0));
        Ok(Self { _anchor: anchor, sentinel, tgid, control, left_out, seen, drains })
    }

    /// Opens the file. Its record is in the ring when this returns; the next drain counts it and gives it to nobody.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(&self) -> io::Result<()> {
        // For a moment, the exporter's own accesses are recorded; the drain leaves them out.
        self.control.set_own(self.tgid, 1);
        let opened = File::open(&self.sentinel);
        self.control.set_own(self.left_out, 0);
        opened.map(drop)
    }

    /// Times that it was reported.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.seen.load(Ordering::Relaxed)
    }

    /// Times that the ring was read to its end.
    #[must_use]
    pub fn drains(&self) -> u64 {
        self.drains.load(Ordering::Relaxed)
    }

    /// Whether this access is the test's own.
    pub(super) fn takes(&self, access: &Access<'_>) -> bool {
        let own = access.header.tgid == self.tgid && access.requested == self.sentinel.as_bytes();
        if own {
            self.seen.fetch_add(1, Ordering::Relaxed);
        }
        own
    }

    pub(super) fn drained(&self) {
        self.drains.fetch_add(1, Ordering::Relaxed);
    }
}
