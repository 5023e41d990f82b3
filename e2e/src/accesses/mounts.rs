//! File systems on file systems.

use std::{env, fs, path::Path};

use anyhow::Result;
use inotrail::event::AccessMode::{Read, ReadWrite};
use inotrail_ebpf::flags;
use rustix::{
    fs::{CWD, Mode, OFlags},
    mount::{MountFlags, OpenTreeFlags, UnmountFlags, mount, mount_bind, mount_move, open_tree, unmount},
};

use super::{
    Case, Expected,
    calls::{one_file, open, refused},
    overlays::overlay,
};

/// A file system in memory, on a new folder.
fn tmpfs(folder: &Path) -> Result<()> {
    fs::create_dir(folder)?;
    Ok(mount("tmpfs", folder, "tmpfs", MountFlags::empty(), None)?)
}

fn enter(root: &Path) -> Result<()> {
    rustix::process::chroot(root)?;
    env::set_current_dir("/")?;
    Ok(())
}

pub(super) const CASES: &[Case] = &[
    Case {
        name: "tmpfs",
        setup: |folder| tmpfs(&folder.join("tmpfs")),
        access: |folder| open(folder.join("tmpfs/new"), OFlags::RDWR | OFlags::CREATE),
        expected: |place| vec![Expected::create(ReadWrite, place.folder.join("tmpfs/new"))],
    },
    Case {
        name: "bind-mount",
        setup: |folder| {
            fs::create_dir_all(folder.join("a/b"))?;
            fs::create_dir(folder.join("bind"))?;
            fs::write(folder.join("a/b/file"), "content")?;
            Ok(mount_bind(folder.join("a"), folder.join("bind"))?)
        },
        access: |folder| open(folder.join("bind/b/file"), OFlags::RDONLY),
        expected: |place| vec![Expected::open(Read, place.folder.join("bind/b/file"))],
    },
    Case {
        name: "bind-mount-of-a-file",
        setup: |folder| {
            one_file(folder)?;
            fs::write(folder.join("bind"), "")?;
            Ok(mount_bind(folder.join("file"), folder.join("bind"))?)
        },
        access: |folder| open(folder.join("bind"), OFlags::RDONLY),
        expected: |place| vec![Expected::open(Read, place.folder.join("bind"))],
    },
    Case {
        name: "chroot",
        setup: |folder| {
            fs::create_dir_all(folder.join("root/a"))?;
            fs::write(folder.join("root/a/file"), "content")?;
            enter(&folder.join("root"))
        },
        access: |_| {
            open("/a/file", OFlags::RDONLY)?;
            refused("/a/absent", OFlags::RDONLY, rustix::io::Errno::NOENT)
        },
        expected: |place| {
            let absent = Expected::open(Read, place.folder.join("root/a/absent")).requested("/a/absent");
            vec![
                Expected::open(Read, place.folder.join("root/a/file")).requested("/a/file"),
                absent.fails(rustix::io::Errno::NOENT).by(Expected::CALLS),
            ]
        },
    },
    Case {
        name: "container-root",
        setup: |folder| {
            overlay(folder)?;
            env::set_current_dir(folder.join("merged"))?;
            mount_move(".", "/")?;
            enter(Path::new("."))
        },
        access: |_| open("/a/file", OFlags::RDONLY),
        expected: |_| vec![Expected::open(Read, "/a/file")],
    },
    Case {
        // As container runtimes do it: the old root is left below the new one, and unmounted from there.
        name: "pivoted-root",
        setup: |folder| {
            let outer = folder.join("outer");
            tmpfs(&outer)?;
            // The first root of a machine cannot be left: another takes its place.
            env::set_current_dir(&outer)?;
            mount_move(".", "/")?;
            enter(Path::new("."))?;
            tmpfs(Path::new("/inner"))?;
            fs::create_dir_all("/inner/a/old")?;
            fs::write("/inner/a/file", "content")?;
            rustix::process::pivot_root("/inner", "/inner/a/old")?;
            env::set_current_dir("/")?;
            Ok(unmount("/a/old", UnmountFlags::DETACH)?)
        },
        access: |_| open("/a/file", OFlags::RDONLY),
        expected: |_| vec![Expected::open(Read, "/a/file")],
    },
    Case {
        name: "private-mount-namespace",
        setup: |folder| {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS)?;
            tmpfs(&folder.join("private"))?;
            Ok(fs::write(folder.join("private/file"), "content")?)
        },
        access: |folder| open(folder.join("private/file"), OFlags::RDWR),
        expected: |place| vec![Expected::open(ReadWrite, place.folder.join("private/file"))],
    },
    Case {
        name: "unmounted-working-directory",
        setup: |folder| {
            tmpfs(&folder.join("gone"))?;
            fs::create_dir(folder.join("gone/a"))?;
            fs::write(folder.join("gone/a/file"), "content")?;
            env::set_current_dir(folder.join("gone/a"))?;
            Ok(unmount(folder.join("gone"), UnmountFlags::DETACH)?)
        },
        access: |_| open("file", OFlags::RDONLY),
        expected: |_| vec![Expected::open(Read, "/a/file").requested("file").flags(flags::DETACHED)],
    },
    Case {
        // A copy of the tree that is mounted nowhere: its mount namespace is anonymous.
        name: "tree-of-its-own",
        setup: |folder| {
            fs::create_dir_all(folder.join("a/b"))?;
            Ok(fs::write(folder.join("a/b/file"), "content")?)
        },
        access: |folder| {
            let tree = open_tree(CWD, folder.join("a"), OpenTreeFlags::OPEN_TREE_CLONE)?;
            rustix::fs::openat(&tree, "b/file", OFlags::RDONLY, Mode::empty())?;
            Ok(())
        },
        expected: |_| vec![Expected::open(Read, "/b/file").requested("b/file").flags(flags::DETACHED)],
    },
    Case {
        // Its directory has been moved out of what is mounted.
        name: "moved-out-of-its-mount",
        setup: |folder| {
            tmpfs(&folder.join("files"))?;
            for name in ["files/mounted/a", "files/elsewhere", "bind"] {
                fs::create_dir_all(folder.join(name))?;
            }
            fs::write(folder.join("files/mounted/a/file"), "content")?;
            mount_bind(folder.join("files/mounted"), folder.join("bind"))?;
            env::set_current_dir(folder.join("bind/a"))?;
            Ok(fs::rename(folder.join("files/mounted/a"), folder.join("files/elsewhere/a"))?)
        },
        access: |_| open("file", OFlags::RDONLY),
        expected: |_| vec![Expected::open(Read, "/elsewhere/a/file").requested("file").flags(flags::DETACHED)],
    },
];
