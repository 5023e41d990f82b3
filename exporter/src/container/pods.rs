//! Pods of this node, as the API server told of them. No I/O, no clock.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Notify;

use super::table::{DEAD_FOR, Metadata};
use super::{Pod, path};

/// Pods known at once: a kubelet runs 110 unless told otherwise.
const PODS_MAX: usize = 4096;

/// A pod, and its containers that the kubelet has reported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PodNews {
    /// Its uid is the API server's.
    pub(super) pod: Pod,
    /// What the kubelet calls it where that is something else: a static pod's cgroup and labels have the hash of its file
    /// (annotation `kubernetes.io/config.hash`).
    pub(super) hash: Option<String>,
    /// Containers by the runtime's id.
    pub(super) containers: Vec<(String, Metadata)>,
}

/// Pods by what cgroups and labels call them.
#[derive(Debug, Default)]
pub(super) struct Pods {
    by_uid: HashMap<String, Pod>,
    gone: VecDeque<(Instant, String)>,
    /// Told while containers wait.
    pub(super) wanted: Arc<Notify>,
}

impl Pods {
    pub(super) fn insert(&mut self, news: &PodNews) {
        let uid = news.hash.as_ref().unwrap_or(&news.pod.uid);
        if self.by_uid.len() < PODS_MAX || self.by_uid.contains_key(uid) {
            self.by_uid.insert(uid.clone(), news.pod.clone());
        }
    }

    /// The pod's last events may still come: it is known for as long as the dead are.
    pub(super) fn gone(&mut self, uid: String, now: Instant) {
        self.gone.push_back((now, uid));
    }

    /// All but these are no more.
    pub(super) fn retain(&mut self, alive: &HashSet<String>, now: Instant) {
        let gone = self.by_uid.keys().filter(|uid| !alive.contains(*uid)).cloned();
        self.gone.extend(gone.map(|uid| (now, uid)));
    }

    pub(super) fn purge(&mut self, now: Instant) {
        while let Some((since, _)) = self.gone.front()
            && now.saturating_duration_since(*since) >= DEAD_FOR
            && let Some((_, uid)) = self.gone.pop_front()
        {
            self.by_uid.remove(&uid);
        }
    }

    /// The same metadata with what the API server has told of the pod.
    pub(super) fn complete(&self, metadata: Metadata) -> Metadata {
        let known = metadata.pod.as_ref().and_then(|pod| self.by_uid.get(&pod.uid)).cloned();
        Metadata { pod: known.or(metadata.pod), ..metadata }
    }

    /// The pod that a cgroup's path names: as the API server has told of it, else by its uid alone. A static pod's path has
    /// no uid but the hash of its file.
    pub(super) fn of_path(&self, path: &[u8]) -> Option<Pod> {
        let uid = path::pod_uid(path)?;
        let known = self.by_uid.get(&uid).cloned();
        known.or_else(|| uid.contains('-').then(|| Pod { uid, ..Pod::default() }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Origin;
    use super::*;

    const UID: &str = "0b9c3d1e-5f4a-4b6c-8d7e-9f0a1b2c3d4e";

    fn news(uid: &str, hash: Option<&str>) -> PodNews {
        let pod = Pod { name: "web".to_owned(), uid: uid.to_owned(), details: Some(Arc::default()), ..Pod::default() };
        PodNews { pod, hash: hash.map(str::to_owned), containers: Vec::new() }
    }

    #[test]
    fn labels_and_paths_lead_to_the_same_pod() {
        let mut pods = Pods::default();
        pods.insert(&news(UID, None));
        pods.insert(&news("api", Some("0123456789abcdef0123456789abcdef")));
        let check = |path: &str, expected: Option<&str>| {
            assert_eq!(pods.of_path(path.as_bytes()).map(|pod| pod.uid).as_deref(), expected, "{path}");
        };
        check(&format!("/kubepods/burstable/pod{UID}/x"), Some(UID));
        check("/kubepods/pod0123456789abcdef0123456789abcdef/x", Some("api"));
        check("/kubepods/podunknown/x", None);
        // Of those that nobody has told of.
        let other = UID.replace("0b9c", "ffff");
        check(&format!("/kubepods/pod{other}/x"), Some(&other));
        check("/kubepods/podfedcba9876543210fedcba9876543210/x", None);
        let labelled = |uid: &str| Pod { uid: uid.to_owned(), ..Pod::default() };
        let complete = |pod| pods.complete(Metadata { origin: Origin::Host, pod, image: None }).pod;
        let found = complete(Some(labelled("0123456789abcdef0123456789abcdef"))).unwrap();
        assert_eq!((&*found.uid, found.details.is_some()), ("api", true));
        assert_eq!(complete(Some(labelled("other"))), Some(labelled("other")));
        assert_eq!(complete(None), None);
    }

    #[test]
    fn the_gone_are_known_for_as_long_as_the_dead() {
        let mut pods = Pods::default();
        let now = Instant::now();
        for uid in ["a", "b", "c"] {
            pods.insert(&news(uid, None));
        }
        pods.gone("a".to_owned(), now);
        pods.retain(&HashSet::from(["c".to_owned()]), now);
        pods.purge(now + DEAD_FOR / 2);
        assert_eq!(pods.by_uid.len(), 3);
        pods.purge(now + DEAD_FOR);
        assert_eq!(pods.by_uid.keys().collect::<Vec<_>>(), ["c"]);
    }

    #[test]
    fn there_is_a_bound() {
        let mut pods = Pods::default();
        for number in 0..=PODS_MAX {
            pods.insert(&news(&number.to_string(), None));
        }
        assert_eq!(pods.by_uid.len(), PODS_MAX);
        pods.insert(&PodNews {
            pod: Pod { name: "new".to_owned(), uid: "0".to_owned(), ..Pod::default() },
            ..PodNews::default()
        });
        assert_eq!(pods.by_uid["0"].name, "new");
    }
}
