//! What a release leaves: objects in the API, and files, hooks and pinned programs on the nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use e2e::cluster::{Cluster, Node};
use e2e::interrupt;
use kube::Api;
use kube::api::{DynamicObject, ListParams};
use kube::discovery::{Discovery, verbs};

/// Objects that go with what is gone.
const COLLECTED: Duration = Duration::from_secs(60);
/// Where hosts' paths are, of the chart and of whatever else.
const FOLDERS: [&str; 5] = ["/sys/fs/bpf", "/etc/containers", "/var/lib", "/run", "/opt"];
/// Of the kubelet, of containerd, and the volumes that the release was given.
const OTHERS: [&str; 5] = ["/var/lib/kubelet", "/var/lib/cni", "/var/lib/volumes", "/run/containerd", "/run/netns"];
const FILES: [&str; 5] = ["!", "-type", "d", "-o", "-path"];
const PINS: &str = "/sys/fs/bpf/*";
/// Kinds that the cluster itself makes and forgets.
const PASSING: [&str; 2] = ["Event", "Lease"];
/// What the README says that stays: claims, with what is on them, and what was not sent.
pub(super) const CLAIMS: [&str; 2] = [
    "PersistentVolumeClaim/inotrail/data-inotrail-loki-0",
    "PersistentVolumeClaim/inotrail/queue-inotrail-collector-0",
];
/// The namespace, which is whoever's who has made it, with what controllers put into each.
pub(super) const NAMESPACE: [&str; 3] =
    ["ConfigMap/inotrail/kube-root-ca.crt", "Namespace//inotrail", "ServiceAccount/inotrail/default"];
/// With `crds.keep`, the definitions of policies. The API server makes the first one of them.
pub(super) const DEFINITIONS: [&str; 3] = [
    "APIService//v1alpha1.inotrail.dev",
    "CustomResourceDefinition//clusterfileaccesspolicies.inotrail.dev",
    "CustomResourceDefinition//fileaccesspolicies.inotrail.dev",
];
/// And with them all policies.
pub(super) const POLICIES: [&str; 1] = ["ClusterFileAccessPolicy//everything"];
const STATE: &str = "/var/lib/inotrail";

/// What is there now.
pub(super) struct Traces {
    objects: BTreeSet<String>,
    /// By node.
    files: BTreeMap<String, BTreeSet<String>>,
}

impl Traces {
    pub(super) fn of(cluster: &Cluster) -> Self {
        let files = cluster.nodes.iter().map(|node| (node.name.clone(), files(node))).collect();
        Self { objects: objects(cluster), files }
    }

    /// There is something to remove: a release that is not there leaves nothing either.
    pub(super) fn has_all(&self) {
        assert!(self.objects.contains("DaemonSet/inotrail/inotrail"), "{:?}", self.objects);
        for (node, files) in &self.files {
            for part in ["/sys/fs/bpf/inotrail/", "/var/lib/hooks.d/", "/run/inotrail/", "/var/lib/inotrail/"] {
                assert!(files.iter().any(|file| file.starts_with(part)), "nothing in {part} on {node}: {files:?}");
            }
        }
    }

    /// Compares with what was there before the release: nothing more is there but objects that are to stay.
    pub(super) fn nothing_but(&self, stays: &[&[&str]], cluster: &Cluster) {
        let stays: BTreeSet<_> = stays.concat().into_iter().map(str::to_owned).collect();
        let left = || &objects(cluster) - &self.objects;
        let collected = || Ok((left().len() <= stays.len()).then_some(()));
        let waited = interrupt::wait_for("end of the release's objects", COLLECTED, collected);
        assert!(waited.is_ok(), "{:?}", left());
        assert_eq!(left(), stays);
        for node in &cluster.nodes {
            let now = files(node);
            let left: Vec<_> =
                now.difference(&self.files[&node.name]).filter(|path| !path.starts_with(STATE)).collect();
            assert!(left.is_empty(), "on {}: {left:?}", node.name);
            let state: Vec<_> = now.iter().filter(|path| path.starts_with(STATE)).collect();
            eprintln!("{} keeps {state:?}", node.name);
        }
    }
}

/// All objects of all kinds: `kind/namespace/name`.
fn objects(cluster: &Cluster) -> BTreeSet<String> {
    let client = cluster.api.client.clone();
    cluster.call(async {
        let discovery = Discovery::new(client.clone()).run().await.unwrap();
        let mut found = BTreeSet::new();
        for (resource, capabilities) in discovery.groups().flat_map(kube::discovery::ApiGroup::recommended_resources) {
            if PASSING.contains(&&*resource.kind) || !capabilities.supports_operation(verbs::LIST) {
                continue;
            }
            let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
            for object in api.list(&ListParams::default()).await.unwrap().items {
                let of = object.metadata;
                let (namespace, name) = (of.namespace.unwrap_or_default(), of.name.unwrap_or_default());
                found.insert(format!("{}/{namespace}/{name}", resource.kind));
            }
        }
        found
    })
}

/// What a node has where the chart has something. Folders that a kubelet has made for a pod are nobody's to remove, but for those
/// that hold pinned programs.
fn files(node: &Node) -> BTreeSet<String> {
    let output = node.place().command("find").args(FOLDERS).args(FILES).arg(PINS).output().unwrap();
    let paths = String::from_utf8_lossy(&output.stdout).into_owned();
    let own = |path: &&str| !OTHERS.iter().any(|other| path.starts_with(other));
    paths.lines().filter(own).map(str::to_owned).collect()
}
