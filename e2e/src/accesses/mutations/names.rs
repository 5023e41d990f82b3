//! Files get names, change them and lose them.

use std::{
    env, fs,
    os::unix::{fs::symlink, net::UnixListener},
    path::{Path, PathBuf},
};

use anyhow::Result;
use inotrail::event::{AccessMode::Write, Operation};
use inotrail_ebpf::flags;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, linkat, mknodat, renameat_with, unlinkat};

use super::{
    super::{
        Case, Expected,
        calls::{one_file, open},
    },
    of, of_two,
};

/// `file` and `other`.
fn two_files(folder: &Path) -> Result<()> {
    one_file(folder)?;
    Ok(fs::write(folder.join("other"), "other")?)
}

/// Longest name of a file, and as many of them as fit into a path that a call takes.
fn deep(folder: &Path) -> PathBuf {
    let name = "d".repeat(255);
    let mut path = folder.to_owned();
    while path.as_os_str().len() + 2 * (name.len() + 1) < 4096 {
        path.push(&name);
    }
    path
}

pub(super) const CASES: &[Case] = &[
    Case {
        name: "delete",
        setup: one_file,
        access: |folder| Ok(fs::remove_file(folder.join("file"))?),
        expected: |place| vec![of(place, Operation::Delete, "file")],
    },
    Case {
        name: "delete-relative",
        setup: |folder| {
            one_file(folder)?;
            fs::create_dir(folder.join("a"))?;
            Ok(env::set_current_dir(folder.join("a"))?)
        },
        access: |_| Ok(unlinkat(CWD, "../a/.././file", AtFlags::empty())?),
        expected: |place| vec![of(place, Operation::Delete, "file")],
    },
    Case {
        name: "delete-symlink",
        setup: |folder| {
            one_file(folder)?;
            Ok(symlink("file", folder.join("link"))?)
        },
        access: |folder| Ok(fs::remove_file(folder.join("link"))?),
        expected: |place| vec![of(place, Operation::Delete, "link")],
    },
    Case {
        name: "rename",
        setup: |folder| {
            one_file(folder)?;
            Ok(fs::create_dir(folder.join("a"))?)
        },
        access: |folder| Ok(fs::rename(folder.join("file"), folder.join("a/new"))?),
        expected: |place| vec![of_two(place, Operation::Rename, "file", "a/new")],
    },
    Case {
        name: "rename-over",
        setup: two_files,
        access: |folder| Ok(fs::rename(folder.join("file"), folder.join("other"))?),
        expected: |place| vec![of_two(place, Operation::Rename, "file", "other")],
    },
    Case {
        name: "rename-exchange",
        setup: two_files,
        access: |folder| Ok(renameat_with(CWD, folder.join("file"), CWD, folder.join("other"), RenameFlags::EXCHANGE)?),
        // One call and one event: it says that both files moved.
        expected: |place| vec![of_two(place, Operation::Rename, "file", "other").flags(flags::EXCHANGED)],
    },
    Case {
        name: "rename-directory",
        setup: |folder| Ok(fs::create_dir_all(folder.join("a/b"))?),
        access: |folder| Ok(fs::rename(folder.join("a/b"), folder.join("c"))?),
        expected: |place| vec![of_two(place, Operation::Rename, "a/b", "c")],
    },
    Case {
        name: "rename-long",
        setup: |folder| {
            fs::create_dir_all(deep(folder))?;
            Ok(fs::write(deep(folder).join("file"), "")?)
        },
        access: |folder| Ok(fs::rename(deep(folder).join("file"), deep(folder).join("new"))?),
        expected: |place| {
            let folder = deep(&place.folder);
            vec![Expected::mutation(Operation::Rename, folder.join("file")).target(folder.join("new"))]
        },
    },
    Case {
        name: "link",
        setup: one_file,
        access: |folder| Ok(fs::hard_link(folder.join("file"), folder.join("name"))?),
        expected: |place| vec![of_two(place, Operation::Link, "file", "name")],
    },
    Case {
        name: "link-through-a-symlink",
        setup: |folder| {
            one_file(folder)?;
            Ok(symlink("file", folder.join("link"))?)
        },
        access: |folder| Ok(linkat(CWD, folder.join("link"), CWD, folder.join("name"), AtFlags::SYMLINK_FOLLOW)?),
        expected: |place| vec![of_two(place, Operation::Link, "file", "name")],
    },
    Case {
        name: "symlink",
        setup: |_| Ok(()),
        access: |folder| Ok(symlink("../a b//./c", folder.join("link"))?),
        expected: |place| vec![of(place, Operation::Symlink, "link").target("../a b//./c")],
    },
    Case {
        name: "mkdir-rmdir",
        setup: |_| Ok(()),
        access: |folder| {
            fs::create_dir(folder.join("a"))?;
            Ok(fs::remove_dir(folder.join("a"))?)
        },
        expected: |place| vec![of(place, Operation::Mkdir, "a"), of(place, Operation::Rmdir, "a")],
    },
    Case {
        name: "mknod",
        setup: |_| Ok(()),
        access: |folder| {
            mknodat(CWD, folder.join("pipe"), FileType::Fifo, Mode::RUSR, 0)?;
            Ok(mknodat(CWD, folder.join("file"), FileType::RegularFile, Mode::RUSR, 0)?)
        },
        expected: |place| vec![of(place, Operation::Create, "pipe"), of(place, Operation::Create, "file")],
    },
    Case {
        name: "socket",
        setup: |_| Ok(()),
        access: |folder| UnixListener::bind(folder.join("socket")).map(drop).map_err(Into::into),
        expected: |place| vec![of(place, Operation::Create, "socket")],
    },
    Case {
        name: "create-by-open",
        setup: |_| Ok(()),
        access: |folder| open(folder.join("new"), OFlags::WRONLY | OFlags::CREATE),
        // The open tells of it, and not the check of a new node.
        expected: |place| vec![Expected::create(Write, place.folder.join("new"))],
    },
];
