//! What a kernel may be built or started without.

use std::{env, ffi::CStr, fmt, fs, os::fd::AsRawFd as _, process, thread};

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use rustix::{
    fs::{MemfdFlags, XattrFlags, chown, memfd_create, setxattr},
    process::Uid,
    system::uname,
};
use tempfile::NamedTempFile;

use super::{
    calls::{USER, become_user},
    program::{Argument, Call, Entry, Program},
};
use crate::kernels::numbers;

/// What a kernel may be built or started without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// `CONFIG_IO_URING` and `kernel.io_uring_disabled`
    IoUring,
    /// `CONFIG_SECURITY_LANDLOCK`, and the kernel's `lsm=`
    Landlock,
    /// Execution by a descriptor alone: 5.10.223 refuses it.
    ExecuteDescriptor,
    /// Rights to attributes of security modules: kernels before 6.10 forget to ask for them where BPF is such a module.
    AttributeRights,
    /// `CONFIG_IA32_EMULATION`
    #[cfg(target_arch = "x86_64")]
    Compat,
    /// `CONFIG_X86_X32_ABI`
    #[cfg(target_arch = "x86_64")]
    X32,
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IoUring => "io_uring",
            Self::Landlock => "Landlock",
            Self::ExecuteDescriptor => "execution by a descriptor",
            Self::AttributeRights => "rights to attributes of security modules",
            #[cfg(target_arch = "x86_64")]
            Self::Compat => "32-bit system calls",
            #[cfg(target_arch = "x86_64")]
            Self::X32 => "x32 system calls",
        })
    }
}

impl Feature {
    /// Whether this kernel has it: it is used once.
    ///
    /// # Errors
    /// Where using it fails in a way that does not mean that it is missing.
    pub fn is_here(self) -> Result<bool> {
        match self {
            Self::IoUring => match io_uring::IoUring::new(2) {
                Ok(_) => Ok(true),
                Err(error) if is_missing(&error) => Ok(false),
                Err(error) => Err(error).context("set io_uring up"),
            },
            // landlock_create_ruleset(NULL, 0, LANDLOCK_CREATE_RULESET_VERSION): the version.
            Self::Landlock => succeeds(Entry::Native, 444, &[0, 0, 1]),
            Self::ExecuteDescriptor => executes_descriptors(),
            Self::AttributeRights => {
                let asks = asks_for_rights()?;
                ensure!(asks || is_before(&[6, 10]), "anybody may set attributes of security modules");
                Ok(asks)
            }
            // getpid of either table; that of x32 has bit 30.
            #[cfg(target_arch = "x86_64")]
            Self::Compat => succeeds(Entry::Int80, 20, &[]),
            #[cfg(target_arch = "x86_64")]
            Self::X32 => succeeds(Entry::Native, 0x4000_0027, &[]),
        }
    }
}

/// Whether executing an empty file by its descriptor fails because of what is in it.
fn executes_descriptors() -> Result<bool> {
    let empty = memfd_create("inotrail-feature", MemfdFlags::empty())?;
    match nix::unistd::fexecve(empty.as_raw_fd(), &[c"name"], &[] as &[&CStr]) {
        Err(Errno::ENOEXEC) => Ok(true),
        Err(Errno::ENOENT) => Ok(false),
        Err(error) => Err(error).context("execute an empty file"),
    }
}

/// Whether a file's owner may not set such an attribute.
fn asks_for_rights() -> Result<bool> {
    let file = NamedTempFile::new().context("make a file")?;
    chown(file.path(), Some(Uid::from_raw(USER)), None)?;
    let path = file.path().to_owned();
    // Rights are a thread's: the others go on with all of theirs.
    let thread = thread::spawn(move || -> Result<bool> {
        become_user(USER)?;
        let refused = setxattr(path, "security.x", b"1", XattrFlags::empty());
        Ok(refused == Err(rustix::io::Errno::PERM))
    });
    thread.join().ok().context("a thread panicked")?
}

/// Whether this kernel is older than a version.
pub(super) fn is_before(version: &[u64]) -> bool {
    numbers(&uname().release().to_string_lossy()).as_slice() < version
}

/// Not built in, or switched off.
fn is_missing(error: &std::io::Error) -> bool {
    let errno = rustix::io::Errno::from_io_error(error);
    matches!(errno, Some(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM))
}

/// Whether a program that makes the call ends with 0.
fn succeeds(entry: Entry, number: u32, arguments: &[u64]) -> Result<bool> {
    let file = env::temp_dir().join(format!("inotrail-feature-{}", process::id()));
    let calls = vec![Call { entry, number, arguments: arguments.iter().copied().map(Argument::Number).collect() }];
    Program { calls, memory: Vec::new() }.write(&file)?;
    let status = process::Command::new(&file).status().with_context(|| format!("run {}", file.display()));
    fs::remove_file(&file).with_context(|| format!("remove {}", file.display()))?;
    Ok(status?.success())
}
