//! Has the kernel's programs record the cgroups that policies are about, and no others.

use super::super::path;
use super::Watch;

impl Watch {
    pub(super) fn record(&mut self) {
        let Some(filter) = &mut self.filter else { return };
        for (cgroup, path, on) in self.table.take_to_record() {
            if let Err(error) = filter.record(cgroup, path::as_path(&path), on) {
                tracing::warn!(%error, on, "what policies are about does not reach the kernel's filter");
            }
        }
    }
}
