//! Which cgroups are recorded, as the kernel's filter holds it.

use std::io;
use std::path::{Path, PathBuf};

use aya::maps::{HashMap, MapData, MapError};
use inotrail_ebpf::scope;

use super::Options;

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

/// The map from cgroup id to scope. Changed only at start: later cgroups inherit from their parents inside the kernel.
pub(super) struct Scopes {
    map: HashMap<MapData, u64, u32>,
}

impl Scopes {
    pub(super) fn new(map: HashMap<MapData, u64, u32>) -> Self {
        Self { map }
    }

    /// What becomes of a cgroup that has no entry.
    pub(super) fn others(options: &Options) -> u32 {
        if is_everything(&options.root) { scope::KEEP } else { scope::IGNORE }
    }

    /// Enters every cgroup whose scope differs from the others'. Call it when the programs that inherit scopes run:
    /// a parent is entered before its children are listed, so none that is made meanwhile is missed.
    pub(super) fn fill(mut self, options: &Options) -> Result<(), Error> {
        if is_everything(&options.root) && options.exclude.is_empty() {
            return Ok(());
        }
        let mut result = Ok(());
        let map = &mut self.map;
        let scanned = options.hierarchy.scan(|id, path| {
            if let Some(scope) = scope_of(path, options)
                && let Err(error) = map.insert(&id, &scope, 0)
            {
                result = Err(error);
            }
        });
        scanned.map_err(Error::Scan)?;
        Ok(result?)
    }
}

fn is_everything(root: &Path) -> bool {
    root == Path::new("/")
}

/// The scope that differs from that of cgroups without an entry.
fn scope_of(path: &Path, options: &Options) -> Option<u32> {
    if options.exclude.iter().any(|excluded| path.starts_with(excluded)) {
        return Some(scope::IGNORE);
    }
    (!is_everything(&options.root) && path.starts_with(&options.root)).then_some(scope::KEEP)
}
