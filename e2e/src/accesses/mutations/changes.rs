//! Files change their length, rights and attributes, and become memory that is executed.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
};

use anyhow::Result;
use inotrail::event::{
    AccessMode::{Read, Write},
    Operation,
};
use rustix::{
    fs::{AtFlags, CWD, Mode, OFlags, XattrFlags, chownat, fchmod, fchown, fsetxattr, ftruncate, setxattr},
    process::Uid,
};

use super::{
    super::{
        Case, Expected, Place,
        calls::{DESCRIPTOR, execute, one_file, open, renumbered},
        program::{
            Argument::{Address, Number},
            Call, Entry, Program, exits, string,
        },
    },
    attribute_of, ends_well, of,
};

/// mmap and truncate: `arch/x86/entry/syscalls/syscall_64.tbl`, include/uapi/asm-generic/unistd.h
const TRUNCATE: u32 = if cfg!(target_arch = "x86_64") { 76 } else { 45 };
const MMAP: u32 = if cfg!(target_arch = "x86_64") { 9 } else { 222 };
const PROT_READ: u64 = 0x1;
const PROT_EXEC: u64 = 0x4;
const MAP_PRIVATE: u64 = 0x2;

/// A list that grants what the mode 0644 does: version 2, then tag, rights and id of each entry
/// (`include/uapi/linux/posix_acl_xattr.h`).
fn access_list() -> Vec<u8> {
    let entries = [(1u16, 6u16), (4, 4), (0x20, 4)];
    let entry = |(tag, rights): (u16, u16)| [&tag.to_le_bytes()[..], &rights.to_le_bytes(), &[0xff; 4]].concat();
    [2u32.to_le_bytes().to_vec()].into_iter().chain(entries.map(entry)).flatten().collect()
}

/// A program that cuts the file off by its path.
fn truncates(folder: &Path) -> Result<()> {
    one_file(folder)?;
    let call = Call { entry: Entry::Native, number: TRUNCATE, arguments: vec![Address(0), Number(1)] };
    Program { calls: vec![call], memory: vec![string(&folder.join("file"))] }.write(&folder.join("program"))
}

/// A program that maps the file of [`DESCRIPTOR`] for reading, and then for execution.
fn maps(folder: &Path) -> Result<()> {
    one_file(folder)?;
    let map = |protection| Call {
        entry: Entry::Native,
        number: MMAP,
        arguments: [0, 4096, protection, MAP_PRIVATE, DESCRIPTOR as u64, 0].map(Number).to_vec(),
    };
    let calls = vec![map(PROT_READ), map(PROT_READ | PROT_EXEC), ends_well()];
    Program { calls, memory: Vec::new() }.write(&folder.join("program"))
}

/// The kernel maps a program that it executes.
fn executed(place: &Place) -> Vec<Expected> {
    let program = place.folder.join("program");
    vec![Expected::execute(&program), Expected::mutation(Operation::MmapExecute, program)]
}

/// Changes of owners, alone and with others.
pub(super) const OWNERS: &[Case] = &[
    Case {
        name: "fchmod-fchown",
        setup: one_file,
        access: |folder| {
            let file = rustix::fs::open(folder.join("file"), OFlags::RDONLY, Mode::empty())?;
            fchmod(&file, Mode::RUSR)?;
            Ok(fchown(&file, Some(Uid::from_raw(7)), None)?)
        },
        expected: |place| {
            let open = Expected::open(Read, place.folder.join("file"));
            vec![open, of(place, Operation::Chmod, "file"), of(place, Operation::Chown, "file")]
        },
    },
    Case {
        name: "chown",
        setup: |folder| {
            one_file(folder)?;
            Ok(symlink("file", folder.join("link"))?)
        },
        access: |folder| {
            let link = folder.join("link");
            chownat(CWD, &link, Some(Uid::from_raw(7)), None, AtFlags::empty())?;
            Ok(chownat(CWD, &link, Some(Uid::from_raw(7)), None, AtFlags::SYMLINK_NOFOLLOW)?)
        },
        expected: |place| vec![of(place, Operation::Chown, "file"), of(place, Operation::Chown, "link")],
    },
];

pub(super) const CASES: &[Case] = &[
    Case {
        name: "truncate",
        setup: truncates,
        access: |folder| execute(folder.join("program")),
        expected: |place| executed(place).into_iter().chain([of(place, Operation::Truncate, "file")]).collect(),
    },
    Case {
        name: "ftruncate",
        setup: one_file,
        access: |folder| {
            let file = rustix::fs::open(folder.join("file"), OFlags::WRONLY, Mode::empty())?;
            Ok(ftruncate(file, 1)?)
        },
        expected: |place| {
            vec![Expected::open(Write, place.folder.join("file")), of(place, Operation::Truncate, "file")]
        },
    },
    Case {
        name: "truncate-by-open",
        setup: one_file,
        access: |folder| open(folder.join("file"), OFlags::WRONLY | OFlags::TRUNC),
        expected: |place| {
            vec![Expected::open(Write, place.folder.join("file")), of(place, Operation::Truncate, "file")]
        },
    },
    Case {
        name: "chmod",
        setup: |folder| {
            one_file(folder)?;
            Ok(symlink("file", folder.join("link"))?)
        },
        access: |folder| Ok(fs::set_permissions(folder.join("link"), fs::Permissions::from_mode(0o600))?),
        expected: |place| vec![of(place, Operation::Chmod, "file")],
    },
    Case {
        name: "setxattr",
        setup: one_file,
        access: |folder| Ok(setxattr(folder.join("file"), "trusted.x", b"1", XattrFlags::empty())?),
        expected: |place| vec![attribute_of(place, "file")],
    },
    Case {
        name: "fsetxattr",
        setup: one_file,
        access: |folder| {
            let file = rustix::fs::open(folder.join("file"), OFlags::RDONLY, Mode::empty())?;
            Ok(fsetxattr(file, "trusted.x", b"1", XattrFlags::empty())?)
        },
        expected: |place| vec![Expected::open(Read, place.folder.join("file")), attribute_of(place, "file")],
    },
    Case {
        name: "access-list",
        setup: one_file,
        access: |folder| {
            let flags = XattrFlags::empty();
            Ok(setxattr(folder.join("file"), "system.posix_acl_access", &access_list(), flags)?)
        },
        expected: |place| vec![attribute_of(place, "file")],
    },
    Case {
        name: "execute-maps",
        setup: |folder| exits(&folder.join("program")),
        access: |folder| execute(folder.join("program")),
        expected: executed,
    },
    Case {
        name: "mmap",
        setup: maps,
        access: |folder| {
            let file = rustix::fs::open(folder.join("file"), OFlags::RDONLY, Mode::empty())?;
            let file = renumbered(&file)?;
            // Not to be closed by the exec.
            rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty())?;
            execute(folder.join("program"))
        },
        expected: |place| {
            let open = Expected::open(Read, place.folder.join("file"));
            let mapped = of(place, Operation::MmapExecute, "file");
            [open].into_iter().chain(executed(place)).chain([mapped]).collect()
        },
    },
];
