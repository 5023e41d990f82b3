//! Policies as resources of a real Kubernetes cluster: what they are about is told, and nothing else. Needs root.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod collected;
mod decoys;
mod refused;
mod rules;
mod status;
mod tenants;

use std::process::Command;
use std::thread;
use std::time::Duration;

use collected::Collected;
use e2e::cluster::Cluster;
use e2e::exporter::{self, Attributes, Trace};
use e2e::{image, interrupt};
use inotrail::policy::crd;
use serde_json::{Value, json};

/// Two tenants.
const NAMESPACES: [&str; 2] = ["shop", "bank"];
/// What every container opens, over and over.
const FILES: [&str; 3] = ["/etc/passwd", "/etc/group", "/tmp/tick"];
const TICK: &str = "while :; do read x < /etc/passwd; read x < /etc/group; : > /tmp/tick; usleep 20000; done";
/// How long nothing may be told where nothing is expected.
const QUIET: Duration = Duration::from_secs(1);
/// How often it is looked again until what is told is what is expected.
const BUSY: usize = 5;
const LIMIT: Duration = Duration::from_secs(60);

struct Bench {
    /// `None`: what is told is read from [`Self::trace`].
    collected: Option<Collected>,
    trace: Trace,
    state: tempfile::TempDir,
    cluster: Cluster,
}

impl Bench {
    fn start() -> Self {
        let cluster = Cluster::start(1, None).unwrap();
        for definition in definitions() {
            cluster.create(definition).unwrap();
        }
        for namespace in NAMESPACES {
            cluster.create_namespace(namespace).unwrap();
            cluster.create(pod(namespace, "app", "web", TICK)).unwrap();
        }
        for namespace in NAMESPACES {
            cluster.ready_pod(namespace, "app").unwrap();
        }
        let state = tempfile::tempdir().unwrap();
        let trace = trace(&cluster, &state);
        Self { collected: None, trace, state, cluster }
    }

    /// Waits until the API server knows the resource.
    fn create(&self, policy: &Value) {
        interrupt::wait_for("resource definition", LIMIT, || Ok(self.cluster.create(policy.clone()).ok())).unwrap();
    }

    fn seen(&self) -> usize {
        self.trace.look(<[_]>::len)
    }

    /// Waits until what is told has settled, and returns which of [`FILES`] of which namespaces are told from then on.
    fn told(&self) -> Vec<(String, String)> {
        thread::sleep(QUIET);
        let mut told = self.collected.as_ref().map_or_else(|| self.traced(), Collected::told);
        told.sort();
        told.dedup();
        told
    }

    fn traced(&self) -> Vec<(String, String)> {
        let start = self.seen();
        thread::sleep(QUIET);
        self.trace.look(|events| events[start..].iter().map(whose).collect())
    }

    #[track_caller]
    fn check(&self, expected: &[(&str, &str)]) {
        let mut expected: Vec<_> = expected.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        expected.sort();
        // How soon a change is in force is measured elsewhere: here the machine may be busy.
        let mut told = self.told();
        for _ in 0..BUSY {
            if told == expected {
                return;
            }
            eprintln!("{}: not yet as expected, but {told:?}", std::panic::Location::caller());
            told = self.told();
        }
        assert_eq!(told, expected);
    }

    fn delete(&self, policy: &Value) {
        self.cluster.delete(policy).unwrap();
    }
}

/// What `inotrail crd` prints, as `kubectl apply` reads it.
fn definitions() -> Vec<Value> {
    let output = Command::new(exporter::binary().unwrap()).arg("crd").output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    text.split("---\n").filter(|part| !part.is_empty()).map(|part| serde_saphyr::from_str(part).unwrap()).collect()
}

fn trace(cluster: &Cluster, state: &tempfile::TempDir) -> Trace {
    let node = &cluster.nodes[0];
    let arguments = node.arguments(&cluster.api.kubeconfig);
    let (runtime, state) = (node.containerd.socket.to_string_lossy(), state.path().to_string_lossy());
    let more = ["--runtime-socket", &*runtime, "--kubernetes-policies", "--decoys", "--state", &*state];
    let arguments: Vec<_> = arguments.iter().map(String::as_str).chain(more).collect();
    let trace = Trace::start(&arguments).unwrap();
    trace.wait_for_log("watching by", 1).unwrap();
    trace
}

fn pod(namespace: &str, name: &str, label: &str, script: &str) -> Value {
    let container = json!({
        "name": "app", "image": image::NAME, "imagePullPolicy": "Never", "command": ["/bin/sh", "-c", script],
    });
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": label}},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
    })
}

fn rule(paths: &[&str]) -> Value {
    json!({"name": "files", "paths": paths})
}

/// A tenant's.
fn policy(namespace: &str, name: &str, spec: Value) -> Value {
    let metadata = json!({"name": name, "namespace": namespace});
    let mut policy = json!({"apiVersion": crd::API_VERSION, "kind": "FileAccessPolicy", "metadata": metadata});
    policy["spec"] = spec;
    policy
}

fn cluster_policy(name: &str, spec: Value) -> Value {
    let metadata = json!({"name": name});
    let mut policy = json!({"apiVersion": crd::API_VERSION, "kind": "ClusterFileAccessPolicy", "metadata": metadata});
    policy["spec"] = spec;
    policy
}

/// Namespace and path; other programs' paths are left as they are.
fn whose(event: &Attributes) -> (String, String) {
    let text = |key: &str| event.get(key).and_then(Value::as_str).unwrap_or("-").to_owned();
    (text("k8s.namespace.name"), text("file.path"))
}

#[test]
fn what_policies_are_about_is_told_and_nothing_else() {
    let mut bench = Bench::start();
    bench.check(&[]);
    bench.collected = Some(Collected::start(&bench));
    rules::one_tenant(&bench);
    rules::labels(&bench);
    rules::processes_of_before(&bench);
    rules::the_whole_cluster(&bench);
    bench.collected = None;
    refused::what_is_wrong_is_refused(&bench);
    tenants::tenants_reach_their_own_namespace_alone(&bench);
    decoys::decoys_are_made_and_taken_out(&bench);
    status::nodes_say_what_becomes_of_policies(&bench);
    status::the_server_goes_away(bench);
}
