//! Names that lead elsewhere, are given anew, or are gone.

use std::{
    env, fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use anyhow::Result;
use inotrail::event::AccessMode::{Read, ReadWrite, Write};
use inotrail_ebpf::flags;
use rustix::{
    fs::{MemfdFlags, OFlags, memfd_create},
    io::Errno,
};

use super::{
    Case, Expected,
    calls::{DESCRIPTOR, one_file, open, refused, renumbered},
};

/// A volume as the kubelet writes it (`pkg/volume/util/atomic_writer.go`): the key is a link through `..data`, which is a
/// link to the folder of the version.
fn volume(folder: &Path) -> Result<()> {
    for version in ["..2026_1", "..2026_2"] {
        fs::create_dir(folder.join(version))?;
        fs::write(folder.join(version).join("key"), version)?;
    }
    symlink("..2026_1", folder.join("..data"))?;
    Ok(symlink("..data/key", folder.join("key"))?)
}

/// A directory that is gone, and is this process's working directory.
fn gone(folder: &Path) -> Result<()> {
    fs::create_dir(folder.join("gone"))?;
    env::set_current_dir(folder.join("gone"))?;
    Ok(fs::remove_dir(folder.join("gone"))?)
}

pub(super) const CASES: &[Case] = &[
    Case {
        name: "symbolic-links",
        setup: |folder| {
            fs::create_dir_all(folder.join("a/b"))?;
            fs::write(folder.join("a/b/file"), "content")?;
            symlink("a/b", folder.join("directory"))?;
            symlink(folder.join("directory/file"), folder.join("first"))?;
            symlink("first", folder.join("second"))?;
            Ok(symlink("./directory/../../second", folder.join("third"))?)
        },
        access: |folder| open(folder.join("third"), OFlags::RDONLY),
        expected: |place| {
            vec![Expected::open(Read, place.folder.join("a/b/file")).requested(place.folder.join("third"))]
        },
    },
    Case {
        name: "symbolic-link-of-same-length",
        setup: |folder| {
            fs::create_dir(folder.join("real"))?;
            fs::write(folder.join("real/file"), "content")?;
            Ok(symlink("real", folder.join("link"))?)
        },
        access: |folder| open(folder.join("link/file"), OFlags::RDONLY),
        expected: |place| {
            vec![Expected::open(Read, place.folder.join("real/file")).requested(place.folder.join("link/file"))]
        },
    },
    Case {
        name: "symbolic-link-not-followed",
        setup: |folder| {
            one_file(folder)?;
            Ok(symlink("file", folder.join("link"))?)
        },
        access: |folder| refused(folder.join("link"), OFlags::RDONLY | OFlags::NOFOLLOW, Errno::LOOP),
        expected: |place| vec![Expected::open(Read, place.folder.join("link")).fails(Errno::LOOP).by(Expected::CALLS)],
    },
    Case {
        name: "volume-of-a-configuration",
        setup: volume,
        access: |folder| {
            open(folder.join("key"), OFlags::RDONLY)?;
            symlink("..2026_2", folder.join("..data_tmp"))?;
            fs::rename(folder.join("..data_tmp"), folder.join("..data"))?;
            open(folder.join("key"), OFlags::RDONLY)
        },
        expected: |place| {
            let key = |version: &str| {
                Expected::open(Read, place.folder.join(version).join("key")).requested(place.folder.join("key"))
            };
            vec![key("..2026_1"), key("..2026_2")]
        },
    },
    Case {
        name: "replaced",
        setup: one_file,
        access: |folder| {
            open(folder.join("new"), OFlags::WRONLY | OFlags::CREATE)?;
            fs::rename(folder.join("new"), folder.join("file"))?;
            open(folder.join("file"), OFlags::RDONLY)
        },
        expected: |place| {
            vec![Expected::create(Write, place.folder.join("new")), Expected::open(Read, place.folder.join("file"))]
        },
    },
    Case {
        name: "removed-working-directory",
        setup: gone,
        access: |_| {
            open(".", OFlags::RDONLY | OFlags::DIRECTORY)?;
            refused("file", OFlags::WRONLY | OFlags::CREATE, Errno::NOENT)
        },
        expected: |place| {
            let gone: PathBuf = place.folder.join("gone");
            let file = Expected::open(Write, gone.join("file")).requested("file").fails(Errno::NOENT);
            vec![Expected::open(Read, &gone).requested(".").flags(flags::UNLINKED), file.by(Expected::CALLS)]
        },
    },
    Case {
        name: "file-in-memory",
        setup: |_| Ok(()),
        access: |_| {
            let _file = renumbered(&memfd_create("secret", MemfdFlags::empty())?)?;
            open(format!("/proc/self/fd/{DESCRIPTOR}"), OFlags::RDWR)
        },
        expected: |_| {
            let file = Expected::open(ReadWrite, "/memfd:secret").flags(flags::UNLINKED | flags::DETACHED);
            vec![file.requested(format!("/proc/self/fd/{DESCRIPTOR}"))]
        },
    },
];
