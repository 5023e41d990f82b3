//! Churn on a node whose kernel takes kprobes, in a machine: pods of one container, and cgroups without a runtime.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use inotrail::event::Backend;
use kube::api::ListParams;
use serde_json::{Value, json};

use super::{Account, LIFE};
use crate::cluster::{Cluster, Watcher, containers};
use crate::exporter::{Attributes, Events};
use crate::{image, interrupt};

/// Where the pods are.
const NAMESPACE: &str = "churn";
/// Pods at once: a machine of two emulated CPUs starts one in some seconds.
const AT_ONCE: usize = 4;
/// Time for each of them, and for everything else.
const EACH: Duration = Duration::from_secs(30);
/// Makes cgroups that are named like containers below `$0`; in each of them, `$1` in all, a process that enters it before
/// it starts a program, and then removes the cgroup. The kubelet makes one `$` of two.
const BARE: &str = r#"
set -e
number=0
while [ $number -lt $1 ]; do
    number=$((number + 1))
    cgroup=$0/$(printf %064x $number)
    mkdir $cgroup
    sh -c 'echo $$$$ > "$0/cgroup.procs" && exec /bin/busybox touch "$1"' $cgroup /tmp/churn-$number
    rmdir $cgroup
done
"#;

/// What was told of each kind, in the order in which they are started.
#[derive(Debug)]
pub struct Accounts {
    /// Cgroups that no runtime knows.
    pub bare: Account,
    /// Pods' containers.
    pub pods: Account,
}

/// Starts a cluster whose only node is a machine, and so many of both kinds.
///
/// # Errors
/// A program is missing, or does not do what it is started for.
pub(super) fn account(bare: usize, pods: usize) -> Result<Accounts> {
    let mut cluster = Cluster::start(0, None)?;
    cluster.add_machine(&[Watcher { backend: Backend::Kprobe, asks_runtime: true }])?;
    account_in(&cluster, bare, pods)
}

/// Starts them on the machine that a cluster has, and compares what its first exporter tells with what was done.
///
/// # Errors
/// See [`account`].
pub fn account_in(cluster: &Cluster, bare: usize, pods: usize) -> Result<Accounts> {
    let machine = cluster.machines.first().context("no machine")?;
    let (_, events) = machine.exporters.first().context("no exporter")?;
    cluster.create_namespace(NAMESPACE)?;
    run_to_end(cluster, "bare", 1, bare_cgroups(&machine.pods, bare))?;
    eprintln!("{bare} of {bare} bare cgroups");
    let script = format!(": > /tmp/$HOSTNAME; sleep {LIFE}");
    let containers = run_to_end(cluster, "churn", pods, json!({"command": ["/bin/sh", "-c", script]}))?;
    let cgroups = (1..=bare).map(|number| (format!("churn-{number}"), format!("{number:064x}"))).collect();
    Ok(Accounts {
        bare: compare(events, &cgroups, "k8s.container.name")?,
        pods: compare(events, &containers, "k8s.pod.name")?,
    })
}

/// A container that makes them, which takes the node's own cgroups.
fn bare_cgroups(pods: &str, count: usize) -> Value {
    json!({
        "command": ["/bin/sh", "-c", BARE, format!("/node{pods}"), count.to_string()],
        "securityContext": {"privileged": true},
        "volumeMounts": [{"name": "cgroups", "mountPath": "/node"}],
    })
}

/// Runs so many pods of one container. Returns the containers' ids by the names of their pods.
fn run_to_end(cluster: &Cluster, name: &str, pods: usize, mut container: Value) -> Result<HashMap<String, String>> {
    container["name"] = "app".into();
    container["image"] = image::NAME.into();
    container["imagePullPolicy"] = "Never".into();
    cluster.create(json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "completions": pods, "parallelism": AT_ONCE.min(pods), "backoffLimit": 0,
            "template": {"spec": {
                "restartPolicy": "Never", "containers": [container],
                "volumes": [{"name": "cgroups", "hostPath": {"path": "/sys/fs/cgroup"}}],
            }},
        },
    }))?;
    let (api, of_job) = (cluster.pods(NAMESPACE), ListParams::default().labels(&format!("job-name={name}")));
    let mut shown = 0;
    let limit = EACH * (10 + pods as u32);
    interrupt::wait_for(&format!("end of {pods} pods"), limit, || {
        let pods_now = cluster.call(api.list(&of_job))?.items;
        let phase = |pod: &k8s_openapi::api::core::v1::Pod| pod.status.as_ref().and_then(|it| it.phase.clone());
        if let Some(failed) = pods_now.iter().find(|pod| phase(pod).as_deref() == Some("Failed")) {
            let failed = failed.metadata.name.clone().unwrap_or_default();
            bail!("{failed} failed: {}", cluster.logs(NAMESPACE, &failed, "app")?);
        }
        let ended = pods_now.iter().filter(|pod| phase(pod).as_deref() == Some("Succeeded"));
        let ids: HashMap<_, _> =
            ended.filter_map(|pod| Some((pod.metadata.name.clone()?, containers(pod).pop()?.1))).collect();
        if ids.len() / 10 > shown {
            shown = ids.len() / 10;
            eprintln!("{} of {pods} pods", ids.len());
        }
        Ok((ids.len() == pods).then_some(ids))
    })
}

/// Waits until each has been told of, and compares.
fn compare(events: &Events, ids: &HashMap<String, String>, name: &str) -> Result<Account> {
    let path = |event: &Attributes| event.get("file.path").and_then(Value::as_str).map(str::to_owned);
    let untold = || {
        let told: HashSet<_> = events.look(|events| events.iter().filter_map(path).collect());
        ids.keys().filter(|own| !told.contains(&format!("/tmp/{own}"))).cloned().collect::<Vec<_>>()
    };
    let all = interrupt::wait_for("events of all of them", EACH * 4, || Ok(untold().is_empty().then_some(())));
    all.with_context(|| format!("not told: {:?}", untold()))?;
    let lost = events.look(|events| {
        let losses = events.iter().filter(|event| event["otel.event.name"] == "inotrail.exporter.loss");
        losses.map(|loss| loss["body"].to_string()).collect::<Vec<_>>()
    });
    let dropped = if lost.is_empty() { "0 dropped".to_owned() } else { lost.join("; ") };
    Ok(events.look(|events| Account::of(events, ids, name, dropped)))
}
