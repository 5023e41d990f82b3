//! Another thread writes another path into the memory of which the kernel takes it.

use std::{collections::BTreeMap, ffi::CString, fs, os::unix::fs::FileExt as _, path::Path};

use anyhow::{Context as _, Result, bail, ensure};
use inotrail::event::{Backend, Outcome};
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};

use super::{Hostile, Reader, against, path};

/// Names that differ in one byte. The last one's file does not exist.
const NAMES: [&str; 3] = ["a", "b", "x"];

#[derive(Debug, Default)]
struct Found {
    opened: u64,
    refused: u64,
    /// The request is not the file's name: it was changed between the kernel's reading and the sensor's.
    differs: u64,
}

pub(super) fn prove(hostile: Hostile, backend: Backend, guest: &Path, reader: Reader) -> Result<String> {
    let names = NAMES.map(path);
    let mut inodes = BTreeMap::new();
    let mut found = Found::default();
    let books = hostile.run(backend, guest, reader, |access| {
        let request = &names.iter().position(|name| name == access.requested).context("never asked for")?;
        let named = names.iter().position(|name| name == access.path).context("a path that never was")?;
        if let Outcome::Failure(_) = access.outcome() {
            found.refused += 1;
            ensure!(access.confidence() == "requested" && access.requested == access.path, "more than a request");
            return Ok(());
        }
        found.opened += 1;
        found.differs += u64::from(named != *request);
        ensure!(named < 2, "a file that does not exist was opened");
        // The inode is that of the file which was opened, whatever its name is said to be.
        let inode = *inodes.entry(named).or_insert(access.header.inode);
        ensure!(inode == access.header.inode, "the name of another file");
        // The kernel's own copy of the path is what it looks up.
        ensure!(backend == Backend::RawTracepoint || named == *request, "a request that was not looked up");
        Ok(())
    })?;
    let files: std::collections::BTreeSet<_> = inodes.values().collect();
    ensure!(files.len() == 2, "the path was not rewritten: this proves nothing ({found:?}, {inodes:?})");
    let opens = hostile.opens as u64;
    if backend == Backend::RawTracepoint {
        books.unseen(opens).with_context(|| format!("{found:?}"))?;
    } else {
        ensure!(books.events < opens, "{} events, {found:?}", books.events);
    }
    Ok(format!("{found:?}"))
}

pub(super) fn attack(opens: usize, folder: &Path, enter: impl Fn() -> Result<()>) -> Result<()> {
    for name in &NAMES[..2] {
        fs::write(folder.join(name), name)?;
    }
    let request = CString::new(folder.join(NAMES[0]).into_os_string().into_encoded_bytes())?;
    let last = request.as_ptr() as u64 + request.count_bytes() as u64 - 1;
    // As another process would do it, and without a race that the compiler knows of.
    let memory = fs::OpenOptions::new().write(true).open("/proc/self/mem").context("open the own memory")?;
    enter()?;
    let opening = || {
        for _ in 0..opens {
            match rustix::fs::open(request.as_c_str(), OFlags::RDONLY, Mode::empty()) {
                Ok(_) | Err(Errno::NOENT) => {}
                Err(error) => bail!("open: {error}"),
            }
        }
        Ok(())
    };
    let rewriting =
        || NAMES.iter().try_for_each(|name| memory.write_all_at(name.as_bytes(), last)).context("rewrite the path");
    against(&[&opening], &[&rewriting])
}
