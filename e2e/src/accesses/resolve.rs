//! `openat2`, which confines the lookup.

use std::{fs, os::unix::fs::symlink, path::Path};

use anyhow::{Result, bail, ensure};
use inotrail::event::AccessMode::Read;
use rustix::{
    fs::{CWD, Mode, OFlags, ResolveFlags, openat2},
    io::Errno,
};

use super::{Case, Expected, calls::one_file};

/// `a/file`, `outside`, and `a/link`, which leads to `/file`.
fn tree(folder: &Path) -> Result<()> {
    fs::create_dir(folder.join("a"))?;
    fs::write(folder.join("a/file"), "content")?;
    fs::write(folder.join("outside"), "content")?;
    Ok(symlink("/file", folder.join("a/link"))?)
}

/// Opens a directory and, confined to it, a file.
fn below(directory: &Path, path: &str, flags: ResolveFlags) -> Result<Result<(), Errno>> {
    let directory = rustix::fs::open(directory, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
    Ok(openat2(&directory, path, OFlags::RDONLY, Mode::empty(), flags).map(drop))
}

fn refused(outcome: Result<(), Errno>, errno: Errno) -> Result<()> {
    match outcome {
        Ok(()) => bail!("the open was not refused"),
        Err(error) => ensure!(error == errno, "refused with {error}, and not {errno}"),
    }
    Ok(())
}

fn direct(path: impl AsRef<Path>, flags: ResolveFlags) -> Result<(), Errno> {
    openat2(CWD, path.as_ref(), OFlags::RDONLY, Mode::empty(), flags).map(drop)
}

pub(super) const CASES: &[Case] = &[
    Case {
        name: "openat2",
        setup: one_file,
        access: |folder| Ok(direct(folder.join("file"), ResolveFlags::NO_SYMLINKS)?),
        expected: |place| vec![Expected::open(Read, place.folder.join("file"))],
    },
    Case {
        name: "openat2-beneath",
        setup: tree,
        access: |folder| Ok(below(&folder.join("a"), "file", ResolveFlags::BENEATH)??),
        expected: |place| {
            let file = Expected::open(Read, place.folder.join("a/file")).requested("file");
            vec![Expected::open(Read, place.folder.join("a")), file]
        },
    },
    Case {
        name: "openat2-not-beneath",
        setup: tree,
        access: |folder| refused(below(&folder.join("a"), "../outside", ResolveFlags::BENEATH)?, Errno::XDEV),
        expected: |place| {
            let outside = Expected::open(Read, place.folder.join("a/../outside")).requested("../outside");
            let directory = Expected::open(Read, place.folder.join("a"));
            vec![directory, outside.fails(Errno::XDEV).by(Expected::CALLS)]
        },
    },
    Case {
        name: "openat2-in-root",
        setup: tree,
        access: |folder| Ok(below(&folder.join("a"), "/link", ResolveFlags::IN_ROOT)??),
        expected: |place| {
            let file = Expected::open(Read, place.folder.join("a/file")).requested("/link");
            vec![Expected::open(Read, place.folder.join("a")), file]
        },
    },
    Case {
        name: "openat2-absent-in-root",
        setup: tree,
        access: |folder| refused(below(&folder.join("a"), "/absent", ResolveFlags::IN_ROOT)?, Errno::NOENT),
        expected: |place| {
            // The root is the directory, and so it is where an absolute path starts.
            let absent = Expected::open(Read, place.folder.join("a/absent")).requested("/absent");
            vec![Expected::open(Read, place.folder.join("a")), absent.fails(Errno::NOENT).by(Expected::CALLS)]
        },
    },
    Case {
        name: "openat2-through-a-symbolic-link",
        setup: tree,
        access: |folder| refused(direct(folder.join("a/link"), ResolveFlags::NO_SYMLINKS), Errno::LOOP),
        expected: |place| {
            vec![Expected::open(Read, place.folder.join("a/link")).fails(Errno::LOOP).by(Expected::CALLS)]
        },
    },
    Case {
        name: "openat2-through-a-magic-link",
        setup: |_| Ok(()),
        access: |_| refused(direct("/proc/self/exe", ResolveFlags::NO_MAGICLINKS), Errno::LOOP),
        expected: |_| vec![Expected::open(Read, "/proc/self/exe").fails(Errno::LOOP).by(Expected::CALLS)],
    },
    Case {
        name: "openat2-on-another-file-system",
        setup: |_| Ok(()),
        access: |_| refused(direct("/proc/version", ResolveFlags::NO_XDEV), Errno::XDEV),
        expected: |_| vec![Expected::open(Read, "/proc/version").fails(Errno::XDEV).by(Expected::CALLS)],
    },
];
