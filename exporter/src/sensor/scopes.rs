//! Which cgroups are recorded, as the kernel's filter holds it.

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aya::maps::{HashMap, MapData, MapError};
use inotrail_ebpf::scope;

use super::Options;
use super::filters::Filters;
use super::memory::ControlMap;
use crate::container::cgroup::Hierarchy;
use crate::container::{FileId, FilterUsage, KernelFilter, Recorded};

/// Why the filter could not be set.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A configured cgroup does not exist.
    #[error("there is no cgroup {0}: give its path below the root of the hierarchy that `inotrail check` names ({1})")]
    NoCgroup(PathBuf, io::Error),
    /// The hierarchy could not be read.
    #[error("cannot read the cgroup hierarchy: {0}")]
    Scan(io::Error),
    /// More cgroups than the filter holds.
    #[error("cannot store the scope of the cgroups: {0}")]
    Map(#[from] MapError),
}

/// Whether every configured cgroup exists.
///
/// # Errors
/// Names the first that does not.
pub(super) fn validate(options: &Options) -> Result<(), Error> {
    for path in options.exclude.iter().chain([&options.root]) {
        options.hierarchy.id_of(path).map_err(|error| Error::NoCgroup(path.clone(), error))?;
    }
    Ok(())
}

/// The map from cgroup id to scope. Later cgroups inherit from their parents inside the kernel.
pub struct Scopes {
    map: HashMap<MapData, u64, u32>,
    control: Arc<ControlMap>,
    filters: Filters,
    hierarchy: Hierarchy,
    root: PathBuf,
    exclude: Vec<PathBuf>,
}

impl Scopes {
    pub(super) fn new(
        map: HashMap<MapData, u64, u32>,
        control: Arc<ControlMap>,
        filters: Filters,
        options: &Options,
    ) -> Self {
        let Options { hierarchy, root, exclude, .. } = options;
        Self { map, control, filters, hierarchy: hierarchy.clone(), root: root.clone(), exclude: exclude.clone() }
    }

    /// What becomes of a cgroup that has no entry.
    pub(super) fn others(options: &Options) -> u32 {
        if is_everything(&options.root) { scope::KEEP } else { scope::IGNORE }
    }

    /// Enters every cgroup whose scope differs from the others', in place of what an earlier run has entered. Call it when the
    /// programs that inherit scopes run: a parent is entered before its children are listed, so none that is made meanwhile is
    /// missed.
    pub(super) fn fill(mut self) -> Result<Self, Error> {
        let before = self.map.keys().collect::<Result<HashSet<u64>, _>>()?;
        if before.is_empty() && is_everything(&self.root) && self.exclude.is_empty() {
            return Ok(self);
        }
        let mut result = Ok(());
        let Self { map, hierarchy, root, exclude, .. } = &mut self;
        let scanned = hierarchy.scan(|id, path| {
            let done = match scope_of(path, root, exclude) {
                Some(scope) => map.insert(&id, &scope, 0),
                None if before.contains(&id) => map.remove(&id),
                None => Ok(()),
            };
            if let Err(error) = done {
                result = Err(error);
            }
        });
        self.control.renew_scopes();
        scanned.map_err(Error::Scan)?;
        result?;
        Ok(self)
    }
}

impl KernelFilter for Scopes {
    fn record(&mut self, cgroup: u64, path: &Path, what: &Recorded) -> io::Result<()> {
        let others = if is_everything(&self.root) { scope::KEEP } else { scope::IGNORE };
        if scope_of(path, &self.root, &self.exclude).unwrap_or(others) == scope::IGNORE {
            return Ok(());
        }
        let (scope, result) = match what {
            Recorded::Nothing => (scope::UNWATCHED, Ok(())),
            Recorded::Everything => (scope::KEEP, Ok(())),
            Recorded::Filtered(filter) => match self.filters.number(filter) {
                Ok(number) => (scope::FILTERED + number, Ok(())),
                // Dearer, and as right.
                Err(error) => (scope::KEEP, Err(error)),
            },
        };
        self.map.insert(&cgroup, &scope, 0).map_err(io::Error::other)?;
        self.control.renew_scopes();
        // The kernel has removed the entry of one that has gone before; its number comes never again.
        if self.hierarchy.id_of(path).ok() != Some(cgroup) {
            let _absent = self.map.remove(&cgroup);
        }
        result
    }

    fn watch(&mut self, new: &[FileId], gone: &[FileId]) -> io::Result<()> {
        self.filters.watch(new, gone)
    }

    fn usage(&self) -> FilterUsage {
        self.filters.usage()
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scopes").field("root", &self.root).field("exclude", &self.exclude).finish_non_exhaustive()
    }
}

fn is_everything(root: &Path) -> bool {
    root == Path::new("/")
}

/// The scope that differs from that of cgroups without an entry.
fn scope_of(path: &Path, root: &Path, exclude: &[PathBuf]) -> Option<u32> {
    if exclude.iter().any(|excluded| path.starts_with(excluded)) {
        return Some(scope::IGNORE);
    }
    (!is_everything(root) && path.starts_with(root)).then_some(scope::KEEP)
}
