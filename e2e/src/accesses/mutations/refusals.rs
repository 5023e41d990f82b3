//! Mutations that are refused, and at which point.

use std::{fs, path::Path};

use anyhow::Result;
use inotrail::event::Operation;
use rustix::{
    fs::{AtFlags, CWD, Mode, RenameFlags, XattrFlags, mkdir, rename, renameat_with, setxattr, unlink, unlinkat},
    io::Errno,
    mount::{MountFlags, mount_bind, mount_remount},
};

use super::{
    super::{
        Case, Expected,
        calls::{USER, become_user, execute, one_file},
        program::{
            Argument::{Address, Number},
            Call, Entry, Program, string,
        },
    },
    attribute_of, ends_well, fails, of, of_two,
};

/// prctl and unlinkat: `arch/x86/entry/syscalls/syscall_64.tbl`, include/uapi/asm-generic/unistd.h
const PRCTL: u32 = if cfg!(target_arch = "x86_64") { 157 } else { 167 };
const UNLINKAT: u32 = if cfg!(target_arch = "x86_64") { 263 } else { 35 };
const LANDLOCK_CREATE_RULESET: u32 = 444;
const LANDLOCK_RESTRICT_SELF: u32 = 446;
const PR_SET_NO_NEW_PRIVS: u64 = 38;
/// `LANDLOCK_ACCESS_FS_REMOVE_FILE`
const REMOVE_FILE: u64 = 1 << 5;
/// The first descriptor that a program opens.
const FIRST: u64 = 3;

/// A program that forbids itself to delete files, and tries to.
fn confined(folder: &Path) -> Result<()> {
    one_file(folder)?;
    let native = |number, arguments| Call { entry: Entry::Native, number, arguments };
    let calls = vec![
        native(PRCTL, [PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0].map(Number).to_vec()),
        native(LANDLOCK_CREATE_RULESET, vec![Address(0), Number(8), Number(0)]),
        native(LANDLOCK_RESTRICT_SELF, vec![Number(FIRST), Number(0)]),
        native(UNLINKAT, vec![Number(-100i64 as u64), Address(1), Number(0)]),
        ends_well(),
    ];
    let memory = vec![REMOVE_FILE.to_ne_bytes().to_vec(), string(&folder.join("file"))];
    Program { calls, memory }.write(&folder.join("program"))
}

/// What needs a security module.
pub(super) const LANDLOCK: &[Case] = &[Case {
    name: "delete-refused-by-a-module",
    setup: confined,
    access: |folder| execute(folder.join("program")),
    expected: |place| {
        let program = place.folder.join("program");
        vec![
            Expected::execute(&program),
            Expected::mutation(Operation::MmapExecute, program),
            of(place, Operation::Delete, "file").fails(Errno::ACCESS),
        ]
    },
}];

/// What needs capabilities to be asked: they are a security module as well, and this attribute is theirs.
pub(super) const RIGHTS: &[Case] = &[Case {
    name: "setxattr-refused-by-a-module",
    setup: |folder| {
        one_file(folder)?;
        Ok(rustix::fs::chown(folder.join("file"), Some(rustix::process::Uid::from_raw(USER)), None)?)
    },
    access: |folder| {
        become_user(USER)?;
        fails(setxattr(folder.join("file"), "security.x", b"1", XattrFlags::empty()), Errno::PERM)
    },
    expected: |place| vec![attribute_of(place, "file").user(USER).fails(Errno::PERM)],
}];

pub(super) const CASES: &[Case] = &[
    Case {
        name: "refused-by-rights",
        setup: |folder| {
            one_file(folder)?;
            Ok(fs::create_dir(folder.join("a"))?)
        },
        access: |folder| {
            become_user(USER)?;
            fails(unlink(folder.join("file")), Errno::ACCESS)?;
            fails(rename(folder.join("file"), folder.join("a/new")), Errno::ACCESS)?;
            fails(mkdir(folder.join("b"), Mode::RWXU), Errno::ACCESS)?;
            fails(rustix::fs::chmod(folder.join("file"), Mode::RUSR), Errno::PERM)
        },
        // Security modules are asked before the rights are looked at, so these are told, with an outcome not known.
        expected: |place| {
            let events = [
                of(place, Operation::Delete, "file"),
                of_two(place, Operation::Rename, "file", "a/new"),
                of(place, Operation::Mkdir, "b"),
                of(place, Operation::Chmod, "file"),
            ];
            events.map(|event| event.user(USER)).to_vec()
        },
    },
    Case {
        name: "refused-by-the-mount",
        setup: |folder| {
            fs::create_dir_all(folder.join("a/b"))?;
            fs::write(folder.join("a/file"), "content")?;
            mount_bind(folder.join("a"), folder.join("a"))?;
            Ok(mount_remount(folder.join("a"), MountFlags::BIND | MountFlags::RDONLY, "")?)
        },
        access: |folder| {
            fails(unlink(folder.join("a/file")), Errno::ROFS)?;
            fails(rename(folder.join("a/file"), folder.join("a/new")), Errno::ROFS)?;
            fails(mkdir(folder.join("a/c"), Mode::RWXU), Errno::ROFS)?;
            fails(rustix::fs::chmod(folder.join("a/file"), Mode::RUSR), Errno::ROFS)
        },
        // A mount that is read-only is noticed before anybody is asked.
        expected: |_| Vec::new(),
    },
    Case {
        name: "refused-by-what-is-there",
        setup: |folder| {
            one_file(folder)?;
            Ok(fs::create_dir_all(folder.join("a/b"))?)
        },
        access: |folder| {
            fails(unlink(folder.join("absent")), Errno::NOENT)?;
            fails(mkdir(folder.join("a"), Mode::RWXU), Errno::EXIST)?;
            let (file, other) = (folder.join("file"), folder.join("a/b"));
            fails(renameat_with(CWD, file, CWD, other, RenameFlags::NOREPLACE), Errno::EXIST)?;
            fails(unlinkat(CWD, folder.join("a"), AtFlags::REMOVEDIR), Errno::NOTEMPTY)
        },
        // Only the file system itself knows that a directory is not empty.
        expected: |place| vec![of(place, Operation::Rmdir, "a")],
    },
];
