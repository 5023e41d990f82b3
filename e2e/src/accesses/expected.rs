//! What is compared of an event.

use std::{ffi::OsStr, fmt, os::unix::ffi::OsStrExt as _};

use inotrail::{
    event::{Access, AccessMode, Backend, Operation, Outcome},
    policy::rule::{self, Attempt},
};

use inotrail_ebpf::{flags, kind};

use super::{
    base,
    place::{Place, ticks},
};

/// An event as it must be.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    operation: Operation,
    mode: Option<AccessMode>,
    path: Vec<u8>,
    target: Vec<u8>,
    requested: Vec<u8>,
    outcome: Outcome,
    user: User,
    flags: u32,
    confidence: &'static str,
    arguments: Vec<u8>,
    is_main_thread: bool,
    /// The backends that can see it.
    by: &'static [Backend],
}

/// An event as it is compared.
#[derive(Clone, PartialEq, Eq)]
pub struct Seen {
    operation: Operation,
    mode: Option<AccessMode>,
    path: Vec<u8>,
    target: Vec<u8>,
    requested: Vec<u8>,
    outcome: Outcome,
    user: User,
    flags: u32,
    confidence: &'static str,
    arguments: Vec<u8>,
    process: Process,
    cgroup: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct User {
    real: u32,
    effective: u32,
    group: u32,
}

/// Who acted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its parent's.
    pub parent: u32,
    /// When it started, as proc(5) has it: clock ticks since boot.
    pub started: u64,
    /// Whether its first thread acted.
    pub is_main_thread: bool,
}

/// Flags that depend on how the sensor found the path, and not on the access.
const MEANS: u32 = flags::BASE | flags::IO_URING;

impl Seen {
    /// The event that a record means to a backend, if it means one: where `inode_permission` tells about the opens of an
    /// exec, the exec itself only names the process.
    #[must_use]
    pub fn of(backend: Backend, access: &Access<'_>) -> Option<Self> {
        let header = access.header;
        if header.kind == kind::EXEC && backend != Backend::RawTracepoint {
            return None;
        }
        Some(Self {
            operation: access.operation(),
            mode: access.access_mode(),
            path: without_number(access.path, header.inode),
            target: access.target.to_vec(),
            requested: access.requested.to_vec(),
            outcome: access.outcome(),
            user: User { real: header.uid, effective: header.euid, group: header.gid },
            flags: header.flags & !MEANS,
            confidence: access.confidence(),
            arguments: access.arguments.to_vec(),
            process: Process {
                pid: header.tgid,
                parent: header.ppid,
                started: ticks(header.process_start_ns),
                is_main_thread: header.tid == header.tgid,
            },
            cgroup: header.cgroup_id,
        })
    }
}

impl Seen {
    /// As policies are asked about it.
    #[must_use]
    pub fn attempt(&self) -> Attempt<'_> {
        let Self { operation, path, target, requested, outcome, user, .. } = self;
        let (operation, outcome, user) = (*operation, *outcome, user.effective);
        Attempt { path, target, requested: rule::name(requested), also: &[], operation, outcome, executable: b"", user }
    }
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?} {} ", self.operation, self.mode, shortened(&self.path))?;
        if !self.target.is_empty() {
            write!(f, "-> {} ", shortened(&self.target))?;
        }
        write!(f, "(requested {}) {:?} flags {:#x} ", shortened(&self.requested), self.outcome, self.flags)?;
        write!(f, "{} {} ", self.confidence, self.arguments.escape_ascii())?;
        write!(f, "{:?} {:?} cgroup {}", self.user, self.process, self.cgroup)
    }
}

