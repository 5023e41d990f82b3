//! Names of every kind, and every way to get to a file.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    os::unix::{
        ffi::{OsStrExt as _, OsStringExt as _},
        fs::symlink,
    },
    path::{Path, PathBuf},
};

use anyhow::Result;
use inotrail::event::AccessMode::{Read, ReadWrite, Write};
use inotrail_ebpf::flags;
use rustix::{
    fs::{FileType, Mode, OFlags, mknodat},
    io::Errno,
};

use super::{
    Case, Expected, Place,
    calls::{one_file, open, refused},
};

/// Longest path that a system call takes, NUL included (`PATH_MAX`).
const PATH_MAX: usize = 4096;
/// Directories of the path that is deeper than the walk goes.
const DEEP: usize = 300;

/// Bytes that no text is made of, and a line's end.
const STRANGE: &[u8] = b"\xff\xfe\n\"\\ name";

/// A path below `folder` of exactly the longest length.
fn longest(folder: &Path) -> PathBuf {
    let mut path = folder.as_os_str().as_bytes().to_vec();
    while path.len() < PATH_MAX - 1 {
        let left = PATH_MAX - 1 - path.len();
        // Never leave a single byte, which could only be a slash.
        let name = if left <= 200 { left - 1 } else { 197 };
        path.push(b'/');
        path.extend(std::iter::repeat_n(b'n', name));
    }
    PathBuf::from(OsString::from_vec(path))
}

/// Makes directories one in another, and is in the last of them then.
fn deep(folder: &Path) -> Result<()> {
    env::set_current_dir(folder)?;
    for _ in 0..DEEP {
        fs::create_dir("deep")?;
        env::set_current_dir("deep")?;
    }
    Ok(())
}

fn touch(path: &Path) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, "content")?;
    Ok(())
}

fn deeper(_: &Place) -> Vec<Expected> {
    let leaf = OsStr::from_bytes(b"leaf");
    // 256 steps: the leaf, and as many of the directories above it.
    let path: PathBuf = std::iter::repeat_n(OsStr::new("deep"), 255).chain([leaf]).collect();
    vec![Expected::create(Write, path).requested(leaf).flags(flags::TRUNCATED)]
}

