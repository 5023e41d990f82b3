//! What nodes have said of a policy, as the API server told it last.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kube::api::DynamicObject;
use serde::Deserialize;

use crate::policy::crd::{Condition, NodeStatus};

/// A policy's counts alone are told no more often, by all nodes together: every exporter is told of each of these changes.
pub(super) const COUNTS_EVERY: Duration = Duration::from_secs(10);
const COUNTS_LATEST: Duration = Duration::from_secs(3600);

/// The entries of a policy's status.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Nodes(Arc<Mutex<Said>>);

#[derive(Debug, Default)]
struct Said {
    names: Vec<String>,
    /// What an exporter has said on this node.
    conditions: Vec<Condition>,
}

impl Nodes {
    pub(in super::super) fn of(object: &DynamicObject, own: &str) -> Self {
        let nodes = Self::default();
        nodes.set(object, own);
        nodes
    }

    /// `own`: the name of this node.
    pub(in super::super) fn set(&self, object: &DynamicObject, own: &str) {
        let entries = || object.data["status"]["nodes"].as_array().into_iter().flatten();
        let names = entries().filter_map(|entry| entry["node"].as_str().map(str::to_owned)).collect();
        let entry = entries().find(|entry| entry["node"] == own);
        // Another version may have said it in another form.
        let conditions = entry.and_then(|entry| NodeStatus::deserialize(entry).ok()).unwrap_or_default().conditions;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Said { names, conditions };
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).names.clone()
    }

    pub(super) fn own_conditions(&self) -> Vec<Condition> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).conditions.clone()
    }

    /// How often one of them tells its counts.
    pub(super) fn counts_every(&self) -> Duration {
        let count = self.0.lock().unwrap_or_else(PoisonError::into_inner).names.len().max(1);
        COUNTS_EVERY.saturating_mul(count as u32).min(COUNTS_LATEST)
    }
}
