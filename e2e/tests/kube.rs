//! What the Kubernetes API tells of pods, by a real API server. There is no kubelet: the test writes what one would. Needs root.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use e2e::containerd::{Containerd, Pods, Sandbox};
use e2e::exporter::{Attributes, Trace};
use e2e::kubernetes::ApiServer;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

const NODE: &str = "node-1";
const NAMESPACE: &str = "shop";

/// The API server, with what a test makes there.
struct Cluster(ApiServer);

impl Cluster {
    fn start() -> Self {
        let this = Self(ApiServer::start().unwrap());
        this.namespace(NAMESPACE);
        this
    }

    fn namespace(&self, name: &str) {
        let namespaces: Api<Namespace> = Api::all(self.0.client.clone());
        let namespace = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
        self.0.runtime.block_on(namespaces.create(&PostParams::default(), &namespace)).unwrap();
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.0.client.clone(), NAMESPACE)
    }

    /// A pod of this node; returns its uid. `metadata` is added.
    fn pod(&self, name: &str, metadata: &Value) -> String {
        self.pod_of(NAMESPACE, "default", name, metadata)
    }

    /// The same in another namespace, or of another account.
    fn pod_of(&self, namespace: &str, account: &str, name: &str, metadata: &Value) -> String {
        let container = json!({"name": "app", "image": "docker.io/inotrail/demo:1"});
        let spec = json!({"nodeName": NODE, "serviceAccountName": account, "containers": [container]});
        let mut pod = json!({"metadata": metadata, "spec": spec});
        pod["metadata"]["name"] = name.into();
        let pod: Pod = serde_json::from_value(pod).unwrap();
        let pods = Api::namespaced(self.0.client.clone(), namespace);
        self.0.runtime.block_on(pods.create(&PostParams::default(), &pod)).unwrap().uid().unwrap()
    }

    /// Reports the pod's container, as a kubelet does when it runs.
    fn report(&self, name: &str, container: &str) {
        let status = json!({"status": {"phase": "Running", "containerStatuses": [{
            "name": "app", "containerID": format!("containerd://{container}"), "image": "docker.io/inotrail/demo:1",
            "imageID": "", "ready": true, "restartCount": 0, "state": {"running": {}},
        }]}});
        let patch = Patch::Merge(status);
        self.0.runtime.block_on(self.pods().patch_status(name, &PatchParams::default(), &patch)).unwrap();
    }

    fn delete(&self, name: &str) {
        let at_once = DeleteParams::default().grace_period(0);
        self.0.runtime.block_on(self.pods().delete(name, &at_once)).unwrap().left().unwrap();
    }

    fn job(&self, name: &str, cron_job: &str) -> Value {
        let jobs: Api<Job> = Api::namespaced(self.0.client.clone(), NAMESPACE);
        let template = json!({"spec": {"restartPolicy": "Never", "containers": [{"name": "app", "image": "x"}]}});
        let job = json!({
            "metadata": {"name": name, "ownerReferences": [owner("batch/v1", "CronJob", cron_job, "cron")]},
            "spec": {"template": template},
        });
        let job = serde_json::from_value(job).unwrap();
        let job = self.0.runtime.block_on(jobs.create(&PostParams::default(), &job)).unwrap();
        owner("batch/v1", "Job", name, &job.uid().unwrap())
    }
}

fn owner(version: &str, kind: &str, name: &str, uid: &str) -> Value {
    json!({"apiVersion": version, "kind": kind, "name": name, "uid": uid, "controller": true})
}

/// Starts `inotrail trace` that asks the API server, and nobody else.
fn trace(cluster: &Cluster, containerd: &Containerd, arguments: &[&str]) -> Trace {
    let (kubeconfig, cgroup) = (cluster.0.kubeconfig.to_string_lossy(), containerd.cgroup().to_string_lossy());
    let asks = ["--runtime", "none", "--kubeconfig", &kubeconfig, "--node-name", NODE];
    let trace =
        Trace::start(&[&asks[..], &["--cgroup-root", &cgroup, "--path", "/tmp/*"], arguments].concat()).unwrap();
    trace.wait_for_log("watching by", 1).unwrap();
    trace
}

/// A container that makes one file, and another one when the first is removed; returns its id.
fn start(sandbox: &Sandbox<'_>, pods: &Pods<'_>) -> String {
    let script = ": > /tmp/first; while :; do sleep 0.2; : > /tmp/later; rm /tmp/later; done";
    let id = sandbox.container("app", &["/bin/sh", "-c", script]).unwrap();
    pods.start(&id).unwrap();
    id
}

#[track_caller]
fn check(trace: &Trace, id: &str, path: &str, expected: &[(&str, &str)]) -> Attributes {
    let own = [("container.id", id), ("file.path", path), ("k8s.namespace.name", NAMESPACE), ("k8s.node.name", NODE)];
    trace.wait_for_event(&[&own[..], expected].concat()).unwrap()
}