pub(super) const CASES: &[Case] = &[
    Case {
        name: "symbolic-link",
        setup: |folder| {
            one_file(folder)?;
            Ok(symlink("file", folder.join("link"))?)
        },
        access: |folder| open(folder.join("link"), OFlags::RDONLY),
        expected: |place| vec![Expected::open(Read, place.folder.join("file")).requested(place.folder.join("link"))],
    },
    Case {
        name: "symbolic-link-to-nothing",
        setup: |folder| Ok(symlink("absent", folder.join("link"))?),
        access: |folder| refused(folder.join("link"), OFlags::RDONLY, Errno::NOENT),
        expected: |place| vec![Expected::open(Read, place.folder.join("link")).fails(Errno::NOENT).by(Expected::CALLS)],
    },
    Case {
        name: "hard-link",
        setup: |folder| {
            one_file(folder)?;
            Ok(fs::hard_link(folder.join("file"), folder.join("other"))?)
        },
        access: |folder| open(folder.join("other"), OFlags::RDONLY),
        expected: |place| vec![Expected::open(Read, place.folder.join("other"))],
    },
    Case {
        name: "renamed",
        setup: one_file,
        access: |folder| {
            fs::rename(folder.join("file"), folder.join("renamed"))?;
            open(folder.join("renamed"), OFlags::RDWR)
        },
        expected: |place| vec![Expected::open(ReadWrite, place.folder.join("renamed"))],
    },
    Case {
        name: "dots",
        setup: |folder| touch(&folder.join("a/b/file")),
        access: |folder| open(folder.join("a/./b/../../a/b/file"), OFlags::RDONLY),
        expected: |place| {
            let requested = place.folder.join("a/./b/../../a/b/file");
            vec![Expected::open(Read, place.folder.join("a/b/file")).requested(requested)]
        },
    },
    Case {
        name: "relative-to-the-working-directory",
        setup: |folder| {
            touch(&folder.join("a/file"))?;
            Ok(env::set_current_dir(folder.join("a"))?)
        },
        access: |_| {
            open("../a/file", OFlags::RDONLY)?;
            refused("absent", OFlags::RDONLY, Errno::NOENT)
        },
        expected: |place| {
            let absent = Expected::open(Read, place.folder.join("a/absent")).requested("absent");
            vec![
                Expected::open(Read, place.folder.join("a/file")).requested("../a/file"),
                absent.fails(Errno::NOENT).by(Expected::CALLS),
            ]
        },
    },
    Case {
        name: "relative-to-a-directory",
        setup: |folder| touch(&folder.join("a/b/file")),
        access: |folder| {
            let a = rustix::fs::open(folder.join("a"), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
            rustix::fs::openat(&a, "b/file", OFlags::RDONLY, Mode::empty())?;
            match rustix::fs::openat(&a, "absent", OFlags::RDONLY, Mode::empty()) {
                Err(Errno::NOENT) => Ok(()),
                other => anyhow::bail!("{other:?}"),
            }
        },
        expected: |place| {
            let absent = Expected::open(Read, place.folder.join("a/absent")).requested("absent");
            vec![
                Expected::open(Read, place.folder.join("a")),
                Expected::open(Read, place.folder.join("a/b/file")).requested("b/file"),
                absent.fails(Errno::NOENT).by(Expected::CALLS),
            ]
        },
    },
    Case {
        name: "longest-path",
        setup: |folder| touch(&longest(folder)),
        access: |folder| open(longest(folder), OFlags::RDONLY),
        expected: |place| vec![Expected::open(Read, longest(&place.folder))],
    },
    Case {
        name: "deeper-than-the-walk",
        setup: deep,
        access: |_| open("leaf", OFlags::WRONLY | OFlags::CREATE),
        expected: deeper,
    },
    Case {
        name: "longest-name",
        setup: |folder| touch(&folder.join("n".repeat(255))),
        access: |folder| open(folder.join("n".repeat(255)), OFlags::RDONLY),
        expected: |place| vec![Expected::open(Read, place.folder.join("n".repeat(255)))],
    },
    Case {
        name: "name-that-is-no-text",
        setup: |folder| touch(&folder.join(OsStr::from_bytes(STRANGE)).join("file")),
        access: |folder| open(folder.join(OsStr::from_bytes(STRANGE)).join("file"), OFlags::RDONLY),
        expected: |place| vec![Expected::open(Read, place.folder.join(OsStr::from_bytes(STRANGE)).join("file"))],
    },
    Case {
        name: "own-memory",
        setup: |_| Ok(()),
        access: |_| open("/proc/self/mem", OFlags::RDWR),
        expected: |place| {
            vec![Expected::open(ReadWrite, format!("/proc/{}/mem", place.process.pid)).requested("/proc/self/mem")]
        },
    },
    Case {
        name: "device",
        setup: |_| Ok(()),
        access: |_| open("/dev/null", OFlags::WRONLY),
        expected: |_| vec![Expected::open(Write, "/dev/null")],
    },
    Case {
        name: "fifo",
        setup: |folder| {
            Ok(mknodat(rustix::fs::CWD, folder.join("fifo"), FileType::Fifo, Mode::from_raw_mode(0o600), 0)?)
        },
        access: |folder| open(folder.join("fifo"), OFlags::RDWR | OFlags::NONBLOCK),
        expected: |place| vec![Expected::open(ReadWrite, place.folder.join("fifo"))],
    },
    Case {
        name: "root",
        setup: |_| Ok(()),
        access: |_| open("/", OFlags::RDONLY | OFlags::DIRECTORY),
        expected: |_| vec![Expected::open(Read, "/")],
    },
];
