//! Has the kernel's programs record the cgroups that policies are about, and none that are never reported.

use std::io;

use super::super::{FilterUsage, path};
use super::Watch;
use crate::metrics::Metrics;

impl Watch {
    pub(super) fn record(&mut self) {
        let to_record = self.table.take_to_record();
        let Some(filter) = &mut self.filter else { return };
        for (cgroup, path, what) in to_record {
            if let Err(error) = filter.record(cgroup, path::as_path(&path), &what) {
                full(&self.metrics, &error);
            }
        }
        let FilterUsage { names, files, limit } = filter.usage();
        for (gauge, used) in self.metrics.filter_entries.iter().zip([names, files]) {
            gauge.set(used as i64);
        }
        self.metrics.filter_limit.set(limit as i64);
    }

    pub(super) fn filter_is_full(&self, error: &io::Error) {
        full(&self.metrics, error);
    }
}

fn full(metrics: &Metrics, error: &io::Error) {
    metrics.filter_full.inc();
    tracing::warn!(%error, "the kernel's filter is full: all of a container is recorded; raise --filter-entries");
}
