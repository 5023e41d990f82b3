//! The golden list: file accesses, and what the sensor must tell about each of them. One list for every backend, run
//! natively and in test machines.

mod calls;
mod mounts;
mod opens;
mod paths;
mod processes;
mod program;
mod run;
mod watch;

use std::{
    ffi::OsStr,
    fmt,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use anyhow::Result;
use inotrail::event::{Access, AccessMode, Backend, Operation, Outcome};
use inotrail_ebpf::{flags, kind};

pub use run::{RING_BYTES, access, prove};
pub use watch::{Watch, base, spawn};

/// One access, or a few that belong together.
#[derive(Clone, Copy)]
pub struct Case {
    /// Name on the command line and in messages.
    pub name: &'static str,
    /// Makes the files. Not watched.
    setup: fn(&Path) -> Result<()>,
    /// The access itself. Watched.
    access: fn(&Path) -> Result<()>,
    /// What the sensor must tell, in order, and nothing else.
    expected: fn(&Place) -> Vec<Expected>,
}

/// Where a case runs.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its folder, as the mount namespace sees it.
    pub folder: PathBuf,
    /// The process that accesses.
    pub pid: u32,
}

/// An event as it must be.
#[derive(Clone, Debug)]
pub struct Expected {
    seen: Seen,
    /// The backends that can see it.
    by: &'static [Backend],
}

/// What is compared of an event.
#[derive(Clone, PartialEq, Eq)]
pub struct Seen {
    operation: Operation,
    mode: Option<AccessMode>,
    path: Vec<u8>,
    requested: Vec<u8>,
    outcome: Outcome,
    uid: u32,
    flags: u32,
    confidence: &'static str,
    arguments: Vec<u8>,
}

/// Flags that depend on how the sensor found the path, and not on the access.
const MEANS: u32 = flags::BASE | flags::IO_URING;

impl Seen {
    /// The event that a record means to a backend, if it means one: where `inode_permission` tells about the opens of an
    /// exec, the exec itself only names the process.
    #[must_use]
    pub fn of(backend: Backend, access: &Access<'_>) -> Option<Self> {
        if access.header.kind == kind::EXEC && backend != Backend::RawTracepoint {
            return None;
        }
        Some(Self {
            operation: access.operation(),
            mode: access.access_mode(),
            path: access.path.to_vec(),
            requested: access.requested.to_vec(),
            outcome: access.outcome(),
            uid: access.header.uid,
            flags: access.header.flags & !MEANS,
            confidence: access.confidence(),
            arguments: access.arguments.to_vec(),
        })
    }
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?} {} ", self.operation, self.mode, shortened(&self.path))?;
        write!(f, "(requested {}) {:?} uid {} ", shortened(&self.requested), self.outcome, self.uid)?;
        write!(f, "flags {:#x} {} {}", self.flags, self.confidence, self.arguments.escape_ascii())
    }
}

/// Names without what would break a line, and long ones without their middle.
fn shortened(path: &[u8]) -> String {
    let (head, tail) = (60, 40);
    if path.len() <= head + tail {
        return path.escape_ascii().to_string();
    }
    format!("{}...{} ({} bytes)", path[..head].escape_ascii(), path[path.len() - tail..].escape_ascii(), path.len())
}

impl Expected {
    /// The backends that hook `inode_permission`.
    const PERMISSION: &[Backend] = &[Backend::Fexit, Backend::Kprobe];
    /// The backend that hooks system calls.
    const CALLS: &[Backend] = &[Backend::RawTracepoint];

    fn event(operation: Operation, mode: AccessMode, path: &[u8]) -> Self {
        let path = path.to_vec();
        let seen = Seen {
            operation,
            mode: Some(mode),
            requested: path.clone(),
            path,
            outcome: Outcome::Success,
            uid: 0,
            flags: 0,
            confidence: "confirmed",
            arguments: Vec::new(),
        };
        Self { seen, by: &[Backend::Fexit, Backend::Kprobe, Backend::RawTracepoint] }
    }