#[test]
fn pods_have_workloads_and_names() {
    let mut cluster = Cluster::start();
    let containerd = Containerd::with_cri(None).unwrap();
    let pods = Pods::new(&containerd).unwrap();
    // One that is there before the exporter, of a deployment.
    let replica_set = owner("apps/v1", "ReplicaSet", "web-7d4b9c", "u");
    let web = json!({"ownerReferences": [replica_set], "labels": {"pod-template-hash": "7d4b9c"}});
    let uid = cluster.pod("web-7d4b9c-x", &web);
    let sandbox = pods.pod(NAMESPACE, "web-7d4b9c-x", &uid).unwrap();
    let id = start(&sandbox, &pods);
    cluster.report("web-7d4b9c-x", &id);
    let trace = trace(&cluster, &containerd, &[]);
    let expected = [
        ("k8s.pod.name", "web-7d4b9c-x"),
        ("k8s.pod.uid", &uid),
        ("k8s.container.name", "app"),
        ("k8s.deployment.name", "web"),
        ("service.name", "web"),
        ("container.image.name", "docker.io/inotrail/demo"),
    ];
    check(&trace, &id, "/tmp/later", &expected);

    // One of a cron job's job, whose container is reported when its first event is out already.
    let job = cluster.job("backup-29", "backup");
    let uid = cluster.pod("backup-29-x", &json!({"ownerReferences": [job]}));
    let sandbox = pods.pod(NAMESPACE, "backup-29-x", &uid).unwrap();
    let id = start(&sandbox, &pods);
    let pod = [("k8s.pod.uid", &*uid), ("k8s.cronjob.name", "backup"), ("k8s.job.name", "backup-29")];
    let first = check(&trace, &id, "/tmp/first", &pod);
    assert_eq!(first["inotrail.resource.unresolved"], true, "{first:?}");
    cluster.report("backup-29-x", &id);
    let named = [&pod[..], &[("k8s.container.name", "app"), ("service.name", "backup")]].concat();
    let later = check(&trace, &id, "/tmp/later", &named);
    assert!(!later.contains_key("inotrail.resource.unresolved"), "{later:?}");

    // A static pod: its cgroup carries the hash of its file.
    let hash = "0123456789abcdef0123456789abcdef";
    let uid = cluster.pod("static-node-1", &json!({"annotations": {"kubernetes.io/config.hash": hash}}));
    let sandbox = pods.pod(NAMESPACE, "static-node-1", hash).unwrap();
    let id = start(&sandbox, &pods);
    cluster.report("static-node-1", &id);
    check(&trace, &id, "/tmp/later", &[("k8s.pod.uid", &uid), ("k8s.container.name", "app")]);

    // The API server goes away and comes back: what is known stays, and what is new is told again.
    cluster.0.daemon = None;
    let seen = trace.events().len();
    let still_named = |event: &Attributes| event["container.id"] == *id && event.contains_key("k8s.container.name");
    e2e::interrupt::wait_for("events without an API server", std::time::Duration::from_secs(30), || {
        Ok(trace.events()[seen..].iter().filter(|event| still_named(event)).nth(3).map(|_| ()))
    })
    .unwrap();
    cluster.0.run().unwrap();
    // It asks again after a pause that grows: pods that are made before are told late.
    trace.wait_for_log("the Kubernetes API tells of pods again", 1).unwrap();

    // A pod is deleted, and made again with the same name.
    cluster.delete("web-7d4b9c-x");
    let again = cluster.pod("web-7d4b9c-x", &web);
    let sandbox = pods.pod(NAMESPACE, "web-7d4b9c-x", &again).unwrap();
    let id = start(&sandbox, &pods);
    cluster.report("web-7d4b9c-x", &id);
    check(
        &trace,
        &id,
        "/tmp/later",
        &[("k8s.pod.uid", &again), ("k8s.container.name", "app"), ("service.name", "web")],
    );
    let wrong =
        |event: &&Attributes| event["container.id"] == *id && event.get("k8s.pod.uid") != Some(&Value::from(&*again));
    assert_eq!(trace.events().iter().find(wrong), None);
}

/// Somebody who wants to be left out too can give his pod the same name, labels and image, and an account of the same name.
#[test]
fn pods_of_an_account_are_left_out_and_no_others() {
    let cluster = Cluster::start();
    cluster.namespace("audit");
    let containerd = Containerd::with_cri(None).unwrap();
    let pods = Pods::new(&containerd).unwrap();
    let metadata = json!({"labels": {"app.kubernetes.io/name": "inotrail", "app.kubernetes.io/component": "loki"}});
    let who = [("audit", "loki", "loki-0"), ("audit", "default", "loki-1"), (NAMESPACE, "loki", "loki-0")];
    let started = who.map(|(namespace, account, name)| {
        let uid = cluster.pod_of(namespace, account, name, &metadata);
        (uid.clone(), pods.pod(namespace, name, &uid).unwrap())
    });
    let [own, others @ ..] = started.each_ref().map(|(_, sandbox)| start(sandbox, &pods));
    // One that starts when it is watched already.
    let trace = trace(&cluster, &containerd, &["--exclude-account", "audit/loki"]);
    let uid = cluster.pod_of("audit", "loki", "loki-2", &metadata);
    let late = pods.pod("audit", "loki-2", &uid).unwrap();
    let late = start(&late, &pods);
    for ((id, (uid, _)), (namespace, ..)) in others.iter().zip(&started[1..]).zip(&who[1..]) {
        let expected = [("container.id", &**id), ("k8s.pod.uid", uid), ("k8s.namespace.name", namespace)];
        trace.wait_for_event(&[&expected[..], &[("file.path", "/tmp/later")]].concat()).unwrap();
    }
    // The others made as many files as these meanwhile.
    let seen = trace.events().len();
    e2e::interrupt::wait_for("more events of the others", std::time::Duration::from_secs(60), || {
        let of = |id: &String| trace.events()[seen..].iter().filter(|event| event["container.id"] == *id).count();
        Ok(others.iter().all(|id| of(id) >= 8).then_some(()))
    })
    .unwrap();
    let told: Vec<_> = trace
        .events()
        .into_iter()
        .filter(|event| [&own, &late].iter().any(|id| event["container.id"] == **id))
        .collect();
    assert!(told.is_empty(), "{told:?}");
}
