//! What can fail of a file.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

/// Calls of the operating system; tests let them fail.
pub(super) trait Calls: fmt::Debug {
    /// Appends all of the bytes; after an error, some of them may be there.
    fn append(&self, mut file: &File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    /// Returns once what was written would outlive a power cut.
    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn set_len(&self, file: &File, len: u64) -> io::Result<()> {
        file.set_len(len)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }
}

/// The operating system.
#[derive(Debug)]
pub(super) struct Os;

impl Calls for Os {}
