//! How well the node sees, brought to whoever tells the cluster.

use std::sync::Arc;

use crate::metrics::{Dropped, Metrics};
use crate::policy_source::NodeHealth;
use crate::sensor::Hooks;
use crate::sensor::backend::degraded;
use crate::sensor::kernel::Kernel;

pub(super) fn of_node(hooks: Hooks, metrics: Arc<Metrics>) -> impl Fn() -> NodeHealth + Send + Sync + 'static {
    let kernel = Kernel::detect();
    move || NodeHealth {
        backend: hooks.backend(),
        may_miss: degraded(hooks.backend(), &kernel),
        reports: metrics.health.sensor.get(),
        missed: metrics.dropped(Dropped::HookMissed).get(),
        filter_full: metrics.filter_full.get(),
    }
}
