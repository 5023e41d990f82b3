//! Reads the tree of cgroups, and brings the table in line with it.

use std::collections::HashSet;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::Instant;

use tokio::task::JoinHandle;

use super::super::cgroup::Hierarchy;
use super::Watch;

/// The whole tree at once.
#[derive(Debug)]
pub(in super::super) struct Scan {
    since: Instant,
    /// False: there were more cgroups than one scan reads.
    complete: bool,
    /// Ids and paths, parents first.
    cgroups: Vec<(u64, Box<[u8]>)>,
}

impl Scan {
    pub(in super::super) fn read(hierarchy: &Hierarchy) -> io::Result<Self> {
        let since = Instant::now();
        let mut cgroups = Vec::new();
        let complete = hierarchy.scan(|id, path| cgroups.push((id, path.as_os_str().as_bytes().into())))?;
        Ok(Self { since, complete, cgroups })
    }
}

/// A scan under way, with the ids that it is to find.
pub(super) type Scanning = JoinHandle<(io::Result<Scan>, HashSet<u64>)>;

impl Watch {
    pub(super) fn scan(&mut self) {
        self.scan_wanted = false;
        let hierarchy = Arc::clone(&self.hierarchy);
        let wanted = std::mem::take(&mut self.wanted);
        self.scanning = Some(tokio::task::spawn_blocking(move || (Scan::read(&hierarchy), wanted)));
    }

    /// Brings the table in line with the tree. Wanted ids that are not in it belong to nobody known.
    pub(super) fn scanned(&mut self, scan: io::Result<Scan>, wanted: &HashSet<u64>) {
        match scan {
            Ok(scan) => self.take_over(&scan),
            Err(error) => tracing::error!(%error, "cannot read the cgroup tree"),
        }
        for id in wanted.iter().filter(|id| !self.table.contains(**id)).copied().collect::<Vec<_>>() {
            self.table.made(id, b"", Instant::now());
        }
    }

    fn take_over(&mut self, scan: &Scan) {
        for (id, path) in &scan.cgroups {
            self.made(*id, path);
        }
        if scan.complete {
            let alive: HashSet<u64> = scan.cgroups.iter().map(|(id, _)| *id).collect();
            self.table.retain(scan.since, Instant::now(), |id| alive.contains(&id));
        }
    }
}

/// What the scan under way brings.
pub(super) async fn finished(scanning: &mut Option<Scanning>) -> (io::Result<Scan>, HashSet<u64>) {
    let Some(handle) = scanning else { return std::future::pending().await };
    let done = handle.await;
    *scanning = None;
    done.unwrap_or_else(|error| (Err(io::Error::other(error)), HashSet::new()))
}
