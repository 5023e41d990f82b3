//! Another thread puts an innocent file where the opened one is, or nothing.

use std::{fs, path::Path};

use anyhow::{Result, bail, ensure};
use inotrail::event::Backend;
use inotrail_ebpf::flags;
use nix::{
    errno::Errno,
    fcntl::{OFlag, open},
    sys::stat::Mode,
    unistd::{close, dup2},
};

use super::{Hostile, Reader, against, path};

#[derive(Debug, Default)]
struct Found {
    true_path: u64,
    fooled: u64,
    gone: u64,
}

pub(super) fn prove(hostile: Hostile, backend: Backend, guest: &Path, reader: Reader) -> Result<String> {
    let (secret, innocent) = (path("secret"), path("innocent"));
    let mut found = Found::default();
    let books = hostile.run(backend, guest, reader, |access| {
        ensure!(access.requested == secret, "not what was asked for");
        if backend != Backend::RawTracepoint {
            ensure!(access.path == secret && access.confidence() == "confirmed", "not the file that was opened");
        }
        match access.confidence() {
            "descriptor_gone" => {
                found.gone += 1;
                ensure!(
                    access.path.is_empty() && access.header.flags & flags::PATH_UNKNOWN != 0,
                    "a path from nowhere"
                );
            }
            _ if access.path == secret => found.true_path += 1,
            "unconfirmed" if access.path == innocent => found.fooled += 1,
            _ => bail!("a file that was not opened"),
        }
        // The table is shared all the time, so no descriptor can be trusted.
        ensure!(backend != Backend::RawTracepoint || access.confidence() != "confirmed", "a descriptor was trusted");
        Ok(())
    })?;
    books.unseen(hostile.opens as u64)?;
    Ok(format!("{found:?}"))
}

pub(super) fn attack(opens: usize, folder: &Path, enter: impl Fn() -> Result<()>) -> Result<()> {
    let (secret, innocent) = (folder.join("secret"), folder.join("innocent"));
    fs::write(&secret, "secret")?;
    fs::write(&innocent, "innocent")?;
    let open = |path: &Path| open(path, OFlag::O_RDONLY, Mode::empty());
    let innocent = open(&innocent)?;
    // Numbers are given out from the lowest: this is the one that the next open gets.
    let next = open(&secret)?;
    close(next)?;
    enter()?;
    // The numbers are no one else's, so a wrong close harms nothing.
    let opening = || {
        for _ in 0..opens {
            let opened = open(&secret)?;
            if opened != next {
                closed(opened)?;
            }
            closed(next)?;
        }
        Ok(())
    };
    let swapping = || match dup2(innocent, next) {
        // The number is taken and its file not yet in place: the very moment.
        Ok(_) | Err(Errno::EBUSY) => Ok(()),
        Err(error) => bail!("dup2: {error}"),
    };
    against(&[&opening], &[&swapping, &|| closed(next)])
}

/// It is closed, or was.
fn closed(descriptor: i32) -> Result<()> {
    match close(descriptor) {
        Ok(()) | Err(Errno::EBADF) => Ok(()),
        Err(error) => bail!("close: {error}"),
    }
}