/// A path whose last name is that of a file without one, made of the number of its inode: the number is left out.
fn without_number(path: &[u8], inode: u64) -> Vec<u8> {
    let number = format!("/#{inode}");
    path.strip_suffix(number.as_bytes()).map_or_else(|| path.to_vec(), |folder| [folder, b"/#"].concat())
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
    pub(super) const PERMISSION: &[Backend] = &[Backend::Fexit, Backend::Kprobe];
    /// The backend that hooks system calls.
    pub(super) const CALLS: &[Backend] = &[Backend::RawTracepoint];

    fn event(operation: Operation, mode: AccessMode, path: &[u8]) -> Self {
        Self {
            operation,
            mode: Some(mode),
            path: path.to_vec(),
            target: Vec::new(),
            requested: path.to_vec(),
            outcome: Outcome::Success,
            user: User { real: 0, effective: 0, group: 0 },
            flags: 0,
            confidence: "confirmed",
            arguments: Vec::new(),
            is_main_thread: true,
            by: &[Backend::Fexit, Backend::Kprobe, Backend::RawTracepoint],
        }
    }

    /// An existing file is opened by its absolute path.
    pub(super) fn open(mode: AccessMode, path: impl AsRef<OsStr>) -> Self {
        Self::event(Operation::Open, mode, path.as_ref().as_bytes())
    }

    /// A file is created by its absolute path.
    pub(super) fn create(mode: AccessMode, path: impl AsRef<OsStr>) -> Self {
        Self::event(Operation::Create, mode, path.as_ref().as_bytes())
    }

    /// A file is executed by its absolute path, and given that as its only argument.
    pub(super) fn execute(path: impl AsRef<OsStr>) -> Self {
        let path = path.as_ref();
        Self::event(Operation::Execute, AccessMode::Execute, path.as_bytes()).arguments(&[path])
    }

    /// Something is done to a file without opening it. Whether that succeeds is not known where it is asked.
    pub(super) fn mutation(operation: Operation, path: impl AsRef<OsStr>) -> Self {
        let event = Self::event(operation, AccessMode::Read, path.as_ref().as_bytes()).no_mode().requested("");
        Self { outcome: Outcome::Unknown, by: Self::PERMISSION, ..event }
    }

    /// It has a second path.
    pub(super) fn target(mut self, target: impl AsRef<OsStr>) -> Self {
        self.target = target.as_ref().as_bytes().to_vec();
        self
    }

    /// With these arguments.
    pub(super) fn arguments(mut self, arguments: &[&OsStr]) -> Self {
        self.arguments = arguments.iter().flat_map(|argument| [argument.as_bytes(), b"\0"].concat()).collect();
        self
    }

    /// The caller named it like this.
    pub(super) fn requested(mut self, requested: impl AsRef<OsStr>) -> Self {
        self.requested = requested.as_ref().as_bytes().to_vec();
        self
    }

    /// It fails.
    pub(super) fn fails(mut self, errno: rustix::io::Errno) -> Self {
        self.outcome = Outcome::Failure(errno.raw_os_error());
        self
    }

    /// A user of this number does it, whose group has the same.
    pub(super) fn user(mut self, user: u32) -> Self {
        self.user = User { real: user, effective: user, group: user };
        self
    }

    /// With the rights of another.
    pub(super) fn effective(mut self, user: u32) -> Self {
        self.user.effective = user;
        self
    }

    /// It carries flags.
    pub(super) fn flags(mut self, flags: u32) -> Self {
        self.flags = flags;
        self
    }

    /// It asks for no access.
    pub(super) fn no_mode(mut self) -> Self {
        self.mode = None;
        self
    }

    /// A thread does it that is not the process's first.
    pub(super) fn another_thread(mut self) -> Self {
        self.is_main_thread = false;
        self
    }

    /// Only these backends see it.
    pub(super) fn by(mut self, backends: &'static [Backend]) -> Self {
        self.by = backends;
        self
    }

    /// What a backend tells of it.
    pub(super) fn seen_by(mut self, backend: Backend, place: &Place) -> Option<Seen> {
        if !self.by.contains(&backend) {
            return None;
        }
        if backend == Backend::RawTracepoint {
            self.as_call();
        } else {
            self.as_check();
        }
        if backend == Backend::Kprobe {
            self.outcome = Outcome::Unknown;
        }
        if place.no_mounts {
            self.without_mount();
        }
        Some(Seen {
            operation: self.operation,
            mode: self.mode,
            path: self.path,
            target: self.target,
            requested: self.requested,
            outcome: self.outcome,
            user: self.user,
            flags: self.flags,
            confidence: self.confidence,
            arguments: self.arguments,
            process: Process { is_main_thread: self.is_main_thread, ..place.process },
            cgroup: place.cgroup,
        })
    }

    /// A failed call has only its request. A descriptor could have been swapped where a process has other threads.
    fn as_call(&mut self) {
        if self.outcome != Outcome::Success {
            self.arguments.clear();
            self.confidence = "requested";
        } else if !self.is_main_thread {
            self.confidence = "unconfirmed";
        }
    }

    /// Names start at the root of the file system, that of all cases, but for what is mapped: that is open.
    fn without_mount(&mut self) {
        use Operation::{Execute, MmapExecute, Open, Symlink};
        let is_open = !self.requested.is_empty();
        if is_open || self.flags & flags::MOUNT_UNKNOWN != 0 || matches!(self.operation, Execute | MmapExecute | Open) {
            return;
        }
        let short = |path: &[u8]| path.strip_prefix(base().as_os_str().as_bytes()).unwrap_or(path).to_vec();
        self.path = short(&self.path);
        if self.operation != Symlink {
            self.target = short(&self.target);
        }
        self.flags |= flags::MOUNT_UNKNOWN;
    }

    /// The check asks about the file alone, and before the kernel has read the arguments of an exec. The one that a
    /// created file passes carries no mode (`may_open`, fs/namei.c).
    fn as_check(&mut self) {
        self.arguments.clear();
        if self.operation == Operation::Create {
            self.mode = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backends_differ_where_the_hooks_do() {
        let process = Process { pid: 2, parent: 1, started: 3, is_main_thread: true };
        let place = Place { folder: "/f".into(), process, cgroup: 4, io_uring_is_told: true, no_mounts: false };
        let event = Expected::create(AccessMode::Write, "/x").fails(rustix::io::Errno::ACCESS);
        let fexit = event.clone().seen_by(Backend::Fexit, &place).unwrap();
        assert_eq!((fexit.mode, fexit.outcome), (None, Outcome::Failure(13)));
        let kprobe = event.clone().seen_by(Backend::Kprobe, &place).unwrap();
        assert_eq!((kprobe.mode, kprobe.outcome), (None, Outcome::Unknown));
        let raw = event.clone().seen_by(Backend::RawTracepoint, &place).unwrap();
        assert_eq!((raw.mode, raw.outcome), (Some(AccessMode::Write), Outcome::Failure(13)));
        assert_eq!(event.by(Expected::CALLS).seen_by(Backend::Fexit, &place), None);
    }
}
