//! What the sensor's thread tells the table's task.

use std::sync::Arc;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc};

use super::watch::Change;

/// What the sensor's thread has to tell of cgroups. Never blocks, and loses nothing: what finds no room in the queue is
/// found by reading the tree.
#[derive(Clone, Debug)]
pub struct CgroupEvents {
    pub(super) changes: mpsc::Sender<Change>,
    pub(super) rescan: Arc<Notify>,
}

impl CgroupEvents {
    /// Nobody listens.
    #[must_use]
    pub fn unheard() -> Self {
        Self { changes: mpsc::channel(1).0, rescan: Arc::default() }
    }

    /// A cgroup was made at `path`, which starts with `/`, inside the chosen hierarchy.
    pub fn made(&self, id: u64, path: &[u8]) {
        self.send(Change::Made(id, path.into()));
    }

    /// A cgroup was released. What is known of it stays for 30 s.
    pub fn released(&self, id: u64) {
        self.send(Change::Released(id));
    }

    /// Something happened in a cgroup that [`Snapshot::get`] does not know. Within about a second it will: from the tree,
    /// or as [`Container::unknown`]. Once is enough, when the first record is held; only where the queue is full and the
    /// tree has no such cgroup either does it stay unknown, so that records need a deadline of their own.
    pub fn unknown(&self, id: u64) {
        self.send(Change::Unknown(id));
    }

    /// A file was accessed in a cgroup whose container has not mounted it, as far as is known.
    pub fn unknown_mounts(&self, id: u64) {
        // What finds no room is told again.
        let _full = self.changes.try_send(Change::UnknownMounts(id));
    }

    /// A file that rules name was accessed in a cgroup, and is not the one that it was.
    pub fn stale_files(&self, id: u64) {
        // What finds no room is found when all files are looked for again.
        let _full = self.changes.try_send(Change::StaleFiles(id));
    }

    /// Reads the whole tree again.
    pub fn rescan(&self) {
        self.rescan.notify_one();
    }

    fn send(&self, change: Change) {
        if let Err(TrySendError::Full(_)) = self.changes.try_send(change) {
            self.rescan();
        }
    }
}
