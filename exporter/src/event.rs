//! One file access and who made it: what sinks and the OTLP encoder are given.

use std::sync::Arc;

use inotrail_ebpf::{
    Header, OPEN_FLAGS_UNKNOWN, RESULT_UNKNOWN, confidence, filter, flags, kind, mask, mutation, program,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::container::{Container, File};
use crate::policy::Judgement;
use crate::process::Process;

/// A kept and enriched access. Borrows from the ring buffer and from tables: building one allocates nothing.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// When the access happened, nanoseconds since the Unix epoch.
    pub time_ns: u64,
    /// When the exporter saw it, nanoseconds since the Unix epoch.
    pub observed_ns: u64,
    /// What the kernel reported.
    pub access: Access<'a>,
    /// The process that made it, as far as it is known.
    pub process: &'a Process,
    /// When the process started, nanoseconds since the Unix epoch; 0 where unknown.
    pub process_start_ns: u64,
    /// Who acted.
    pub container: &'a Arc<Container>,
    /// Of which volume and object the file is, and whose.
    pub file: File<'a>,
    /// What policies say of it; `None`: there are none, and everything is an event.
    pub judgement: Option<Judgement<'a>>,
    /// How the access was seen.
    pub backend: Backend,
    /// Number of this event in its container's stream, from 1.
    pub sequence: u64,
    /// How many accesses this event stands for; at least 1.
    pub count: u64,
    /// At most how many processes made them, where they equal an access that was told; else 0.
    pub processes: u32,
    /// Of accesses that were counted: the end of the time in which, nanoseconds since the Unix epoch; else 0. `time_ns` is its
    /// beginning then. Where the ring had no room their process is not known (`tgid` 0); where they equal one that was told, it is
    /// that one's.
    pub last_ns: u64,
}

/// One permission check, or one mutation, as the kernel reports it.
#[derive(Clone, Copy, Debug)]
pub struct Access<'a> {
    /// The record's fixed part.
    pub header: &'a Header,
    /// Absolute path as the container sees it, raw bytes; empty where unknown (`flags::PATH_UNKNOWN`).
    pub path: &'a [u8],
    /// The second path of a rename or a link, in the form of `path`; the text of a symbolic link; empty where there is none.
    pub target: &'a [u8],
    /// What the caller asked for, raw bytes; empty where unknown.
    pub requested: &'a [u8],
    /// NUL-separated arguments of an exec; else empty.
    pub arguments: &'a [u8],
    /// What the file can be told by, if it was seen lately under the same names and in the same cgroup; there are no arguments and no
    /// `target` then.
    pub seen: Option<Sight>,
}

impl<'a> Access<'a> {
    /// Of which nothing is known but the record's fixed part.
    #[must_use]
    pub const fn of(header: &'a Header) -> Self {
        Self { header, path: b"", target: b"", requested: b"", arguments: b"", seen: None }
    }
}

/// Stands for a file, as somebody named it: the names of all accesses with the same number are equal, and so are cgroup, device and
/// inode. Nothing else ever gets the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    /// Its number.
    pub number: u64,
    /// Of which state of the table of containers the rest of the event is ([`crate::container::Snapshot::number`]); 0: of none yet.
    pub view: u64,
    /// Where it is kept: others have been there, and will be.
    pub place: u32,
    /// The output has the file's part of the record: [`Event::file`] is not looked up.
    pub is_kept: bool,
}

/// How accesses are seen.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// `inode_permission`, at its return.
    Fexit,
    /// `inode_permission`, at its entry.
    Kprobe,
    /// System call exit.
    RawTracepoint,
}

