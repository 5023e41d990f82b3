//! A read in a pod is found in Loki by what it is searched for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use e2e::cluster::Release;
use e2e::interrupt;

use super::{LIMIT, NAMESPACE, NODES, on_every_node};

/// Of each node's pod.
const READS: usize = 25;
/// From the access to Loki's answer.
const FOUND_WITHIN: Duration = Duration::from_secs(5);

/// Each of 50 files is read once, and the record of it found.
pub(super) fn within_five_seconds(release: &Release<'_>) {
    let (cluster, loki, since) = (release.cluster, release.loki().unwrap(), SystemTime::now());
    let script = format!(
        "for i in $(seq {READS}); do : > /srv/read-$i; done; for i in $(seq {READS}); do : < /srv/read-$i; sleep 0.2; done; sleep 1000"
    );
    let workload = on_every_node("reader", &script);
    cluster.create(workload.clone()).unwrap();
    let query = format!(
        r#"{{k8s_namespace_name="{NAMESPACE}", k8s_daemonset_name="reader", k8s_container_name="app"}} | inotrail_file_access_mode="read" | file_path=~"/srv/read-[0-9]+""#
    );
    // By node, pod and path: time from the access until it was found.
    let mut late = BTreeMap::new();
    interrupt::wait_for("records of all reads", LIMIT, || {
        for entry in loki.query(&query, since)? {
            let names = ["k8s_node_name", "k8s_pod_name", "file_path"];
            let place = names.map(|name| entry.get(name).unwrap_or_default().to_owned());
            let now_ns = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64;
            late.entry(place).or_insert_with(|| Duration::from_nanos(now_ns.saturating_sub(entry.time_ns)));
        }
        Ok((late.len() >= NODES * READS).then_some(()))
    })
    .unwrap();
    for [_, pod, path] in late.keys() {
        let exact = format!(
            r#"{{k8s_namespace_name="{NAMESPACE}", k8s_daemonset_name="reader"}} | k8s_pod_name="{pod}" | file_path="{path}" | inotrail_file_access_mode="read""#
        );
        assert_eq!(loki.query(&exact, since).unwrap().len(), 1, "{exact}");
    }
    for node in late.keys().map(|[node, ..]| node).collect::<BTreeSet<_>>() {
        let own = late.iter().filter(|([of, ..], _)| of == node);
        print(node, own.map(|(_, late)| *late).collect());
    }
    let last = print("all nodes", late.values().copied().collect());
    assert_eq!(late.len(), NODES * READS);
    assert!(last < FOUND_WITHIN, "{late:?}");
    cluster.delete(&workload).unwrap();
}

/// Returns what 99 % are below.
fn print(node: &str, mut late: Vec<Duration>) -> Duration {
    late.sort();
    let [median, last] = [50, 99].map(|percent| late[(late.len() * percent).div_ceil(100) - 1]);
    eprintln!("{node}: {} reads found: median {median:.1?}, p99 {last:.1?}", late.len());
    last
}
