//! What readers of the table see, and what containers have mounted, which they wait for.

use std::collections::HashSet;
use std::sync::Arc;

use super::super::mounts::MountsRead;
use super::super::owners::Owners;
use super::super::view::View;
use super::{Container, Inhabitant, Key, Reading, Table, nameless, without_runtime};

impl Table {
    /// Shows readers what changed since the last time.
    pub(in super::super) fn publish(&mut self) {
        if !std::mem::take(&mut self.changed) {
            return;
        }
        if std::mem::take(&mut self.owners_changed) {
            self.owners = Arc::new(Owners::new(self.alive(), Arc::clone(&self.host)));
        }
        self.choose_rules();
        self.choose_recorded();
        self.choose_decoys();
        let mut view = View { owners: Arc::clone(&self.owners), ..self.view_of_policies() };
        for (id, cgroup) in &self.cgroups {
            let inhabitant = cgroup.inhabitant.as_ref().and_then(|key| self.inhabitants.get(key));
            match inhabitant {
                Some(Inhabitant { container, mounts, pod_awaited, .. }) => {
                    let awaited = *mounts == Reading::Awaited || *pod_awaited;
                    let of = if awaited { &mut view.awaited } else { &mut view.containers };
                    of.insert(*id, Arc::clone(container));
                }
                None => drop(view.awaited.insert(*id, nameless(&without_runtime(&cgroup.path)))),
            }
        }
        self.containers.replace(view);
    }

    /// Containers with a cgroup that is not dead.
    fn alive(&self) -> impl Iterator<Item = &Arc<Container>> {
        let alive = self.cgroups.values().filter(|cgroup| !cgroup.dead).filter_map(|cgroup| cgroup.inhabitant.as_ref());
        let alive: HashSet<&Key> = alive.collect();
        alive.into_iter().filter_map(|key| Some(&self.inhabitants.get(key)?.container))
    }

    /// Cgroups of containers whose mounts are to be read; each is to be answered by [`Self::mounted`].
    pub(in super::super) fn take_unread(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.unread)
    }

    /// What the host and some containers have mounted.
    pub(in super::super) fn mounts(&mut self, read: MountsRead) {
        self.host = read.host;
        for (id, mounts) in read.containers {
            let key = self.cgroups.get(&id).and_then(|cgroup| cgroup.inhabitant.as_ref());
            let Some(inhabitant) = key.and_then(|key| self.inhabitants.get_mut(key)) else { continue };
            inhabitant.mounts = Reading::Done;
            self.changed = true;
            if let Some(mounts) = mounts.filter(|mounts| inhabitant.container.mounts.as_ref() != Some(mounts)) {
                inhabitant.container = Arc::new(inhabitant.container.with_mounts(mounts));
            }
        }
        self.owners_changed = true;
    }

    /// Nobody will know what the container of this cgroup had mounted.
    pub(in super::super) fn not_mounted(&mut self, id: u64) {
        self.mounts(MountsRead { host: Arc::clone(&self.host), containers: vec![(id, None)] });
    }

    /// Who lives in a live cgroup, if it is a container.
    pub(in super::super) fn container(&self, id: u64) -> Option<&Arc<Container>> {
        let inhabitant =
            self.inhabitants.get(self.cgroups.get(&id).filter(|cgroup| !cgroup.dead)?.inhabitant.as_ref()?)?;
        inhabitant.is_container().then_some(&inhabitant.container)
    }
}
