//! Overlays: what a container's files lie on.

use std::{ffi::CString, fs, os::unix::fs::PermissionsExt as _, path::Path};

use anyhow::Result;
use inotrail::event::AccessMode::{Read, ReadWrite, Write};
use rustix::{
    fs::OFlags,
    mount::{MountFlags, mount},
};

use super::{
    Case, Expected,
    calls::{USER, become_user, open},
};

/// `merged` of `lower`, which has `a/file`, and `upper`, which has `a/upper`.
pub(super) fn overlay(folder: &Path) -> Result<()> {
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

pub(super) const CASES: &[Case] = &[
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
        name: "overlay-removed-and-created-again",
        setup: overlay,
        access: |folder| {
            let file = folder.join("merged/a/file");
            // Leaves a whiteout, which the new file takes the place of.
            fs::remove_file(&file)?;
            open(&file, OFlags::WRONLY | OFlags::CREATE)?;
            open(&file, OFlags::RDONLY)
        },
        expected: |place| {
            let path = place.folder.join("merged/a/file");
            vec![Expected::create(Write, &path), Expected::open(Read, &path)]
        },
    },
    Case {
        // The overlay asks and copies with the rights of who mounted it.
        name: "overlay-copy-up-by-a-user",
        setup: |folder| {
            overlay(folder)?;
            Ok(fs::set_permissions(folder.join("merged/a/file"), fs::Permissions::from_mode(0o666))?)
        },
        access: |folder| {
            become_user(USER)?;
            open(folder.join("merged/a/file"), OFlags::RDONLY)?;
            open(folder.join("merged/a/file"), OFlags::RDWR | OFlags::TRUNC)
        },
        expected: |place| {
            let path = place.folder.join("merged/a/file");
            vec![Expected::open(Read, &path).user(USER), Expected::open(ReadWrite, &path).user(USER)]
        },
    },
];
