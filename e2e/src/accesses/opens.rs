//! Every way to open a file, and every mode.

use std::path::Path;

use anyhow::Result;
use inotrail::event::AccessMode::{Read, ReadWrite, Write};
use inotrail_ebpf::flags;
use rustix::{
    fs::{CWD, Mode, OFlags, ResolveFlags},
    io::Errno,
};

use super::{
    Case, Expected,
    calls::{execute, one_file, open, refused},
    program,
};

/// A program that makes a system call of this number on the file.
const fn call(
    name: &'static str,
    setup: fn(&Path) -> Result<()>,
    expected: fn(&super::Place) -> Vec<Expected>,
) -> Case {
    Case { name, setup, access: |folder| execute(folder.join("program")), expected }
}

pub(super) const CASES: &[Case] = &[
    Case {
        name: "openat-read",
        setup: one_file,
        access: |folder| open(folder.join("file"), OFlags::RDONLY),
        expected: |place| vec![Expected::open(Read, place.folder.join("file"))],
    },
    Case {
        name: "openat-write",
        setup: one_file,
        access: |folder| open(folder.join("file"), OFlags::WRONLY),
        expected: |place| vec![Expected::open(Write, place.folder.join("file"))],
    },
    Case {
        name: "openat-read-write",
        setup: one_file,
        access: |folder| open(folder.join("file"), OFlags::RDWR),
        expected: |place| vec![Expected::open(ReadWrite, place.folder.join("file"))],
    },
    Case {
        name: "openat-append",
        setup: one_file,
        access: |folder| open(folder.join("file"), OFlags::WRONLY | OFlags::APPEND),
        expected: |place| vec![Expected::open(Write, place.folder.join("file"))],
    },
    Case {
        name: "openat-truncate",
        setup: one_file,
        access: |folder| open(folder.join("file"), OFlags::WRONLY | OFlags::TRUNC),
        expected: |place| vec![Expected::open(Write, place.folder.join("file"))],
    },
    Case {
        name: "openat-three-times",
        setup: one_file,
        access: |folder| (0..3).try_for_each(|_| open(folder.join("file"), OFlags::RDONLY)),
        expected: |place| vec![Expected::open(Read, place.folder.join("file")); 3],
    },
    Case {
        name: "openat-create",
        setup: |_| Ok(()),
        access: |folder| open(folder.join("new"), OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL),
        expected: |place| vec![Expected::create(Write, place.folder.join("new"))],
    },
    Case {
        name: "openat-create-existing",
        setup: one_file,
        access: |folder| open(folder.join("file"), OFlags::RDWR | OFlags::CREATE),
        expected: |place| vec![Expected::open(ReadWrite, place.folder.join("file"))],
    },
    Case {
        name: "openat2",
        setup: one_file,
        access: |folder| {
            let flags = ResolveFlags::NO_SYMLINKS;
            rustix::fs::openat2(CWD, folder.join("file"), OFlags::RDONLY, Mode::empty(), flags)?;
            Ok(())
        },
        expected: |place| vec![Expected::open(Read, place.folder.join("file"))],
    },
    Case {
        name: "openat-directory",
        setup: |_| Ok(()),
        access: |folder| open(folder, OFlags::RDONLY | OFlags::DIRECTORY),
        expected: |place| vec![Expected::open(Read, &place.folder)],
    },
    Case {
        name: "openat-path-only",
        setup: one_file,
        access: |folder| open(folder.join("file"), OFlags::PATH),
        expected: |place| {
            let event = Expected::open(Read, place.folder.join("file")).no_mode();
            vec![event.flags(flags::O_PATH).by(Expected::CALLS)]
        },
    },
    Case {
        name: "openat-absent",
        setup: |_| Ok(()),
        access: |folder| refused(folder.join("absent"), OFlags::RDONLY, Errno::NOENT),
        expected: |place| {
            vec![Expected::open(Read, place.folder.join("absent")).fails(Errno::NOENT).by(Expected::CALLS)]
        },
    },
    Case {
        name: "openat-of-a-file-as-directory",
        setup: one_file,
        access: |folder| refused(folder.join("file/below"), OFlags::RDWR, Errno::NOTDIR),
        expected: |place| {
            let path = place.folder.join("file/below");
            vec![Expected::open(ReadWrite, path).fails(Errno::NOTDIR).by(Expected::CALLS)]
        },
    },
    Case {
        name: "io-uring",
        setup: one_file,
        access: |folder| {
            tokio_uring::start(async { tokio_uring::fs::File::open(folder.join("file")).await?.close().await })?;
            Ok(())
        },
        expected: |place| {
            let event = Expected::open(Read, place.folder.join("file"));
            // The completion has the file, and not what was asked for.
            vec![event.clone().by(Expected::PERMISSION), event.requested("").by(Expected::CALLS)]
        },
    },
    call(
        "open",
        |folder| {
            one_file(folder)?;
            program::opens(
                &folder.join("program"),
                program::Call::Syscall,
                2,
                &folder.join("file"),
                OFlags::RDWR.bits(),
            )
        },
        |place| {
            let file = Expected::open(ReadWrite, place.folder.join("file"));
            vec![Expected::execute(place.folder.join("program")), file]
        },
    ),
    call(
        "creat",
        |folder| program::opens(&folder.join("program"), program::Call::Syscall, 85, &folder.join("new"), 0o600),
        |place| {
            let file = Expected::create(Write, place.folder.join("new"));
            vec![Expected::execute(place.folder.join("program")), file]
        },
    ),
    call(
        "creat-existing",
        |folder| {
            one_file(folder)?;
            program::opens(&folder.join("program"), program::Call::Syscall, 85, &folder.join("file"), 0o600)
        },
        |place| {
            let file = Expected::open(Write, place.folder.join("file"));
            vec![Expected::execute(place.folder.join("program")), file]
        },
    ),
    call(
        "open-32-bit",
        |folder| {
            one_file(folder)?;
            program::opens(
                &folder.join("program"),
                program::Call::Int80,
                5,
                &folder.join("file"),
                OFlags::WRONLY.bits(),
            )
        },
        |place| {
            let file = |flags| Expected::open(Write, place.folder.join("file")).flags(flags);
            let execute = Expected::execute(place.folder.join("program"));
            vec![execute, file(flags::COMPAT).by(Expected::CALLS), file(0).by(Expected::PERMISSION)]
        },
    ),
];
