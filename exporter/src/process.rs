//! Who runs what: process -> executable, ancestors, arguments, kept up to date by exec, fork and exit records.
//!
//! Owned by the sensor's thread: no lock, and no I/O but in [`ProcessScan::read`], which needs no table and may run
//! anywhere.

use std::sync::{Arc, LazyLock};

use crate::container::cgroup::Hierarchy;

mod ancestors;
mod arguments;
mod cgroups;
pub mod redaction;
mod scan;
mod table;

pub use ancestors::Ancestor;
pub use redaction::Redaction;
pub use scan::ProcessScan;
pub use table::ProcessTable;

/// What `/proc` counts a start time in (`USER_HZ` is 100 on every architecture that the programs run on).
const TICK_NS: u64 = 10_000_000;

/// A process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Process {
    /// `CLOCK_BOOTTIME` at which the thread group started, nanoseconds; a multiple of 10 ms where it was read from `/proc`.
    pub start_boottime_ns: u64,
    /// Absolute path of the executable as the process's mount namespace shows it, raw bytes; shared with forked children;
    /// empty where unknown.
    pub executable: Arc<[u8]>,
    /// Those that forked it, nearest first, as they were then; shared with its siblings.
    pub ancestors: Arc<[Ancestor]>,
    /// Redacted arguments, each ended by NUL, the last one not where more followed; shared with forked children. Empty
    /// where unknown or not wanted.
    pub arguments: Arc<[u8]>,
    /// Thread group id as its own PID namespace numbers it; 0 where unknown.
    pub vpid: u32,
    /// It, or one that forked it, came into the cgroup from outside after another had. Means something in a container only.
    pub session: bool,
}

impl Process {
    /// One of which nothing is known.
    #[must_use]
    pub fn unknown() -> &'static Self {
        static UNKNOWN: LazyLock<Process> = LazyLock::new(Process::default);
        &UNKNOWN
    }

    /// Bytes of what it points to, as if it were shared with none.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let ancestor = |ancestor: &Ancestor| size_of::<Ancestor>() + ancestor.executable.len();
        self.executable.len() + self.arguments.len() + self.ancestors.iter().map(ancestor).sum::<usize>()
    }
}

/// What is wanted of processes, and where they are.
#[derive(Clone, Debug)]
pub struct ProcessConfig {
    /// The one whose cgroups records name.
    pub hierarchy: Hierarchy,
    /// Arguments are wanted, redacted by this; nothing: they are not.
    pub redaction: Option<Arc<Redaction>>,
}
