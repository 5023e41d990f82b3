//! What the API server tells of the pods that containers are in, which readers of the table wait for.

use std::sync::Arc;
use std::time::Instant;

use super::{Cgroup, Origin, Pod, Table};

impl Table {
    /// `expects_pods`: containers of pods are shown when it is known what the API server tells of these.
    pub(in super::super) fn expecting_pods(self, expects_pods: bool) -> Self {
        Self { waiting: expects_pods.then(Vec::new), ..self }
    }

    /// Containers of cgroups that were made too long ago wait for their pods no longer. Returns whether any still does.
    pub(in super::super) fn end_waits(&mut self, is_late: impl Fn(Instant) -> bool) -> bool {
        let Self { waiting: Some(waiting), inhabitants, changed, .. } = self else { return false };
        waiting.retain(|(made, key)| {
            let Some(inhabitant) = inhabitants.get_mut(key).filter(|known| known.pod_awaited) else { return false };
            if is_late(*made) {
                (inhabitant.pod_awaited, *changed) = (false, true);
            }
            inhabitant.pod_awaited
        });
        !waiting.is_empty()
    }

    /// Something new is known of the pod that runtimes call `uid`: its containers are described by it from now on.
    pub(in super::super) fn describe(&mut self, uid: &str, pod: &Pod) {
        for (key, inhabitant) in &mut self.inhabitants {
            let known = &inhabitant.container;
            let is_its = |known: &Pod| (known.uid == uid || known.uid == pod.uid) && known != pod;
            if known.pod.as_ref().is_some_and(is_its) {
                let update = known.update(known.origin.clone(), Some(pod.clone()), known.image.clone());
                inhabitant.container = Arc::new(update);
                inhabitant.pod_awaited = false;
                (self.changed, self.owners_changed) = (true, true);
                // Its volumes have names now.
                let same = |(_, cgroup): &(&u64, &Cgroup)| !cgroup.dead && cgroup.inhabitant.as_ref() == Some(key);
                self.unread.extend(self.cgroups.iter().find(same).map(|(id, _)| *id));
            }
        }
    }

    /// A container without a name is one of a pod's.
    pub(in super::super) fn is_part_of(&mut self, id: u64, pod: Pod) {
        let key = self.cgroups.get(&id).and_then(|cgroup| cgroup.inhabitant.as_ref());
        let Some(inhabitant) = key.and_then(|key| self.inhabitants.get_mut(key)) else { return };
        let known = &inhabitant.container;
        if matches!(known.origin, Origin::Container { resolved: false, .. }) && known.pod.is_none() {
            inhabitant.container = Arc::new(known.update(known.origin.clone(), Some(pod), known.image.clone()));
            self.changed = true;
        }
    }
}
