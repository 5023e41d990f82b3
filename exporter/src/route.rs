//! Which records a destination is to get, and as whose.

use crate::container::Container;
use crate::event::Event;
use crate::lane::Lane;
use crate::policy::globs::Globs;
use crate::policy::rule::Severity;

/// Destinations with the same choice and the same tenants share a route: what goes there is encoded once.
#[derive(Clone, Debug, Default)]
pub struct Route {
    /// Kinds of records that are wanted.
    pub kinds: Kinds,
    /// Namespaces whose records are wanted. What belongs to no namespace is wanted where these are empty.
    pub namespaces: Globs,
    /// Records of rules that are less severe are not wanted; without a rule, they are [`Severity::Low`].
    pub severity: Severity,
    /// Whose records these are to the receiver; nothing: everybody's are one's.
    pub tenant: Option<Tenant>,
    /// All of the above in the user's words: what tells this route from others, in other runs too.
    pub words: String,
}

/// Kinds of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kinds {
    /// Accesses that are no violations.
    pub accesses: bool,
    /// Violations.
    pub violations: bool,
    /// Losses.
    pub losses: bool,
}

/// By what a record's tenant is chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tenant {
    /// The pod's namespace; this name for what has none.
    Namespace(String),
    /// The value of this label of the pod; the second name for what has none.
    Label(String, String),
    /// Always this one.
    Constant(String),
}

impl Route {
    /// Whether every event is wanted.
    #[must_use]
    pub fn wants_all(&self) -> bool {
        let kinds = self.kinds.accesses && self.kinds.violations;
        kinds && self.severity == Severity::Low && self.namespaces.is_empty()
    }

    /// Whether an event is wanted.
    #[must_use]
    pub fn wants(&self, event: &Event<'_>, lane: Lane) -> bool {
        let kind = if lane == Lane::Violation { self.kinds.violations } else { self.kinds.accesses };
        kind && self.is_severe(event) && self.wants_of(event.container)
    }

    /// Whether a loss is wanted: whoever gets records of a container is told what is missing of them, and everybody what is
    /// missing of nobody knows whose.
    #[must_use]
    pub fn wants_loss(&self, container: &Container) -> bool {
        self.kinds.losses && (container.pod.is_none() || self.wants_of(container))
    }

    /// As whose a container's records are sent; empty where that does not matter.
    #[must_use]
    pub fn tenant<'a>(&'a self, container: &'a Container) -> &'a str {
        let pod = container.pod.as_ref();
        match &self.tenant {
            None => "",
            Some(Tenant::Constant(name)) => name,
            Some(Tenant::Namespace(others)) => pod.map_or(others, |pod| &pod.namespace),
            Some(Tenant::Label(key, others)) => {
                let details = pod.and_then(|pod| pod.details.as_ref());
                details.and_then(|details| details.labels.get(key)).unwrap_or(others)
            }
        }
    }

    /// A number for [`Self::words`] (FNV-1a): the same in each run.
    #[must_use]
    pub fn stream(&self) -> u64 {
        let hash = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        self.words.bytes().fold(0xcbf2_9ce4_8422_2325, hash)
    }

    fn is_severe(&self, event: &Event<'_>) -> bool {
        let severity = || event.judgement?.rule().map(|(_, rule)| rule.severity);
        self.severity == Severity::Low || severity().unwrap_or_default() >= self.severity
    }

    fn wants_of(&self, container: &Container) -> bool {
        self.namespaces.is_empty()
            || container.pod.as_ref().is_some_and(|pod| self.namespaces.matches(pod.namespace.as_bytes()))
    }
}

impl Default for Kinds {
    fn default() -> Self {
        Self { accesses: true, violations: true, losses: true }
    }
}

#[cfg(test)]
mod tests;
