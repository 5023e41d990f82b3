//! Names of pods in a real Kubernetes cluster, by containerd and the API, and by the API alone. Needs root.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod truth;
mod workloads;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use e2e::churn::{Accounts, By, account_in};
use e2e::cluster::{Cluster, Watcher, containers};
use e2e::exporter::Trace;
use e2e::interrupt;
use e2e::kubernetes::Lag;
use inotrail::event::Backend;
use jiff::Timestamp;
use serde_json::json;

use truth::Truth;
use workloads::{NAMESPACE, TICK, container, pod};

/// From an access to its event's line, also of a container that nobody knew: by containerd, and by the API alone, which a kubelet tells of containers
/// when it comes to it.
const OUT_WITHIN: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(11)];
/// What events wait for their names.
const RESOLVED_WITHIN: &str = "10s";
/// The same where names do not come: what `--resolve-timeout` is by default, and a busy machine.
const LATE_WITHIN: [Duration; 2] = [Duration::from_secs(3); 2];
const BY_DEFAULT: &str = "2s";
/// Whom the two exporters ask.
const BY: [&str; 2] = ["containerd and API", "API alone"];
const NONE_LATE: [bool; 2] = [false, false];
const LIMIT: Duration = Duration::from_secs(300);
/// By which the API server's answers are late.
const LAG: Duration = Duration::from_secs(10);
/// Bare cgroups and pods that come and go on a node in a machine; `e2e churn --by vm` makes more.
const BARE: usize = 50;
const PODS: usize = 3;

/// One cluster at a time: each is to have the machine for itself.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A cluster of one node, and two exporters that watch it.
struct Bench {
    /// Asks containerd and the API; and the API alone.
    by: [Trace; 2],
    truth: Truth,
    cluster: Cluster,
}

impl Bench {
    fn start() -> Self {
        let cluster = Cluster::start(1, None).unwrap();
        cluster.create_namespace(NAMESPACE).unwrap();
        let by = traces(&cluster, &cluster.api.kubeconfig, RESOLVED_WITHIN);
        Self { by, truth: Truth::default(), cluster }
    }

    fn note(&mut self) {
        let node = &self.cluster.nodes[0];
        self.truth.note(&self.cluster, &node.name, Some(&node.containerd));
    }

    /// Waits until both have told of every container that is known, from now on.
    fn told_of_all(&self) {
        for trace in &self.by {
            let seen = trace.look(<[_]>::len);
            let told = || Ok(trace.look(|events| self.truth.running_in(&events[seen..])).then_some(()));
            interrupt::wait_for("events of every container", LIMIT, told).unwrap();
        }
    }

    /// Makes a pod, whose first event both must tell in time.
    fn tell_of_new(&self, name: &str, within: [Duration; 2]) {
        let script = format!(": > /tmp/{name}; {TICK}");
        let new =
            self.cluster.create(pod(name, &json!({"spec": {"containers": [container("app", &script)]}}))).unwrap();
        let (path, uid) = (format!("/tmp/{name}"), new.metadata.uid.unwrap());
        for ((trace, by), within) in self.by.iter().zip(BY).zip(within) {
            let event = trace.wait_for_event(&[("file.path", &path), ("k8s.pod.uid", &uid)]).unwrap();
            let time: Timestamp = event["time"].as_str().unwrap().parse().unwrap();
            let late = Duration::try_from(Timestamp::now().duration_since(time)).unwrap();
            eprintln!("{by}: the first event of {name} is out {late:?} after its access");
            assert!(late < within, "{by}: {late:?}");
        }
    }

    /// Ends both exporters and compares. `late`: whose names may come when the first events are out, because the kubelet or
    /// the API is slow.
    fn judge(&mut self, late: [bool; 2]) {
        self.note();
        for ((trace, by), late) in self.by.iter_mut().zip(BY).zip(late) {
            // What waits for its name when an exporter ends goes out without.
            let told = || Ok(trace.look(|events| self.truth.all_in(events)).then_some(()));
            interrupt::wait_for("events of every container", LIMIT, told).unwrap();
            trace.daemon.stop();
            trace.look(|events| self.truth.judge(by, events, late));
        }
    }

