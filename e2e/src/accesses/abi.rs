//! Calls that no library makes, made by programs of their own.

use std::path::Path;

use anyhow::Result;
use inotrail::event::AccessMode::Read;
use rustix::fs::OFlags;

use super::{
    Case, Expected, Feature, Place,
    calls::{execute, one_file},
    program::{
        Argument::{Address, Number},
        Call, Entry, Program, string,
    },
};

/// `AT_FDCWD`
const HERE: u64 = -100i64 as u64;
/// `name_to_handle_at` and `open_by_handle_at` (`arch/x86/entry/syscalls/syscall_64.tbl`, include/uapi/asm-generic/unistd.h)
const HANDLE: (u32, u32) = if cfg!(target_arch = "x86_64") { (303, 304) } else { (264, 265) };
/// Room for a handle: the length of the rest, the type, the rest (`struct file_handle`).
const HANDLE_BYTES: usize = 128;

/// A program that asks for the file's handle, and opens it by that.
fn by_handle(folder: &Path) -> Result<()> {
    one_file(folder)?;
    // A handle is looked up in the file system of a directory: this one.
    std::env::set_current_dir(folder)?;
    let mut handle = vec![0; 8 + HANDLE_BYTES];
    handle[0] = HANDLE_BYTES as u8;
    let native = |number, arguments| Call { entry: Entry::Native, number, arguments };
    let calls = vec![
        // The file, the handle, the mount's number, no flags.
        native(HANDLE.0, vec![Number(HERE), Address(0), Address(1), Address(2), Number(0)]),
        native(HANDLE.1, vec![Number(HERE), Address(1), Number(OFlags::RDONLY.bits().into())]),
    ];
    let memory = vec![string(&folder.join("file")), handle, vec![0; 8]];
    Program { calls, memory }.write(&folder.join("program"))
}

/// The program is executed, and then its call is told.
fn executed(place: &Place, then: impl IntoIterator<Item = Expected>) -> Vec<Expected> {
    [Expected::execute(place.folder.join("program"))].into_iter().chain(then).collect()
}

const fn call(name: &'static str, setup: fn(&Path) -> Result<()>, expected: fn(&Place) -> Vec<Expected>) -> Case {
    Case { name, setup, access: |folder| execute(folder.join("program")), expected }
}

pub(super) const CASES: &[Case] = &[
    call("open-by-handle", by_handle, |place| {
        executed(place, [Expected::open(Read, place.folder.join("file")).requested("")])
    }),
    #[cfg(target_arch = "x86_64")]
    x86::OPEN,
    #[cfg(target_arch = "x86_64")]
    x86::CREAT,
    #[cfg(target_arch = "x86_64")]
    x86::CREAT_EXISTING,
];

/// What needs something that not every kernel has.
pub(super) const SOMEWHERE: &[(Feature, &[Case])] = &[
    (Feature::IoUring, &[IO_URING]),
    #[cfg(target_arch = "x86_64")]
    (Feature::Compat, &[x86::OPEN_32_BIT]),
    #[cfg(target_arch = "x86_64")]
    (Feature::X32, &[x86::OPEN_X32]),
];

const IO_URING: Case = Case {
    name: "io-uring",
    setup: one_file,
    access: |folder| {
        tokio_uring::start(async { tokio_uring::fs::File::open(folder.join("file")).await?.close().await })?;
        Ok(())
    },
    expected: |place| {
        let event = Expected::open(Read, place.folder.join("file"));
        // The completion has the file, and not what was asked for.
        let completion = event.clone().requested("").by(Expected::CALLS);
        [event.by(Expected::PERMISSION)].into_iter().chain(place.io_uring_is_told.then_some(completion)).collect()
    },
};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use inotrail::event::AccessMode::{ReadWrite, Write};
    use inotrail_ebpf::flags;

    use super::{
        Address, Call, Case, Entry, Expected, Number, OFlags, Path, Program, Result, call, executed, one_file, string,
    };

    /// A program that makes one call `number(path, flags, 0600)` on `name`.
    fn opens(folder: &Path, entry: Entry, number: u32, name: &str, flags: OFlags) -> Result<()> {
        let arguments = vec![Address(0), Number(flags.bits().into()), Number(0o600)];
        let program =
            Program { calls: vec![Call { entry, number, arguments }], memory: vec![string(&folder.join(name))] };
        program.write(&folder.join("program"))
    }

    fn opens_the_file(folder: &Path, entry: Entry, number: u32, flags: OFlags) -> Result<()> {
        one_file(folder)?;
        opens(folder, entry, number, "file", flags)
    }

    pub(super) const OPEN: Case = call(
        "open",
        |folder| opens_the_file(folder, Entry::Native, 2, OFlags::RDWR),
        |place| executed(place, [Expected::open(ReadWrite, place.folder.join("file"))]),
    );

    pub(super) const CREAT: Case = call(
        "creat",
        |folder| opens(folder, Entry::Native, 85, "new", OFlags::from_bits_retain(0o600)),
        |place| executed(place, [Expected::create(Write, place.folder.join("new"))]),
    );

    pub(super) const CREAT_EXISTING: Case = call(
        "creat-existing",
        |folder| opens_the_file(folder, Entry::Native, 85, OFlags::from_bits_retain(0o600)),
        |place| executed(place, [Expected::open(Write, place.folder.join("file"))]),
    );

    pub(super) const OPEN_32_BIT: Case = call(
        "open-32-bit",
        |folder| opens_the_file(folder, Entry::Int80, 5, OFlags::WRONLY),
        |place| {
            let file = |flags| Expected::open(Write, place.folder.join("file")).flags(flags);
            executed(place, [file(flags::COMPAT).by(Expected::CALLS), file(0).by(Expected::PERMISSION)])
        },
    );

    pub(super) const OPEN_X32: Case = call(
        "open-x32",
        |folder| opens_the_file(folder, Entry::Native, 0x4000_0002, OFlags::RDWR),
        |place| executed(place, [Expected::open(ReadWrite, place.folder.join("file"))]),
    );
}
