//! Containers in which files are to be looked for, and the one look that is under way.

use std::collections::HashSet;
use std::future::pending;
use std::sync::Arc;

use tokio::task::{JoinHandle, spawn_blocking};

use super::super::mounts::MountReader;
use super::read::{self, Looked, WantedFiles};

/// Containers looked into at once.
const BATCH_MAX: usize = 64;

/// One look at a time.
#[derive(Debug)]
pub(in super::super) struct FileQueue {
    reader: Arc<MountReader>,
    /// No more than there are cgroups.
    waiting: HashSet<u64>,
    running: Option<JoinHandle<Looked>>,
}

impl FileQueue {
    pub(in super::super) fn new(reader: Arc<MountReader>) -> Self {
        Self { reader, waiting: HashSet::new(), running: None }
    }

    /// Asks for the files of the container of a cgroup.
    pub(in super::super) fn want(&mut self, cgroup: u64) {
        self.waiting.insert(cgroup);
    }

    /// Starts the next look, unless one is under way. `describe`: `None` where there is nothing to look for any more.
    pub(in super::super) fn start(&mut self, describe: impl Fn(u64) -> Option<WantedFiles>) {
        if self.running.is_some() || self.waiting.is_empty() {
            return;
        }
        let due: Vec<_> = self.waiting.iter().copied().take(BATCH_MAX).collect();
        for cgroup in &due {
            self.waiting.remove(cgroup);
        }
        let wanted: Vec<_> = due.into_iter().filter_map(describe).collect();
        if !wanted.is_empty() {
            let reader = Arc::clone(&self.reader);
            self.running = Some(spawn_blocking(move || read::look(&reader, &wanted)));
        }
    }

    /// Waits for the look that is under way.
    pub(in super::super) async fn next(&mut self) -> Looked {
        let Some(running) = &mut self.running else { return pending().await };
        let looked = running.await;
        self.running = None;
        looked.unwrap_or_default()
    }
}
