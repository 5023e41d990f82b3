//! Mutations on file systems on file systems.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
};

use anyhow::Result;
use inotrail::event::Operation;
use rustix::{
    fs::{XattrFlags, setxattr},
    io::Errno,
    mount::mount_bind,
};

use super::{
    super::{Case, overlays::overlay},
    attribute, fails, of, of_two,
};

/// `a/file`, and the same once more in `bind`.
fn bind(folder: &Path) -> Result<()> {
    fs::create_dir(folder.join("a"))?;
    fs::create_dir(folder.join("bind"))?;
    fs::write(folder.join("a/file"), "content")?;
    Ok(mount_bind(folder.join("a"), folder.join("bind"))?)
}

pub(super) const CASES: &[Case] = &[
    Case {
        name: "bind-names",
        setup: bind,
        access: |folder| {
            fs::hard_link(folder.join("bind/file"), folder.join("bind/name"))?;
            fs::rename(folder.join("bind/name"), folder.join("bind/new"))?;
            fs::set_permissions(folder.join("bind/new"), fs::Permissions::from_mode(0o600))?;
            Ok(fs::remove_file(folder.join("bind/new"))?)
        },
        expected: |place| {
            vec![
                of_two(place, Operation::Link, "bind/file", "bind/name"),
                of_two(place, Operation::Rename, "bind/name", "bind/new"),
                of(place, Operation::Chmod, "bind/new"),
                of(place, Operation::Delete, "bind/new"),
            ]
        },
    },
    Case {
        name: "rename-between-mounts",
        setup: bind,
        access: |folder| fails(rustix::fs::rename(folder.join("bind/file"), folder.join("a/new")), Errno::XDEV),
        // Refused before anybody is asked.
        expected: |_| Vec::new(),
    },
    Case {
        name: "overlay-lower",
        setup: overlay,
        access: |folder| {
            let file = folder.join("merged/a/file");
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
            fs::rename(&file, folder.join("merged/a/new"))?;
            fs::hard_link(folder.join("merged/a/new"), folder.join("merged/a/name"))?;
            Ok(fs::remove_file(folder.join("merged/a/new"))?)
        },
        // One event of each: what the overlay does to the file systems below is its own affair.
        expected: |place| {
            vec![
                of(place, Operation::Chmod, "merged/a/file"),
                of_two(place, Operation::Rename, "merged/a/file", "merged/a/new"),
                of_two(place, Operation::Link, "merged/a/new", "merged/a/name"),
                of(place, Operation::Delete, "merged/a/new"),
            ]
        },
    },
    Case {
        name: "overlay-delete-lower",
        setup: overlay,
        access: |folder| Ok(fs::remove_file(folder.join("merged/a/file"))?),
        expected: |place| vec![of(place, Operation::Delete, "merged/a/file")],
    },
    Case {
        name: "overlay-new",
        setup: overlay,
        access: |folder| {
            fs::create_dir(folder.join("merged/b"))?;
            symlink("../a/file", folder.join("merged/b/link"))?;
            fs::remove_file(folder.join("merged/b/link"))?;
            Ok(fs::remove_dir(folder.join("merged/b"))?)
        },
        expected: |place| {
            vec![
                of(place, Operation::Mkdir, "merged/b"),
                of(place, Operation::Symlink, "merged/b/link").target("../a/file"),
                of(place, Operation::Delete, "merged/b/link"),
                of(place, Operation::Rmdir, "merged/b"),
            ]
        },
    },
    Case {
        name: "overlay-setxattr",
        setup: overlay,
        access: |folder| Ok(setxattr(folder.join("merged/a/file"), "trusted.x", b"1", XattrFlags::empty())?),
        // Neither the attributes of the copy nor the one that the overlay sets on it.
        expected: |place| vec![attribute(&place.folder.join("merged"), &place.folder.join("merged/a/file"))],
    },
    Case {
        name: "chroot-names",
        setup: |folder| {
            fs::create_dir_all(folder.join("root/a"))?;
            fs::write(folder.join("root/a/file"), "content")?;
            rustix::process::chroot(folder.join("root"))?;
            Ok(std::env::set_current_dir("/")?)
        },
        access: |_| {
            fs::rename("/a/file", "/new")?;
            symlink("/new", "/a/link")?;
            Ok(fs::remove_file("/new")?)
        },
        expected: |place| {
            vec![
                of_two(place, Operation::Rename, "root/a/file", "root/new"),
                of(place, Operation::Symlink, "root/a/link").target("/new"),
                of(place, Operation::Delete, "root/new"),
            ]
        },
    },
];
