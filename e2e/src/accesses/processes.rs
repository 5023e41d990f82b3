//! Who accesses, and what is executed.

use std::{
    ffi::{CStr, OsStr},
    fs,
    os::{
        fd::AsRawFd as _,
        unix::{fs::PermissionsExt as _, process::CommandExt as _},
    },
    path::Path,
    process::Command,
};

use anyhow::{Result, ensure};
use inotrail::event::AccessMode::{Read, Write};
use inotrail_ebpf::flags;
use rustix::{
    fs::{MemfdFlags, OFlags, memfd_create},
    io::Errno,
};

use super::{
    Case, Expected, Feature,
    calls::{DESCRIPTOR, USER, become_user, execute, numbered, one_file, open, refused, renumbered},
    program,
};

/// Arguments of a program: of several bytes per character, empty, with a line's end.
const ARGUMENTS: [&str; 3] = ["\u{e9}", "", "two\nlines"];

/// Tries to, and must fail with this error.
fn not_executed(path: &Path, errno: Errno) -> Result<()> {
    let error = Command::new(path).exec();
    ensure!(error.raw_os_error() == Some(errno.raw_os_error()), "refused with {error}, and not {errno}");
    Ok(())
}

/// `program`, and `script` that it interprets.
fn script(folder: &Path) -> Result<()> {
    let (program, script) = (folder.join("program"), folder.join("script"));
    program::exits(&program)?;
    fs::write(&script, format!("#!{}\n", program.display()))?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

pub(super) const CASES: &[Case] = &[
    Case {
        name: "denied",
        setup: |folder| {
            one_file(folder)?;
            Ok(fs::set_permissions(folder.join("file"), fs::Permissions::from_mode(0o600))?)
        },
        access: |folder| {
            become_user(USER)?;
            refused(folder.join("file"), OFlags::RDONLY, Errno::ACCESS)
        },
        expected: |place| vec![Expected::open(Read, place.folder.join("file")).fails(Errno::ACCESS).user(USER)],
    },
    Case {
        name: "denied-directory",
        setup: |folder| {
            fs::create_dir(folder.join("closed"))?;
            fs::write(folder.join("closed/file"), "content")?;
            Ok(fs::set_permissions(folder.join("closed"), fs::Permissions::from_mode(0o700))?)
        },
        access: |folder| {
            become_user(USER)?;
            refused(folder.join("closed/file"), OFlags::WRONLY, Errno::ACCESS)
        },
        // The lookup ends at the directory: the file is not checked.
        expected: |place| {
            let event = Expected::open(Write, place.folder.join("closed/file"));
            vec![event.fails(Errno::ACCESS).user(USER).by(Expected::CALLS)]
        },
    },
    Case {
        name: "real-user",
        setup: one_file,
        access: |folder| {
            become_user(0)?;
            open(folder.join("file"), OFlags::RDONLY)
        },
        expected: |place| vec![Expected::open(Read, place.folder.join("file")).user(USER).effective(0)],
    },
    Case {
        name: "unlinked",
        setup: one_file,
        access: |folder| {
            let _file = numbered(folder.join("file"))?;
            fs::remove_file(folder.join("file"))?;
            open(format!("/proc/self/fd/{DESCRIPTOR}"), OFlags::RDONLY)
        },
        expected: |place| {
            let file = Expected::open(Read, place.folder.join("file"));
            let again = file.clone().requested(format!("/proc/self/fd/{DESCRIPTOR}")).flags(flags::UNLINKED);
            vec![file, again]
        },
    },
    Case {
        name: "execute",
        setup: |folder| program::exits(&folder.join("program")),
        access: |folder| execute(folder.join("program")),
        expected: |place| vec![Expected::execute(place.folder.join("program"))],
    },
    Case {
        name: "execute-with-arguments",
        setup: |folder| program::exits(&folder.join("program")),
        access: |folder| Err(Command::new(folder.join("program")).args(ARGUMENTS).exec().into()),
        expected: |place| {
            let program = place.folder.join("program");
            let arguments: Vec<_> = [program.as_os_str()].into_iter().chain(ARGUMENTS.map(OsStr::new)).collect();
            vec![Expected::execute(&program).arguments(&arguments)]
        },
    },
    Case {
        name: "execute-script",
        setup: script,
        access: |folder| execute(folder.join("script")),
        expected: |place| {
            let (program, script) = (place.folder.join("program"), place.folder.join("script"));
            // The exec names the executable in the end; the permission checks name both files.
            vec![
                Expected::execute(&script).by(Expected::PERMISSION),
                Expected::execute(&program).by(Expected::PERMISSION),
                Expected::execute(&program)
                    .requested(&script)
                    .arguments(&[program.as_os_str(), script.as_os_str()])
                    .by(Expected::CALLS),
            ]
        },
    },
    Case {
        name: "execute-denied",
        setup: one_file,
        access: |folder| not_executed(&folder.join("file"), Errno::ACCESS),
        expected: |place| vec![Expected::execute(place.folder.join("file")).fails(Errno::ACCESS)],
    },
    Case {
        name: "execute-absent",
        setup: |_| Ok(()),
        access: |folder| not_executed(&folder.join("absent"), Errno::NOENT),
        expected: |place| vec![Expected::execute(place.folder.join("absent")).fails(Errno::NOENT).by(Expected::CALLS)],
    },
];

/// What is executed by a descriptor.
const DESCRIPTORS: &[Case] = &[
    Case {
        name: "execute-a-descriptor",
        setup: |folder| program::exits(&folder.join("program")),
        access: |folder| {
            let program = numbered(folder.join("program"))?;
            match nix::unistd::fexecve(program.as_raw_fd(), &[c"name"], &[] as &[&CStr]) {
                Err(error) => Err(error.into()),
            }
        },
        expected: |place| {
            let program = place.folder.join("program");
            let execute = Expected::execute(&program).arguments(&[OsStr::new("name")]);
            vec![
                Expected::open(Read, &program),
                execute.clone().requested("").by(Expected::PERMISSION),
                // What the kernel calls it where a script's interpreter is told (fs/exec.c).
                execute.requested(format!("/dev/fd/{DESCRIPTOR}")).by(Expected::CALLS),
            ]
        },
    },
    Case {
        // The program is in no file system that anyone can look at.
        name: "execute-a-file-in-memory",
        setup: |folder| program::exits(&folder.join("program")),
        access: |folder| {
            let program = memfd_create("program", MemfdFlags::empty())?;
            rustix::io::write(&program, &fs::read(folder.join("program"))?)?;
            let program = renumbered(&program)?;
            match nix::unistd::fexecve(program.as_raw_fd(), &[c"name"], &[] as &[&CStr]) {
                Err(error) => Err(error.into()),
            }
        },
        expected: |place| {
            let execute = Expected::execute("/memfd:program").arguments(&[OsStr::new("name")]);
            let execute = execute.flags(flags::UNLINKED | flags::DETACHED);
            vec![
                Expected::open(Read, place.folder.join("program")),
                execute.clone().requested("").by(Expected::PERMISSION),
                execute.requested(format!("/dev/fd/{DESCRIPTOR}")).by(Expected::CALLS),
            ]
        },
    },
];

/// What needs something that not every kernel has.
pub(super) const SOMEWHERE: &[(Feature, &[Case])] = &[(Feature::ExecuteDescriptor, DESCRIPTORS)];
