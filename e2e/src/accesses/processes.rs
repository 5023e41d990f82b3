//! Who accesses, and what is executed.

use std::{
    ffi::OsStr,
    fs,
    os::{
        fd::AsRawFd as _,
        unix::{fs::PermissionsExt as _, process::CommandExt as _},
    },
    path::Path,
    process::Command,
};

use anyhow::{Result, bail, ensure};
use inotrail::event::AccessMode::{Read, Write};
use inotrail_ebpf::flags;
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
    process::{Gid, Uid},
    thread::{set_thread_res_gid, set_thread_res_uid},
};

use super::{
    Case, Expected,
    calls::{execute, one_file, open, refused},
    program,
};

/// Arguments of a program: of several bytes per character, empty, with a line's end.
const ARGUMENTS: [&str; 3] = ["\u{e9}", "", "two\nlines"];
/// A descriptor number that no setup uses.
const DESCRIPTOR: i32 = 100;
/// Any user but root.
const USER: u32 = 1000;

/// Tries to, and must fail with this error.
fn not_executed(path: &Path, errno: Errno) -> Result<()> {
    let error = Command::new(path).exec();
    ensure!(error.raw_os_error() == Some(errno.raw_os_error()), "refused with {error}, and not {errno}");
    Ok(())
}

/// Becomes another user, who keeps root's rights or does not.
fn become_user(effective: u32) -> Result<()> {
    let (user, effective) = (Uid::from_raw(USER), Uid::from_raw(effective));
    set_thread_res_gid(Gid::from_raw(USER), Gid::from_raw(USER), Gid::from_raw(USER))?;
    set_thread_res_uid(user, effective, effective)?;
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
        expected: |place| vec![Expected::open(Read, place.folder.join("file")).fails(Errno::ACCESS).uid(USER)],
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
            vec![event.fails(Errno::ACCESS).uid(USER).by(Expected::CALLS)]
        },
    },
    Case {
        name: "real-user",
        setup: one_file,
        access: |folder| {
            become_user(0)?;
            open(folder.join("file"), OFlags::RDONLY)
        },
        expected: |place| vec![Expected::open(Read, place.folder.join("file")).uid(USER)],
    },
    Case {
        name: "unlinked",
        setup: one_file,
        access: |folder| {
            let file = rustix::fs::open(folder.join("file"), OFlags::RDONLY, Mode::empty())?;
            // The number that the expected events name.
            let file = rustix::io::fcntl_dupfd_cloexec(&file, DESCRIPTOR)?;
            if file.as_raw_fd() != DESCRIPTOR {
                bail!("descriptor {DESCRIPTOR} is taken");
            }
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
