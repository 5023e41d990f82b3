//! Containers in which files are to be looked for, and the one look that is under way.

use std::collections::{HashSet, VecDeque};
use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::{JoinHandle, spawn_blocking};

use super::super::mounts::MountReader;
use super::read::{self, Looked, WantedFiles};

/// Containers looked into at once.
const BATCH_MAX: usize = 64;
/// One container is not looked into more often.
const EVERY: Duration = Duration::from_millis(100);

/// One look at a time.
#[derive(Debug)]
pub(in super::super) struct FileQueue {
    reader: Arc<MountReader>,
    /// No more than there are cgroups.
    waiting: HashSet<u64>,
    /// Those looked into within [`EVERY`].
    recent: VecDeque<(Instant, u64)>,
    running: Option<JoinHandle<Looked>>,
}

impl FileQueue {
    pub(in super::super) fn new(reader: Arc<MountReader>) -> Self {
        Self { reader, waiting: HashSet::new(), recent: VecDeque::new(), running: None }
    }

    /// Asks for the files of the container of a cgroup.
    pub(in super::super) fn want(&mut self, cgroup: u64) {
        self.waiting.insert(cgroup);
    }

    /// Whether anything is to be done soon.
    pub(in super::super) fn is_busy(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Starts the next look, unless one is under way. `describe`: `None` where there is nothing to look for any more.
    pub(in super::super) fn start(&mut self, now: Instant, describe: impl Fn(u64) -> Option<WantedFiles>) {
        while self.recent.front().is_some_and(|(looked, _)| now.duration_since(*looked) >= EVERY) {
            self.recent.pop_front();
        }
        if self.running.is_some() {
            return;
        }
        let is_recent = |cgroup: &u64| self.recent.iter().any(|(_, recent)| recent == cgroup);
        let due: Vec<_> = self.waiting.iter().copied().filter(|it| !is_recent(it)).take(BATCH_MAX).collect();
        for cgroup in &due {
            self.waiting.remove(cgroup);
            self.recent.push_back((now, *cgroup));
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