    /// Compares, and starts two exporters that know nothing.
    fn restart_exporters(&mut self) {
        self.judge(NONE_LATE);
        self.truth.watched_anew();
        self.by = traces(&self.cluster, &self.cluster.api.kubeconfig, RESOLVED_WITHIN);
    }
}

/// In the order of [`BY`].
fn traces(cluster: &Cluster, kubeconfig: &Path, resolved_within: &str) -> [Trace; 2] {
    let node = &cluster.nodes[0];
    let runtime = node.containerd.socket.to_string_lossy();
    [["--runtime-socket", &*runtime], ["--runtime", "none"]].map(|by| {
        let arguments = node.arguments(kubeconfig);
        let by = by.into_iter().chain(["--resolve-timeout", resolved_within]);
        let arguments: Vec<_> = arguments.iter().map(String::as_str).chain(by).collect();
        let trace = Trace::start(&arguments).unwrap();
        trace.wait_for_log("watching by", 1).unwrap();
        trace
    })
}

/// Returns when all are ready.
fn start_every_kind(cluster: &Cluster) {
    let script = format!("echo started; {TICK}");
    let by_digest = cluster.nodes[0].containerd.image_by_digest().unwrap();
    cluster.create(workloads::deployment("web", 2)).unwrap();
    cluster.create(workloads::stateful_set("db", 1)).unwrap();
    cluster
        .create(pod(
            "digest",
            &json!({"spec": {"containers": [
                {"name": "app", "image": by_digest, "imagePullPolicy": "Never", "command": ["/bin/sh", "-c", script]},
            ]}}),
        ))
        .unwrap();
    let manifest = pod("static", &json!({"spec": {"containers": [container("app", TICK)]}}));
    std::fs::write(cluster.nodes[0].manifests().join("static.json"), manifest.to_string()).unwrap();
    cluster.ready_pods(NAMESPACE, "app=web", 2).unwrap();
    cluster.ready_pods(NAMESPACE, "app=db", 1).unwrap();
    cluster.ready_pod(NAMESPACE, "digest").unwrap();
    cluster.ready_pod(NAMESPACE, "static-node-1").unwrap();
    cluster.add_ephemeral(NAMESPACE, "digest", &container("debug", TICK)).unwrap();
    let debug = cluster.wait_for_pod(NAMESPACE, "digest", "debugged", |pod| containers(pod).len() == 2);
    let (_, id) = containers(&debug.unwrap()).pop().unwrap();
    assert!(!cluster.nodes[0].containerd.pids(&id).unwrap().is_empty(), "processes of {id}");
    assert_eq!(cluster.logs(NAMESPACE, "digest", "app").unwrap(), "started\n");
}

#[test]
fn every_event_of_every_kind_of_pod_has_its_names() {
    let _alone = alone();
    let mut bench = Bench::start();
    start_every_kind(&bench.cluster);
    bench.note();
    bench.told_of_all();

    // A pod of the same name is another pod.
    let cluster = &bench.cluster;
    let first = cluster.ready_pod(NAMESPACE, "db-0").unwrap().metadata.uid.unwrap();
    cluster.delete_pod(NAMESPACE, "db-0").unwrap();
    let other = |pod: &k8s_openapi::api::core::v1::Pod| {
        pod.metadata.uid.as_ref() != Some(&first) && e2e::cluster::is_ready_pod(pod)
    };
    let second = cluster.wait_for_pod(NAMESPACE, "db-0", "made again", other).unwrap().metadata.uid.unwrap();
    for trace in &bench.by {
        trace.wait_for_event(&[("file.path", "/tmp/tick"), ("k8s.pod.uid", &second)]).unwrap();
    }

    for number in 0..5 {
        bench.tell_of_new(&format!("new-{number}"), OUT_WITHIN);
    }
    bench.judge(NONE_LATE);
}

