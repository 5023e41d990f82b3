//! File systems on file systems.

use std::{ffi::CString, fs, path::Path};

use anyhow::Result;
use inotrail::event::AccessMode::{Read, ReadWrite, Write};
use rustix::{
    fs::OFlags,
    mount::{MountFlags, mount, mount_bind},
};

use super::{
    Case, Expected,
    calls::{one_file, open, refused},
};

/// `merged` of `lower`, which has `a/file`, and `upper`, which has `a/upper`.
fn overlay(folder: &Path) -> Result<()> {
    for name in ["lower/a", "upper/a", "work", "merged"] {
        fs::create_dir_all(folder.join(name))?;
    }
    fs::write(folder.join("lower/a/file"), "lower")?;
    fs::write(folder.join("upper/a/upper"), "upper")?;
    let folder = folder.display();
    let options = CString::new(format!("lowerdir={folder}/lower,upperdir={folder}/upper,workdir={folder}/work"))?;
    mount("overlay", format!("{folder}/merged"), "overlay", MountFlags::empty(), options.as_c_str())?;
    Ok(())
}

fn enter(root: &Path) -> Result<()> {
    rustix::process::chroot(root)?;
    std::env::set_current_dir("/")?;
    Ok(())
}

pub(super) const CASES: &[Case] = &[
    Case {
        name: "tmpfs",
        setup: |folder| {
            fs::create_dir(folder.join("tmpfs"))?;
            Ok(mount("tmpfs", folder.join("tmpfs"), "tmpfs", MountFlags::empty(), None)?)
        },
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
        name: "overlay-read-lower",
        setup: overlay,
        access: |folder| open(folder.join("merged/a/file"), OFlags::RDONLY),
        expected: |place| vec![Expected::open(Read, place.folder.join("merged/a/file"))],
    },
    Case {
        name: "overlay-read-upper",
        setup: overlay,
        access: |folder| open(folder.join("merged/a/upper"), OFlags::RDONLY),
        expected: |place| vec![Expected::open(Read, place.folder.join("merged/a/upper"))],
    },
    Case {
        name: "overlay-copy-up",
        setup: overlay,
        access: |folder| {
            open(folder.join("merged/a/file"), OFlags::WRONLY)?;
            open(folder.join("merged/a/file"), OFlags::RDONLY)
        },
        expected: |place| {
            let path = place.folder.join("merged/a/file");
            vec![Expected::open(Write, &path), Expected::open(Read, &path)]
        },
    },
    Case {
        name: "overlay-create",
        setup: overlay,
        access: |folder| open(folder.join("merged/a/new"), OFlags::RDWR | OFlags::CREATE),
        expected: |place| vec![Expected::create(ReadWrite, place.folder.join("merged/a/new"))],
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
            std::env::set_current_dir(folder.join("merged"))?;
            rustix::mount::mount_move(".", "/")?;
            enter(Path::new("."))
        },
        access: |_| open("/a/file", OFlags::RDONLY),
        expected: |_| vec![Expected::open(Read, "/a/file")],
    },
];
