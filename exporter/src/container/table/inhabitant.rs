//! Who lives in cgroups, as far as it is known.

use std::sync::Arc;

use super::Key;
use crate::container::path::Candidate;
use crate::container::{Container, Origin};

#[derive(Debug)]
pub(super) struct Inhabitant {
    pub(super) container: Arc<Container>,
    pub(super) cgroups: usize,
    pub(super) mounts: Reading,
    /// What the API server tells of its pod; readers of the table wait for that.
    pub(super) pod_awaited: bool,
    /// Files that its rules name are to be looked for anew.
    pub(super) rules_changed: bool,
    /// The kernel's filter has no room for them.
    pub(super) unfiltered: bool,
}

/// Whether it is known what a container has mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// Nobody was asked.
    No,
    /// Somebody was; readers of the table wait for the answer.
    Awaited,
    /// There was an answer.
    Done,
}

impl Inhabitant {
    /// Of whom nothing is known but the key.
    pub(super) fn nameless(key: &Key) -> Self {
        Self {
            container: nameless(key),
            cgroups: 0,
            mounts: Reading::No,
            pod_awaited: false,
            rules_changed: false,
            unfiltered: false,
        }
    }

    /// Its runtime says that it is a pod's, and the API server has not told of that one.
    pub(super) fn lacks_its_pod(&self) -> bool {
        self.container.pod.as_ref().is_some_and(|pod| pod.details.is_none())
    }

    pub(super) fn is_container(&self) -> bool {
        matches!(&self.container.origin, Origin::Container { id, .. } if !id.is_empty())
    }
}

/// What is known of somebody without metadata.
pub(super) fn nameless(key: &Key) -> Arc<Container> {
    let origin = match key {
        Key::Container(Candidate::Id(id) | Candidate::Named { id, .. }) => Origin::unresolved(id),
        Key::Unit(unit) => Origin::Unit(unit.clone()),
        Key::Host => Origin::Host,
        Key::Unknown => return Arc::clone(Container::unknown()),
    };
    Arc::new(Container::new(origin))
}

pub(super) fn is_resolved(container: &Container) -> bool {
    !matches!(container.origin, Origin::Container { resolved: false, .. })
}