/// What was done to the file.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// An existing file was opened.
    Open,
    /// A file was created.
    Create,
    /// A program was started from the file.
    Execute,
    /// A name of a file was removed.
    Delete,
    /// A file or directory got another name.
    Rename,
    /// A file got a further name.
    Link,
    /// A symbolic link was made.
    Symlink,
    /// A directory was made.
    Mkdir,
    /// A directory was removed.
    Rmdir,
    /// The length was changed.
    Truncate,
    /// The mode was changed.
    Chmod,
    /// The owner or the group was changed.
    Chown,
    /// An extended attribute or an access control list was set.
    Setxattr,
    /// The file was mapped into memory that may be executed.
    MmapExecute,
}

/// For what the file was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AccessMode {
    /// Reading.
    Read,
    /// Writing or appending.
    Write,
    /// Both.
    ReadWrite,
    /// Execution.
    Execute,
}

/// How the access ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It was allowed.
    Success,
    /// It failed with this errno (positive).
    Failure(i32),
    /// The backend cannot see it.
    Unknown,
}

impl Backend {
    /// The backend whose programs write this [`program`] series.
    #[must_use]
    pub const fn of(series: u32) -> Self {
        match series {
            program::KPROBE | program::MUTATION_KPROBE => Self::Kprobe,
            program::FEXIT | program::UNLINK..program::COUNT => Self::Fexit,
            _ => Self::RawTracepoint,
        }
    }

    /// The backend as flags, metrics and the attribute `inotrail.backend` name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fexit => "fexit",
            Self::Kprobe => "kprobe",
            Self::RawTracepoint => "raw-tracepoint",
        }
    }
}

impl Operation {
    /// The value of `inotrail.file.operation`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Create => "create",
            Self::Execute => "execute",
            Self::Delete => "delete",
            Self::Rename => "rename",
            Self::Link => "link",
            Self::Symlink => "symlink",
            Self::Mkdir => "mkdir",
            Self::Rmdir => "rmdir",
            Self::Truncate => "truncate",
            Self::Chmod => "chmod",
            Self::Chown => "chown",
            Self::Setxattr => "setxattr",
            Self::MmapExecute => "mmap_execute",
        }
    }

    /// Its bit in the kernel's filters ([`filter::operation()`]).
    #[must_use]
    pub const fn bit(self) -> u32 {
        match self {
            Self::Open => 1 << filter::operation::OPEN,
            // Not only by an open.
            Self::Create => 1 << filter::operation::CREATE | 1 << mutation::MKNOD,
            Self::Execute => 1 << filter::operation::EXECUTE,
            Self::Delete => 1 << mutation::UNLINK,
            Self::Rename => 1 << mutation::RENAME,
            Self::Link => 1 << mutation::LINK,
            Self::Symlink => 1 << mutation::SYMLINK,
            Self::Mkdir => 1 << mutation::MKDIR,
            Self::Rmdir => 1 << mutation::RMDIR,
            Self::Truncate => 1 << mutation::TRUNCATE,
            Self::Chmod => 1 << mutation::CHMOD,
            Self::Chown => 1 << mutation::CHOWN,
            Self::Setxattr => 1 << mutation::SETXATTR,
            Self::MmapExecute => 1 << mutation::MMAP_EXECUTE,
        }
    }

    const fn of_mutation(bits: u32) -> Option<Self> {
        Some(match (bits & mask::MUTATION) >> mask::MUTATION_SHIFT {
            mutation::UNLINK => Self::Delete,
            mutation::RENAME => Self::Rename,
            mutation::LINK => Self::Link,
            mutation::SYMLINK => Self::Symlink,
            mutation::MKDIR => Self::Mkdir,
            mutation::RMDIR => Self::Rmdir,
            mutation::MKNOD => Self::Create,
            mutation::CHMOD => Self::Chmod,
            mutation::CHOWN => Self::Chown,
            mutation::TRUNCATE => Self::Truncate,
            mutation::SETXATTR => Self::Setxattr,
            mutation::MMAP_EXECUTE => Self::MmapExecute,
            _ => return None,
        })
    }
}

impl AccessMode {
    /// The value of `inotrail.file.access_mode`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::ReadWrite => "read_write",
            Self::Execute => "execute",
        }
    }
}