    /// An existing file is opened by its absolute path.
    fn open(mode: AccessMode, path: impl AsRef<OsStr>) -> Self {
        Self::event(Operation::Open, mode, path.as_ref().as_bytes())
    }

    /// A file is created by its absolute path.
    fn create(mode: AccessMode, path: impl AsRef<OsStr>) -> Self {
        Self::event(Operation::Create, mode, path.as_ref().as_bytes())
    }

    /// A file is executed by its absolute path, and given that as its only argument.
    fn execute(path: impl AsRef<OsStr>) -> Self {
        let path = path.as_ref();
        Self::event(Operation::Execute, AccessMode::Execute, path.as_bytes()).arguments(&[path])
    }

    /// With these arguments.
    fn arguments(mut self, arguments: &[&OsStr]) -> Self {
        self.seen.arguments = arguments.iter().flat_map(|argument| [argument.as_bytes(), b"\0"].concat()).collect();
        self
    }

    /// The caller named it like this.
    fn requested(mut self, requested: impl AsRef<OsStr>) -> Self {
        self.seen.requested = requested.as_ref().as_bytes().to_vec();
        self
    }

    /// It fails.
    fn fails(mut self, errno: rustix::io::Errno) -> Self {
        self.seen.outcome = Outcome::Failure(errno.raw_os_error());
        self
    }

    /// Another user does it.
    fn uid(mut self, uid: u32) -> Self {
        self.seen.uid = uid;
        self
    }

    /// It carries flags.
    fn flags(mut self, flags: u32) -> Self {
        self.seen.flags = flags;
        self
    }

    /// It asks for no access.
    fn no_mode(mut self) -> Self {
        self.seen.mode = None;
        self
    }

    /// Only these backends see it.
    fn by(mut self, backends: &'static [Backend]) -> Self {
        self.by = backends;
        self
    }

    /// What a backend tells of it.
    fn seen_by(mut self, backend: Backend) -> Option<Seen> {
        if !self.by.contains(&backend) {
            return None;
        }
        // The check asks about the file alone, and before the kernel has read the arguments.
        if backend != Backend::RawTracepoint {
            self.seen.arguments.clear();
        } else if self.seen.outcome != Outcome::Success {
            self.seen.arguments.clear();
            self.seen.confidence = "requested";
        }
        if backend == Backend::Kprobe {
            self.seen.outcome = Outcome::Unknown;
        }
        // The check that a created file passes carries no mode (may_open, fs/namei.c).
        if backend != Backend::RawTracepoint && self.seen.operation == Operation::Create {
            self.seen.mode = None;
        }
        Some(self.seen)
    }
}

impl Case {
    /// What a backend tells of the case.
    #[must_use]
    pub fn seen_by(&self, backend: Backend, place: &Place) -> Vec<Seen> {
        (self.expected)(place).into_iter().filter_map(|expected| expected.seen_by(backend)).collect()
    }
}

/// The list.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    [opens::CASES, paths::CASES, mounts::CASES, processes::CASES].into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_name_names_one_case() {
        let names: BTreeSet<_> = cases().map(|case| case.name).collect();
        assert_eq!(names.len(), cases().count());
    }

    #[test]
    fn backends_differ_where_the_hooks_do() {
        let event = Expected::create(AccessMode::Write, "/x").fails(rustix::io::Errno::ACCESS);
        let fexit = event.clone().seen_by(Backend::Fexit).unwrap();
        assert_eq!((fexit.mode, fexit.outcome), (None, Outcome::Failure(13)));
        let kprobe = event.clone().seen_by(Backend::Kprobe).unwrap();
        assert_eq!((kprobe.mode, kprobe.outcome), (None, Outcome::Unknown));
        let raw = event.clone().seen_by(Backend::RawTracepoint).unwrap();
        assert_eq!((raw.mode, raw.outcome), (Some(AccessMode::Write), Outcome::Failure(13)));
        assert_eq!(event.by(Expected::CALLS).seen_by(Backend::Fexit), None);
    }
}
