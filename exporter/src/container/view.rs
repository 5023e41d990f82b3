//! The table of containers as its readers see it.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use inotrail_ebpf::Header;

use super::owners::Owners;
use super::{Container, File, mounts};
use crate::ids::{self, IdMap};
use crate::policy::{PolicySet, Selection};

/// The table of containers, for readers. A clone reads the same table.
#[derive(Clone, Debug, Default)]
pub struct Containers(Arc<ArcSwap<View>>);

/// The table as it was at one moment. Hold it for a batch of records, not for longer: it keeps old containers alive.
#[derive(Debug)]
pub struct Snapshot(Guard<Arc<View>>);

/// A container of [`Containers::mounted`].
#[derive(Debug)]
pub struct Mounted {
    /// Its cgroup's id.
    pub cgroup: u64,
    /// Who it is; its pod's volumes are in the pod's details.
    pub container: Container,
    /// What the kubelet calls the pod; empty: it is none.
    pub pod: String,
    /// Its mount table, as `/proc/PID/mountinfo` has it.
    pub mountinfo: String,
}

#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) number: Number,
    pub(super) containers: IdMap<u64, Arc<Container>>,
    /// Of whom more may be known soon.
    pub(super) awaited: IdMap<u64, Arc<Container>>,
    pub(super) owners: Arc<Owners>,
    /// What is worth an event; `None`: everything.
    pub(super) policies: Option<Arc<PolicySet>>,
    /// Rules that are about containers of which nothing is known.
    pub(super) rules_of_unknown: Selection,
}

/// Tells a view from all others. What a view holds never changes.
#[derive(Debug)]
pub(super) struct Number(u64);

impl Default for Number {
    fn default() -> Self {
        Self(ids::unique())
    }
}

impl Containers {
    /// A table that never changes.
    #[must_use]
    pub fn fixed(containers: HashMap<u64, Arc<Container>>) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(View { containers: containers.into_iter().collect(), ..View::default() })))
    }

    /// A table that never changes, of containers of which each is held against all rules.
    #[must_use]
    pub fn judged(containers: HashMap<u64, Arc<Container>>, policies: PolicySet) -> Self {
        let all = policies.all();
        let judged = |(id, container): (u64, Arc<Container>)| (id, Arc::new(container.with_rules(Some(all.clone()))));
        let containers = containers.into_iter().map(judged).collect();
        let policies = Some(Arc::new(policies));
        Self(Arc::new(ArcSwap::from_pointee(View { containers, policies, ..View::default() })))
    }

    /// A table that never changes, of containers that have something mounted; `host` is the host's mount table.
    #[must_use]
    pub fn mounted(containers: impl IntoIterator<Item = Mounted>, host: &[u8]) -> Self {
        let host = Arc::new(mounts::of_host(host));
        let containers = containers.into_iter().map(|mounted| {
            let mounts = mounts::of_container(mounted.mountinfo.as_bytes(), &host, &mounted.pod, &mounted.container);
            (mounted.cgroup, Arc::new(mounted.container.with_mounts(mounts)))
        });
        let containers: IdMap<_, _> = containers.collect();
        let owners = Arc::new(Owners::new(containers.values(), host));
        Self(Arc::new(ArcSwap::from_pointee(View { containers, owners, ..View::default() })))
    }

    /// The current table; costs a few atomic operations and takes no lock.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.0.load())
    }

    /// Shows what the other table shows now.
    #[cfg(test)]
    pub(crate) fn become_as(&self, other: &Self) {
        self.0.store(other.0.load_full());
    }

    pub(super) fn replace(&self, view: View) {
        self.0.store(Arc::new(view));
    }
}

impl Snapshot {
    /// Tells this state of the table from all others: whatever is found in it by the same number is the same.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.0.number.0
    }

    /// Who lives in a cgroup; `None`: not known yet, so hold what happened there.
    #[must_use]
    pub fn get(&self, cgroup_id: u64) -> Option<&Arc<Container>> {
        self.0.containers.get(&cgroup_id)
    }

    /// Who lives in a cgroup, as far as is known by now, for those who cannot wait.
    #[must_use]
    pub fn by_now(&self, cgroup_id: u64) -> &Arc<Container> {
        self.get(cgroup_id).or_else(|| self.0.awaited.get(&cgroup_id)).unwrap_or_else(|| Container::unknown())
    }

    /// What is worth an event, and the rules of this that are about a container; `None`: everything is.
    #[must_use]
    pub fn policies<'a>(&'a self, container: &'a Container) -> Option<(&'a PolicySet, &'a Selection)> {
        let policies = self.0.policies.as_deref()?;
        Some((policies, container.rules.as_ref().unwrap_or(&self.0.rules_of_unknown)))
    }

    /// What is known of a file by where it is; `path` as `actor` sees it. The second: what the container has mounted is
    /// unknown or has changed, so tell ([`CgroupEvents::unknown_mounts`]).
    #[must_use]
    pub fn file<'a>(&'a self, header: &Header, path: &'a [u8], actor: &'a Container) -> (File<'a>, bool) {
        File::of(header, path, actor, &self.0.owners)
    }
}
