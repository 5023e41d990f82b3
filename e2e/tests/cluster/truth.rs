//! What events of a cluster's pods must say, as its API and its containerd tell.

use std::collections::{BTreeMap, BTreeSet};

use e2e::cluster::{Cluster, containers};
use e2e::containerd::{Containerd, Pods};
use e2e::exporter::Attributes;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;

use crate::workloads::NAMESPACE;

/// Events of one kind that a failed test shows.
const SHOWN: usize = 5;

/// Every container that was seen.
#[derive(Default)]
pub(crate) struct Truth {
    /// By id: what its events must say.
    containers: BTreeMap<String, BTreeMap<String, String>>,
    /// Those that run until the end.
    running: BTreeSet<String>,
    /// By the id of a container that holds a pod's namespaces: that pod's name.
    pauses: BTreeMap<String, String>,
    /// Those of them that had nothing more to do when the exporters started.
    old_pauses: BTreeSet<String>,
}

impl Truth {
    /// Takes in the pods that are there now, all of this node, and who holds their namespaces, where its containerd can
    /// be asked.
    pub(crate) fn note(&mut self, cluster: &Cluster, node: &str, containerd: Option<&Containerd>) {
        self.running.clear();
        for pod in cluster.call(cluster.pods(NAMESPACE).list(&ListParams::default())).unwrap().items {
            for (name, id) in containers(&pod) {
                if name != "init" {
                    self.running.insert(id.clone());
                }
                self.containers.insert(id, expected(&pod, &name, node));
            }
        }
        if let Some(containerd) = containerd {
            self.pauses.extend(Pods::new(containerd).unwrap().sandboxes().unwrap());
        }
    }

    /// Whether every container that runs has an event among these.
    pub(crate) fn running_in(&self, events: &[Attributes]) -> bool {
        let told: BTreeSet<_> = events.iter().filter_map(|event| is(event, "container.id")).collect();
        self.running.iter().all(|id| told.contains(id.as_str()))
    }

    /// Whether every container has an event among these, all that an exporter told.
    pub(crate) fn all_in(&self, events: &[Attributes]) -> bool {
        let told: BTreeSet<_> = events.iter().filter_map(|event| is(event, "container.id")).collect();
        let mut pauses = self.pauses.keys().filter(|id| !self.old_pauses.contains(*id));
        pauses.all(|id| told.contains(id.as_str())) && self.running_in(events)
    }

    /// Whether every container that runs has an event among these that says all that it must.
    pub(crate) fn all_told_right(&self, events: &[Attributes]) -> bool {
        let is_right = |id: &String| {
            events
                .iter()
                .any(|event| is(event, "container.id") == Some(id) && differs(event, &self.containers[id]).is_none())
        };
        self.running.iter().all(is_right)
    }

    /// From here on exporters watch that have seen nothing of what was before.
    pub(crate) fn watched_anew(&mut self) {
        self.old_pauses = self.pauses.keys().cloned().collect();
    }

    /// Compares all events with what they must say. Of a container that only holds a pod's namespaces nobody has to
    /// tell more than that the pod is not another one. `late`: the same goes for events that came before the names.
    pub(crate) fn judge(&self, by: &str, events: &[Attributes], late: bool) {
        let accesses = events.iter().filter(|event| is(event, "otel.event.name") == Some("inotrail.file.access"));
        let (mut right, mut pauses, mut nameless, mut wrong) = (0, [0, 0], Vec::new(), Vec::new());
        for event in accesses {
            let id = is(event, "container.id").unwrap_or_default();
            if let Some(expected) = self.containers.get(id) {
                match differs(event, expected) {
                    None => right += 1,
                    Some(_)
                        if (late || event.contains_key("inotrail.resource.unresolved"))
                            && !names_another(event, expected) =>
                    {
                        nameless.push(event);
                    }
                    Some(what) => wrong.push((what, event)),
                }
            } else if let Some(pod) = self.pauses.get(id) {
                let told = is(event, "k8s.pod.name");
                pauses[usize::from(told.is_some())] += 1;
                if told.is_some_and(|told| told != pod) {
                    wrong.push((format!("not {pod}"), event));
                }
            } else if self.pauses.is_empty() && is(event, "k8s.container.name") == Some("POD") {
                pauses[1] += 1;
            } else if self.pauses.is_empty()
                && event.contains_key("inotrail.resource.unresolved")
                && is(event, "k8s.container.name").is_none()
            {
                // The API does not tell of it: it is known by its pod alone where it is not told apart from the others in time.
                pauses[0] += 1;
            } else {
                wrong.push(("no such container".to_owned(), event));
            }
        }
        eprintln!(
            "{by}: {right} events of {} containers are right, {} are wrong, {} without a name; besides, {} of {} pause \
             containers, {} of them without a name",
            self.containers.len(),
            wrong.len(),
            nameless.len(),
            pauses[0] + pauses[1],
            self.pauses.len(),
            pauses[0]
        );
        wrong.truncate(SHOWN);
        nameless.truncate(SHOWN);
        assert!(
            wrong.is_empty() && (late || nameless.is_empty()),
            "{by}: wrong: {wrong:#?}\nwithout a name: {nameless:#?}"
        );
        assert!(right > self.running.len(), "{by}: {right} events");
    }
}

fn is<'a>(event: &'a Attributes, key: &str) -> Option<&'a str> {
    event.get(key)?.as_str()
}

/// Whether what it says of its pod is another pod's.
fn names_another(event: &Attributes, expected: &BTreeMap<String, String>) -> bool {
    let of_pod = expected.iter().filter(|(key, _)| key.starts_with("k8s."));
    of_pod.into_iter().any(|(key, value)| is(event, key).is_some_and(|told| told != value))
}

/// The first attribute that is not what it must be.
fn differs(event: &Attributes, expected: &BTreeMap<String, String>) -> Option<String> {
    let wrong = expected.iter().find(|(key, value)| is(event, key) != Some(value.as_str()));
    wrong.map(|(key, value)| format!("{key} is {:?}, not {value}", is(event, key)))
}

fn expected(pod: &Pod, container: &str, node: &str) -> BTreeMap<String, String> {
    let (name, uid) = (pod.metadata.name.clone().unwrap(), pod.metadata.uid.clone().unwrap());
    let label = |key: &str| pod.metadata.labels.as_ref().and_then(|labels| labels.get(key)).cloned();
    let mut expected = BTreeMap::from(
        [
            ("k8s.namespace.name", NAMESPACE.to_owned()),
            ("k8s.pod.name", name.clone()),
            ("k8s.pod.uid", uid),
            ("k8s.container.name", container.to_owned()),
            ("k8s.node.name", node.to_owned()),
            ("container.image.name", "docker.io/inotrail/demo".to_owned()),
            ("service.name", label("app").unwrap_or(name)),
            ("service.namespace", NAMESPACE.to_owned()),
        ]
        .map(|(key, value)| (key.to_owned(), value)),
    );
    if let (Some(kind), Some(workload)) = (label("kind"), label("app")) {
        expected.insert(format!("k8s.{kind}.name"), workload);
    }
    expected
}
