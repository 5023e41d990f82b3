//! Another thread moves the mount that the file lies on, or takes it away.
//!
//! ```text
//! p1          a mount
//!   one       the mount that moves, or nothing
//!   lazy      `source` again and again, unmounted while it is in use
//! p2          another mount
//!   two       the mount that moves, or nothing
//! source      in/sub/file
//! ```
//!
//! The moving mount holds `in/sub/file` too.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use anyhow::{Context as _, Result, bail, ensure};
use inotrail::event::{Access, Backend, Outcome};
use inotrail_ebpf::flags;
use rustix::{
    fs::{CWD, Mode, OFlags, openat},
    io::Errno,
    mount::{MountFlags, UnmountFlags, mount, mount_bind, mount_move, unmount},
};

use super::{Hostile, Reader, against};
use crate::accesses::base;

/// Where the file is reached.
const PLACES: [&str; 3] = ["p1/one", "p2/two", "p1/lazy"];
const FILE: &str = "in/sub/file";
/// Flags that say that a path is not the whole one.
const PARTIAL: u32 = flags::RACED | flags::DETACHED | flags::TRUNCATED;

#[derive(Debug, Default)]
struct Found {
    /// At each of the places.
    at: [u64; 3],
    detached: u64,
    raced: u64,
    retried: u64,
    /// Opens of the directory from which the lazily unmounted file is opened, if they are told.
    entered: u64,
    /// Such that came too late or too early.
    absent: u64,
}

pub(super) fn prove(hostile: Hostile, backend: Backend, guest: &Path, reader: Reader) -> Result<String> {
    let mut found = Found::default();
    let books = hostile.run(backend, guest, reader, |access| found.see(access))?;
    let opens = hostile.opens as u64;
    let (moved, lazy, may_miss) = (found.at[0] + found.at[1], found.at[2] + found.detached, books.may_miss());
    let moves = moved + found.raced + may_miss;
    ensure!(moved <= opens && moves >= opens, "{moved} opens on the moved mount: {found:?}");
    let (tried, tell) = (found.entered + found.absent, backend == Backend::RawTracepoint);
    let tries = if tell { opens.saturating_sub(may_miss)..=opens } else { 0..=0 };
    ensure!(tries.contains(&tried), "{tried} opens of the directory: {found:?}");
    let (told, made) = (moved + lazy + found.raced, opens + found.entered);
    ensure!(!tell || told.abs_diff(made) <= may_miss, "opens of the file: {found:?}");
    ensure!(told + tried == books.events, "{} events: {found:?}", books.events);
    ensure!(found.raced * 1000 <= books.events, "more than one in a thousand raced: {found:?}");
    ensure!(found.at.iter().all(|times| *times > 0) && found.detached > 0, "this proves nothing: {found:?}");
    Ok(format!("{found:?}"))
}

impl Found {
    /// A path is one of those that there are, or says what part of one it is.
    fn see(&mut self, access: &Access<'_>) -> Result<()> {
        self.retried += u64::from(access.header.retries > 0);
        let bits = access.header.flags & PARTIAL;
        if access.header.flags & flags::O_PATH != 0 || matches!(access.outcome(), Outcome::Failure(_)) {
            let is_absent = matches!(access.outcome(), Outcome::Failure(_));
            *if is_absent { &mut self.absent } else { &mut self.entered } += 1;
            let directory = whole("p1/lazy", "in");
            let legal = if bits == 0 { access.path == directory } else { is_part(&directory, access.path, bits) };
            ensure!(legal, "no place of the directory");
            return Ok(());
        }
        if bits == 0 {
            let place = PLACES.iter().position(|place| access.path == whole(place, FILE));
            self.at[place.context("a path that never was")?] += 1;
            return Ok(());
        }
        ensure!(PLACES.iter().any(|place| is_part(&whole(place, FILE), access.path, bits)), "no part of a path");
        if bits & flags::DETACHED != 0 {
            self.detached += 1;
        } else {
            self.raced += 1;
        }
        Ok(())
    }
}

fn whole(place: &str, below: &str) -> Vec<u8> {
    base().join(place).join(below).into_os_string().into_encoded_bytes()
}

/// Whether a path is what its flags say of a whole one: all below its mount, or its end.
fn is_part(whole: &[u8], path: &[u8], bits: u32) -> bool {
    match bits {
        flags::DETACHED => path.starts_with(b"/in") && whole.ends_with(path),
        // Of a name that was never let go of there may be nothing.
        flags::RACED => path.is_empty() || whole.strip_suffix(path).is_some_and(|head| head.ends_with(b"/")),
        _ => false,
    }
}

pub(super) fn attack(opens: usize, folder: &Path, enter: impl Fn() -> Result<()>) -> Result<()> {
    let at = |name: &str| folder.join(name);
    let file = |top: &Path| {
        fs::create_dir_all(top.join("in/sub"))?;
        fs::write(top.join(FILE), "content")
    };
    let tmpfs = |on: &Path| {
        fs::create_dir_all(on)?;
        mount("tmpfs", on, "tmpfs", MountFlags::empty(), None).context("mount a tmpfs")
    };
    tmpfs(&at("p1"))?;
    tmpfs(&at("p2"))?;
    tmpfs(&at(PLACES[0]))?;
    fs::create_dir(at(PLACES[1]))?;
    fs::create_dir(at(PLACES[2]))?;
    file(&at(PLACES[0]))?;
    file(&at("source"))?;
    let directory = |path: &Path| openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty());
    let sub = directory(&at("p1/one/in/sub"))?;
    let lazy = at("p1/lazy/in");
    enter()?;
    let (is_entered, is_over) = (AtomicBool::new(false), AtomicBool::new(false));
    let open_both = |number: usize| {
        openat(&sub, "file", OFlags::RDONLY, Mode::empty()).context("open what moves")?;
        let directory = match directory(&lazy) {
            Ok(directory) => directory,
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => bail!("open the directory: {error}"),
        };
        is_entered.store(true, Ordering::Relaxed);
        if number.is_multiple_of(2) {
            thread::yield_now();
        }
        openat(&directory, "sub/file", OFlags::RDONLY, Mode::empty()).map(drop).context("open what is unmounted")
    };
    let opening = || {
        let opened = (0..opens).try_for_each(open_both);
        is_over.store(true, Ordering::Relaxed);
        opened
    };
    let moving = || {
        mount_move(at(PLACES[0]), at(PLACES[1])).context("move")?;
        mount_move(at(PLACES[1]), at(PLACES[0])).context("move back")
    };
    let unmounting = || {
        is_entered.store(false, Ordering::Relaxed);
        mount_bind(at("source"), at(PLACES[2])).context("bind")?;
        while !is_entered.load(Ordering::Relaxed) && !is_over.load(Ordering::Relaxed) {
            thread::yield_now();
        }
        unmount(at(PLACES[2]), UnmountFlags::DETACH).context("unmount")
    };
    against(&[&opening], &[&moving, &unmounting])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_what_its_flag_says() {
        let check = |path: &str, bits, expected| {
            assert_eq!(is_part(b"/t/p1/one/in/sub/file", path.as_bytes(), bits), expected, "{path} {bits:#x}");
        };
        check("/in/sub/file", flags::DETACHED, true);
        check("/sub/file", flags::DETACHED, false);
        check("in/sub/file", flags::DETACHED, false);
        check("in/sub/file", flags::RACED, true);
        check("n/sub/file", flags::RACED, false);
        check("", flags::RACED, true);
        check("/in/sub/file", flags::RACED, false);
        check("in/sub/file", flags::RACED | flags::DETACHED, false);
    }
}
