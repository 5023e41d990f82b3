//! Pods read files all the time while the release is changed.

use std::collections::BTreeMap;
use std::time::SystemTime;

use e2e::cluster::Release;
use e2e::interrupt;
use e2e::loki::Loki;

use super::{LIMIT, NAMESPACE, NODES, exporters_are_ready_on_every_node, on_every_node};

/// Each read is of a file of its own: a hole in the numbers is a read that nobody told of.
const SCRIPT: &str = "n=0; while :; do n=$((n+1)); : > /tmp/steady-$n; : < /tmp/steady-$n; sleep 0.1; done";

/// Every exporter is replaced twice, and every read is told of once.
pub(super) fn survives_upgrade_and_rollback(release: &Release<'_>) {
    let (cluster, loki, since) = (release.cluster, release.loki().unwrap(), SystemTime::now());
    let workload = on_every_node("steady", SCRIPT);
    cluster.create(workload.clone()).unwrap();
    cluster.ready_pods(NAMESPACE, "app=steady", NODES).unwrap();
    let told = || numbers(&loki, since);
    interrupt::wait_for("records of both pods", LIMIT, || Ok((told().len() == NODES).then_some(()))).unwrap();

    let took = release.upgrade(&["--set", "exporter.config.resolve-timeout=3s"]).unwrap();
    eprintln!("upgrade: {:.1} s", took.as_secs_f32());
    exporters_are_ready_on_every_node(release);
    let took = release.roll_back("1").unwrap();
    eprintln!("rollback: {:.1} s", took.as_secs_f32());
    exporters_are_ready_on_every_node(release);

    // The last exporters tell of what came after they had started.
    let before: BTreeMap<_, _> = told().into_iter().map(|(pod, numbers)| (pod, numbers.len())).collect();
    let goes_on = || {
        let now = told();
        Ok(before
            .iter()
            .all(|(pod, count)| now.get(pod).is_some_and(|numbers| numbers.len() > count + 20))
            .then_some(()))
    };
    interrupt::wait_for("records after the rollback", LIMIT, goes_on).unwrap();
    cluster.delete(&workload).unwrap();
    cluster.ready_pods(NAMESPACE, "app=steady", 0).unwrap();
    super::idle(release, SystemTime::now());
    for (pod, numbers) in told() {
        eprintln!("{pod}: {} reads under load", numbers.len());
        let all: Vec<_> = (1..=numbers.len()).collect();
        assert_eq!(numbers, all, "reads of {pod}, each once");
    }
}

/// By pod: the numbers of the reads that Loki knows of, in order.
fn numbers(loki: &Loki, since: SystemTime) -> BTreeMap<String, Vec<usize>> {
    let mut by_pod: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let query = format!(
        r#"{{k8s_namespace_name="{NAMESPACE}", k8s_daemonset_name="steady"}} | inotrail_file_access_mode="read" | file_path=~"/tmp/steady-[0-9]+""#
    );
    for entry in loki.query(&query, since).unwrap() {
        let number = entry.get("file_path").and_then(|path| path.rsplit('-').next()?.parse().ok()).unwrap();
        by_pod.entry(entry.get("k8s_pod_name").unwrap().to_owned()).or_default().push(number);
    }
    for numbers in by_pod.values_mut() {
        numbers.sort_unstable();
    }
    by_pod
}
