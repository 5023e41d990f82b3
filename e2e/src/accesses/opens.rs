//! Every way to open a file, and every mode.

use std::path::PathBuf;

use inotrail::event::AccessMode::{Read, ReadWrite, Write};
use inotrail_ebpf::flags;
use rustix::{
    fs::OFlags,
    io::Errno,
    mount::{MountFlags, mount_bind, mount_remount},
};

use super::{
    Case, Expected,
    calls::{one_file, open, refused},
};

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
        name: "openat-without-a-name",
        setup: |_| Ok(()),
        access: |folder| open(folder, OFlags::RDWR | OFlags::TMPFILE),
        expected: |place| {
            // tmpfs calls it by the number of its inode (d_tmpfile, fs/dcache.c).
            let event = |path| Expected::create(ReadWrite, path).requested(&place.folder);
            // The check comes when the lookup does not know the mount any more; there, this file system's top is "/".
            let check = event(PathBuf::from("/openat-without-a-name/#")).flags(flags::UNLINKED | flags::DETACHED);
            let call = event(place.folder.join("#")).flags(flags::UNLINKED);
            vec![check.by(Expected::PERMISSION), call.by(Expected::CALLS)]
        },
    },
    Case {
        name: "openat-exclusively-existing",
        setup: one_file,
        access: |folder| refused(folder.join("file"), OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL, Errno::EXIST),
        expected: |place| {
            vec![Expected::open(Write, place.folder.join("file")).fails(Errno::EXIST).by(Expected::CALLS)]
        },
    },
    Case {
        name: "openat-for-writing-on-a-read-only-mount",
        setup: |folder| {
            one_file(folder)?;
            mount_bind(folder, folder)?;
            Ok(mount_remount(folder, MountFlags::BIND | MountFlags::RDONLY, "")?)
        },
        access: |folder| refused(folder.join("file"), OFlags::WRONLY, Errno::ROFS),
        expected: |place| {
            let event = Expected::open(Write, place.folder.join("file"));
            // The mount is asked after the file was.
            vec![event.clone().by(Expected::PERMISSION), event.fails(Errno::ROFS).by(Expected::CALLS)]
        },
    },
    Case {
        name: "openat-by-another-thread",
        setup: one_file,
        access: |folder| {
            let file = folder.join("file");
            match std::thread::spawn(move || open(file, OFlags::RDONLY)).join() {
                Ok(opened) => opened,
                Err(_) => anyhow::bail!("the thread panicked"),
            }
        },
        expected: |place| vec![Expected::open(Read, place.folder.join("file")).another_thread()],
    },
];
