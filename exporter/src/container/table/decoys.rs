//! Which containers are to have which decoys.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::SANDBOX;
use super::{Inhabitant, Key, Origin, Table};
use crate::decoy::{Site, Wanted};

impl Table {
    /// Chooses who is to have decoys: containers that are known by name, with all that may be known of their pods, so that
    /// none has a decoy that it is not meant to have. Call it when rules are chosen.
    pub(super) fn choose_decoys(&mut self) {
        let Some(policies) = self.rules.policies.as_ref().filter(|policies| policies.with_decoys().next().is_some())
        else {
            return self.want(Wanted::new());
        };
        let mut sites: HashMap<&Key, (u64, Site)> = HashMap::new();
        for (id, cgroup) in self.cgroups.iter().filter(|(_, cgroup)| !cgroup.dead && !cgroup.path.is_empty()) {
            let Some(key) = &cgroup.inhabitant else { continue };
            let Some((container, inhabitant)) = self.inhabitants.get(key).and_then(named) else { continue };
            let Some(rules) = inhabitant.container.rules.as_ref() else { continue };
            // Its processes may be in cgroups below its own.
            if sites.get(key).is_some_and(|(_, site)| site.cgroup.len() <= cgroup.path.len()) {
                continue;
            }
            let decoys: Vec<_> = policies.decoys(rules).cloned().collect();
            if !decoys.is_empty() {
                let site = Site { container: container.to_owned(), cgroup: Arc::clone(&cgroup.path), decoys };
                sites.insert(key, (*id, site));
            }
        }
        let wanted = sites.into_values().collect();
        self.want(wanted);
    }

    fn want(&mut self, wanted: Wanted) {
        let (known, is_news) = &mut self.decoys;
        if *known != wanted {
            (*known, *is_news) = (wanted, true);
        }
    }

    /// Who is to have decoys, where that has changed.
    pub(in super::super) fn take_decoys(&mut self) -> Option<Wanted> {
        let (wanted, is_news) = &mut self.decoys;
        std::mem::take(is_news).then(|| wanted.clone())
    }

    /// Policies that have decoys.
    pub(in super::super) fn policies_with_decoys(&self) -> impl Iterator<Item = &str> {
        self.rules.policies.iter().flat_map(|policies| policies.with_decoys())
    }
}

/// The id of a container that users know.
fn named(inhabitant: &Inhabitant) -> Option<(&str, &Inhabitant)> {
    match &inhabitant.container.origin {
        Origin::Container { id, name, resolved: true, .. } if name != SANDBOX && !inhabitant.pod_awaited => {
            Some((id, inhabitant))
        }
        _ => None,
    }
}