#[test]
fn names_come_back_after_restarts() {
    let _alone = alone();
    let mut bench = Bench::start();
    bench.cluster.create(workloads::deployment("web", 2)).unwrap();
    bench.cluster.ready_pods(NAMESPACE, "app=web", 2).unwrap();
    bench.note();
    bench.told_of_all();

    bench.cluster.nodes[0].containerd.restart().unwrap();
    bench.told_of_all();
    bench.tell_of_new("after-containerd", OUT_WITHIN);

    bench.cluster.api.daemon = None;
    bench.told_of_all();
    bench.cluster.api.run().unwrap();
    bench.tell_of_new("after-api", OUT_WITHIN);

    bench.restart_exporters();
    bench.told_of_all();
    bench.tell_of_new("after-exporter", OUT_WITHIN);
    bench.judge(NONE_LATE);
}

#[test]
fn thirty_pods_are_made_again_at_once() {
    let _alone = alone();
    let mut bench = Bench::start();
    let spec = json!({"containers": [container("app", TICK)]});
    bench.cluster.create(workloads::workload("Deployment", "tiny", 30, &spec)).unwrap();
    let ready = |bench: &mut Bench| {
        bench.cluster.ready_pods(NAMESPACE, "app=tiny", 30).unwrap();
        bench.note();
        bench.told_of_all();
    };
    ready(&mut bench);
    bench.cluster.delete_pods(NAMESPACE, "app=tiny").unwrap();
    ready(&mut bench);
    bench.judge([false, true]);
}

#[test]
fn a_late_api_makes_names_late_and_none_wrong() {
    let _alone = alone();
    let mut bench = Bench::start();
    let lag = Lag::before(&bench.cluster.api).unwrap();
    bench.by = traces(&bench.cluster, &lag.kubeconfig, BY_DEFAULT);
    bench.tell_of_new("early", LATE_WITHIN);
    lag.set(LAG);
    for number in 0..3 {
        bench.tell_of_new(&format!("late-{number}"), LATE_WITHIN);
    }
    bench.cluster.create(workloads::deployment("web", 1)).unwrap();
    bench.cluster.ready_pods(NAMESPACE, "app=web", 1).unwrap();
    bench.note();
    for (trace, by) in bench.by.iter().zip(BY) {
        let told = || Ok(trace.look(|events| bench.truth.all_told_right(events)).then_some(()));
        interrupt::wait_for(&format!("names of every container by {by}"), LIMIT, told).unwrap();
    }
    bench.judge([true, true]);
}

#[test]
fn another_kernel_tells_the_same() {
    let _alone = alone();
    let mut cluster = Cluster::start(0, None).unwrap();
    let by = [true, false].map(|asks_runtime| Watcher { backend: Backend::Kprobe, asks_runtime });
    cluster.add_machine(&by).unwrap();
    cluster.create_namespace(NAMESPACE).unwrap();
    let spec = json!({
        "initContainers": [container("init", ": > /tmp/init")], "containers": [container("app", TICK)],
    });
    cluster.create(workloads::workload("Deployment", "web", 1, &spec)).unwrap();
    cluster.ready_pods(NAMESPACE, "app=web", 1).unwrap();
    cluster.create(workloads::stateful_set("db", 1)).unwrap();
    cluster.ready_pods(NAMESPACE, "app=db", 1).unwrap();
    let (machine, mut truth) = (&cluster.machines[0], Truth::default());
    truth.note(&cluster, &machine.name, None);
    for (watcher, events) in &machine.exporters {
        let told = || Ok(events.look(|events| truth.running_in(events)).then_some(()));
        interrupt::wait_for("events of every container", LIMIT, told).unwrap();
        events.look(|events| truth.judge(&watcher.name(), events, false));
    }
    let Accounts { bare, pods } = account_in(&cluster, BARE, PODS).unwrap();
    eprintln!("bare cgroups: {bare}\npods: {pods}");
    bare.check(By::Vm).unwrap();
    pods.check(By::Vm).unwrap();
}
