//! What the kernel's programs are told to record.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::policy::filter::Filter;

/// What the kernel's programs record.
pub trait KernelFilter: fmt::Debug + Send {
    /// Has them record this of what happens in a cgroup. `path`: inside the hierarchy. What is never recorded stays so.
    ///
    /// # Errors
    /// The kernel has no room for the filter, and everything is recorded.
    fn record(&mut self, cgroup: u64, path: &Path, what: &Recorded) -> io::Result<()>;

    /// Has filters let files pass under whatever name they are accessed: `new` in one more container, `gone` in one less.
    ///
    /// # Errors
    /// The kernel has no room for some.
    fn watch(&mut self, new: &[FileId], gone: &[FileId]) -> io::Result<()>;

    /// How full it is.
    fn usage(&self) -> FilterUsage;
}

/// A file as records name it: `super_block.s_dev` and inode.
pub type FileId = (u32, u64);

/// What of a cgroup's accesses is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// None: nothing that happens there can be an event.
    Nothing,
    /// All.
    Everything,
    /// Those that a rule may be about.
    Filtered(Arc<Filter>),
}

/// How full the kernel's filter is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FilterUsage {
    /// Names of all filters.
    pub names: usize,
    /// Files that pass under whatever name.
    pub files: usize,
    /// How many there may be of each.
    pub limit: usize,
}