impl Access<'_> {
    /// What was done.
    #[must_use]
    pub const fn operation(&self) -> Operation {
        let bits = self.header.mask;
        if let Some(operation) = Operation::of_mutation(bits) {
            operation
        } else if self.header.kind == kind::EXEC || bits & mask::EXEC != 0 {
            Operation::Execute
        } else if bits & mask::CREATED != 0 {
            Operation::Create
        } else {
            Operation::Open
        }
    }

    /// For what, or nothing where the kernel did not say: a created file's check carries no mode, and neither does `O_PATH`,
    /// nor a mutation.
    #[must_use]
    pub const fn access_mode(&self) -> Option<AccessMode> {
        let bits = self.header.mask;
        if Operation::of_mutation(bits).is_some() {
            return None;
        }
        if self.header.kind == kind::EXEC || bits & mask::EXEC != 0 {
            return Some(AccessMode::Execute);
        }
        match (bits & mask::READ != 0, bits & (mask::WRITE | mask::APPEND) != 0) {
            (true, true) => Some(AccessMode::ReadWrite),
            (true, false) => Some(AccessMode::Read),
            (false, true) => Some(AccessMode::Write),
            (false, false) => None,
        }
    }

    /// How it ended.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self.header.result {
            RESULT_UNKNOWN => Outcome::Unknown,
            result if result < 0 => Outcome::Failure(result.saturating_neg()),
            _ => Outcome::Success,
        }
    }

    /// The caller's open flags, where the backend sees them.
    #[must_use]
    pub const fn open_flags(&self) -> Option<u32> {
        match self.header.open_flags {
            OPEN_FLAGS_UNKNOWN => None,
            flags => Some(flags),
        }
    }

    /// The value of `inotrail.file.confidence`.
    #[must_use]
    pub const fn confidence(&self) -> &'static str {
        match self.header.confidence {
            confidence::CONFIRMED => "confirmed",
            confidence::UNCONFIRMED => "unconfirmed",
            confidence::REQUESTED => "requested",
            _ => "descriptor_gone",
        }
    }

    /// Names of the flags that are set, for `inotrail.file.flags`.
    pub fn flags(&self) -> impl Iterator<Item = &'static str> {
        const NAMES: [(u32, &str); 13] = [
            (flags::RACED, "raced"),
            (flags::TRUNCATED, "truncated"),
            (flags::DETACHED, "detached"),
            (flags::UNLINKED, "unlinked"),
            (flags::COMPAT, "compat"),
            (flags::PATH_UNKNOWN, "path_unknown"),
            (flags::IO_URING, "io_uring"),
            (flags::O_PATH, "o_path"),
            (flags::MOUNT_UNKNOWN, "mount_unknown"),
            (flags::EXCHANGED, "exchanged"),
            (flags::RACED << flags::TARGET_SHIFT, "target_raced"),
            (flags::TRUNCATED << flags::TARGET_SHIFT, "target_truncated"),
            (flags::DETACHED << flags::TARGET_SHIFT, "target_detached"),
        ];
        let bits = self.header.flags;
        NAMES.into_iter().filter(move |(bit, _)| bits & bit != 0).map(|(_, name)| name)
    }

    /// `task.comm` without its padding.
    #[must_use]
    pub fn comm(&self) -> &[u8] {
        let comm = &self.header.comm;
        &comm[..comm.iter().position(|byte| *byte == 0).unwrap_or(comm.len())]
    }
}

/// Where this exporter runs: part of every Resource and of every record, fixed for the life of the process.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// `k8s.node.name`; empty outside Kubernetes.
    pub name: String,
    /// `k8s.cluster.name`, as configured; empty where not.
    pub cluster: String,
    /// `host.name`
    pub host: String,
    /// `inotrail.stream.id`: names this run of the exporter; new at every start.
    pub stream_id: String,
}
