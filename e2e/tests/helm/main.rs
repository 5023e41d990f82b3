//! The chart on a real Kubernetes cluster of two nodes: installed as the README says, searched, upgraded and rolled back under
//! load, short of rights, and gone without a trace. Needs root.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod denied;
mod found;
mod left;
mod load;
mod own;
mod quick_start;
mod roles;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use e2e::cluster::{Cluster, Release, is_ready_pod};
use e2e::{exporter, image, interrupt};
use inotrail::event::Backend;
use serde_json::{Value, json};

const NODES: usize = 2;
/// Where the workloads are.
const NAMESPACE: &str = "shop";
/// All is ready, where images are there.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// The same where a node is emulated.
const EMULATED_WITHIN: Duration = Duration::from_secs(300);
const LIMIT: Duration = Duration::from_secs(120);
/// What kprobe asks for on Debian's kernels.
const FOR_DEBIAN: &str = "exporter.extraCapabilities={SYS_ADMIN}";
/// So long nothing is told of an idle cluster.
const IDLE: Duration = Duration::from_secs(10);

/// Hooks are for other runtimes than this one; that they go again can be seen here too. `/etc` is this system's.
const HOOK: &str =
    "exporter.hook.enabled=true,exporter.hook.hooksDir=/var/lib/hooks.d,exporter.terminationGracePeriodSeconds=45";

/// A pod on every node that runs a shell script.
fn on_every_node(name: &str, script: &str) -> Value {
    let container = json!({
        "name": "app", "image": image::NAME, "imagePullPolicy": "Never", "command": ["/bin/sh", "-c", script],
    });
    json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                // Shells that are the first process of a container do not end when they are told to.
                "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
            },
        },
    })
}

/// Has everything recorded, the release's own pods too, unless they are left out. Returns each node's backend.
fn record_everything(cluster: &Cluster) -> BTreeMap<String, String> {
    let policy = json!({
        "apiVersion": "inotrail.dev/v1alpha1", "kind": "ClusterFileAccessPolicy", "metadata": {"name": "everything"},
        "spec": {"rules": [{"name": "all", "paths": ["/**"]}]},
    });
    cluster.create(policy.clone()).unwrap();
    let nodes = interrupt::wait_for("policy that is in force on every node", LIMIT, || {
        let nodes = cluster.get(&policy)?.data["status"]["nodes"].as_array().cloned().unwrap_or_default();
        let active = nodes.iter().filter(|node| node["state"] == "Active").count();
        Ok((active == NODES).then_some(nodes))
    });
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let backends = nodes.unwrap().iter().map(|node| (text(&node["node"]), text(&node["backend"]))).collect();
    eprintln!("backends: {backends:?}");
    backends
}

fn exporters_are_ready_on_every_node(release: &Release<'_>) {
    let pods = release.pods("exporter").unwrap();
    let nodes: BTreeSet<_> = pods.iter().filter_map(|pod| pod.spec.as_ref()?.node_name.clone()).collect();
    assert!(pods.iter().all(is_ready_pod) && pods.len() == NODES && nodes.len() == NODES, "{}", json!(pods));
}

/// Waits until Loki gets no event any more.
fn idle(release: &Release<'_>, since: SystemTime) {
    let loki = release.loki().unwrap();
    let started = SystemTime::now();
    interrupt::wait_for("an idle cluster without events", LIMIT, || {
        let from = (SystemTime::now() - IDLE).max(since);
        let events = loki.query(r#"{service_name=~".+"} | otel_event_name="inotrail.file.access""#, from)?;
        let is_quiet = events.is_empty() && SystemTime::now() > since + IDLE;
        if let (false, Some(last)) = (is_quiet, events.last())
            && started.elapsed()? + Duration::from_secs(1) > LIMIT
        {
            eprintln!("{} events in {IDLE:?}, the last one: {last:?}", events.len());
        }
        Ok(is_quiet.then_some(()))
    })
    .unwrap();
    eprintln!("idle: no event in {IDLE:?}, {:.1} s after the last workload", since.elapsed().unwrap().as_secs_f32());
}

/// Reads the whole trail, and says what `inotrail verify` says.
fn verify(release: &Release<'_>) -> String {
    let mut command = std::process::Command::new(exporter::binary().unwrap());
    let output = command.args(["verify", "--loki", &release.loki().unwrap().url]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    eprintln!("{said}");
    said
}

/// One cluster at a time: each is to have the machine for itself.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn a_node_with_a_kernel_of_its_own_tells_too() {
    let _alone = alone();
    let mut cluster = Cluster::start(NODES as u8 - 1, None).unwrap();
    cluster.add_machine(&[]).unwrap();
    let release = cluster.for_chart().unwrap();
    release.create_namespace().unwrap();
    release.cluster.create_namespace(NAMESPACE).unwrap();
    let took = release.install(&["--set", FOR_DEBIAN]).unwrap();
    eprintln!("install: ready after {:.1} s", took.as_secs_f32());
    assert!(took < EMULATED_WITHIN, "{took:?}");
    exporters_are_ready_on_every_node(&release);
    let backends = record_everything(release.cluster);
    assert_eq!(backends[&release.cluster.machines[0].name], Backend::Kprobe.as_str());
    found::within_five_seconds(&release);
}

#[test]
fn installed_searched_changed_and_gone() {
    let _alone = alone();
    let mut cluster = Cluster::start(NODES as u8, None).unwrap();
    let release = cluster.for_chart().unwrap();
    let cluster = release.cluster;
    cluster.create_namespace(NAMESPACE).unwrap();
    let before = left::Traces::of(cluster);

    quick_start::shows_what_the_readme_shows(&release);
    quick_start::ends(&release);
    before.nothing_but(&[&left::NAMESPACE, &left::CLAIMS, &left::DEFINITIONS], cluster);

    let since = SystemTime::now();
    let took = release.install(&["--set", HOOK]).unwrap();
    eprintln!("install: ready after {:.1} s", took.as_secs_f32());
    exporters_are_ready_on_every_node(&release);
    record_everything(cluster);
    found::within_five_seconds(&release);
    roles::make_use_of_all(&release);
    load::survives_upgrade_and_rollback(&release);
    roles::all_are_used(&release);
    idle(&release, SystemTime::now());
    assert!(verify(&release).contains("complete"));

    let while_it_runs = left::Traces::of(cluster);
    while_it_runs.has_all();
    release.upgrade(&["--set", "cleanup.enabled=true"]).unwrap();
    // Each run has ended as it should, and said how many records it made.
    let said = verify(&release);
    assert!(!said.contains("so far"), "{said}");
    own::makes_no_records(&release, since);
    release.uninstall().unwrap();
    before.nothing_but(&[&left::NAMESPACE, &left::CLAIMS, &left::DEFINITIONS, &left::POLICIES], cluster);

    // What ends with its exporter takes no other step.
    let since = SystemTime::now();
    let took_again = release.install(&["--set", "crds.keep=false,exporter.pin.enabled=false"]).unwrap();
    exporters_are_ready_on_every_node(&release);
    roles::make_use_of_all(&release);
    own::makes_no_records(&release, since);
    denied::each_verb_is_missed(&release);
    release.uninstall().unwrap();
    before.nothing_but(&[&left::NAMESPACE, &left::CLAIMS], cluster);
    assert!(took < READY_WITHIN && took_again < READY_WITHIN, "ready after {took:?} and {took_again:?}");
}
