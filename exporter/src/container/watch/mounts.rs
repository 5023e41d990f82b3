//! Has the mounts of containers read.

use std::sync::Arc;
use std::time::Instant;

use super::super::mounts::{MountQueue, MountsRead, Wanted};
use super::super::path;
use super::Watch;

impl Watch {
    pub(super) fn released(&mut self, id: u64) {
        self.table.released(id, Instant::now());
        if self.mounts.as_mut().is_some_and(|mounts| mounts.gone(id)) {
            self.table.not_mounted(id);
        }
    }

    pub(super) fn want_mounts(&mut self, id: u64) {
        if !self.mounts.as_mut().is_some_and(|mounts| mounts.want(id, Instant::now())) {
            self.table.not_mounted(id);
        }
    }

    /// Has the mounts of containers read that are new, or have changed.
    pub(super) fn read_mounts(&mut self) {
        for id in self.table.take_unread() {
            self.want_mounts(id);
        }
        let Self { mounts: Some(mounts), table, hierarchy, .. } = self else { return };
        let gone = mounts.start(Instant::now(), |cgroup| {
            let (path, container) = (table.path(cgroup)?, table.container(cgroup)?);
            let pod = path::pod_uid(path).unwrap_or_default();
            let directory = hierarchy.directory(path::as_path(path));
            Some(Wanted { cgroup, directory, pod, container: Arc::clone(container) })
        });
        for cgroup in gone {
            table.not_mounted(cgroup);
        }
    }
}

/// What the next read brings.
pub(super) async fn next_mounts(mounts: &mut Option<MountQueue>) -> MountsRead {
    match mounts {
        Some(mounts) => mounts.next().await,
        None => std::future::pending().await,
    }
}
