//! What nodes say of policies, and what becomes of these while nobody can be told.

use std::fs;
use std::process::Command;

use e2e::daemon::Daemon;
use e2e::{exporter, interrupt};
use serde_json::{Value, json};

use super::{Bench, LIMIT, policy, rule, trace};

/// `trace` says nothing: it may run beside the exporter.
pub(super) fn nodes_say_what_becomes_of_policies(bench: &Bench) {
    let node = &bench.cluster.nodes[0];
    let folder = tempfile::tempdir().unwrap();
    let mut run = Command::new(exporter::binary().unwrap());
    run.args(["run", "--kubernetes-policies", "--endpoint", "http://127.0.0.1:1", "--listen", "127.0.0.1:0"]);
    run.arg("--runtime-socket").arg(&node.containerd.socket).args(node.arguments(&bench.cluster.api.kubeconfig));
    let spec = |path: &str| json!({"rules": [{"name": "files", "paths": [path], "action": "violation"}]});
    let own = policy("shop", "own", spec("/etc/passwd"));
    bench.create(&own);
    let gone = json!({"nodes": [{
        "node": "gone", "observedGeneration": 1, "state": "Active", "containers": 0, "records": 0, "violations": 0,
    }]});
    bench.cluster.apply_status(&own, "inotrail-gone", &gone).unwrap();
    assert_eq!(names(bench, &own).unwrap(), ["gone"]);
    let _run = Daemon::start("run", &mut run, folder.path(), None).unwrap();
    let says = |what: &str, is: &dyn Fn(&Value) -> bool| {
        interrupt::wait_for(what, LIMIT, || {
            let status = bench.cluster.get(&own)?.data["status"]["nodes"].clone();
            let status = status.as_array().and_then(|nodes| nodes.iter().find(|it| it["node"] == *node.name).cloned());
            Ok(status.filter(|status| is(status)))
        })
        .unwrap()
    };
    let status = says("an active policy", &|status| status["state"] == "Active" && status["containers"] == 1);
    assert_eq!((&status["node"], &status["observedGeneration"]), (&json!(node.name), &json!(1)));
    assert!(["fexit", "kprobe", "raw-tracepoint"].contains(&status["backend"].as_str().unwrap()), "{status}");
    assert_eq!(conditions(&status), ["Accepted=True Valid", "Active=True Watching", "Degraded=False AsExpected"]);
    let since = status["conditions"][2]["lastTransitionTime"].clone();
    let is_alone = || Ok((names(bench, &own)? == [json!(node.name)]).then_some(()));
    interrupt::wait_for("the end of what a node has said that is gone", LIMIT, is_alone).unwrap();
    let absent = policy("shop", "own", spec("/etc/absent"));
    bench.cluster.change(&absent).unwrap();
    says("a path that leads to nothing", &|status| status["unresolved"] == 1);
    bench.cluster.change(&own).unwrap();
    says("a path that leads to a file", &|status| status["unresolved"] == 0);
    says("violations", &|status| status["violations"].as_i64() > Some(0) && status["records"] == 0);
    bench.cluster.change(&policy("shop", "own", spec("/etc/[a"))).unwrap();
    let refused = says("a refused policy", &|status| status["state"] == "Refused");
    assert_eq!(conditions(&refused)[..2], ["Accepted=False Invalid", "Active=True EarlierVersion"]);
    let why = refused["conditions"][0]["message"].as_str().unwrap();
    assert!(why.contains("rules[0].paths[0]: it is not a glob"), "{refused}");
    assert_eq!(refused["observedGeneration"], 4);
    let mut dry = policy("shop", "own", spec("/etc/passwd"));
    dry["spec"]["mode"] = "dry-run".into();
    bench.cluster.change(&dry).unwrap();
    let dry = says("a policy that counts only", &|status| status["state"] == "DryRun");
    assert_eq!(conditions(&dry), ["Accepted=True Valid", "Active=False DryRun", "Degraded=False AsExpected"]);
    assert_eq!(dry["conditions"][2]["lastTransitionTime"], since, "nothing was degraded: {dry}");
    // It is opened every 20 ms or so.
    let rate = says("an expected rate", &|status| status["expectedPerMinute"].as_i64() > Some(100));
    assert!(rate["expectedPerMinute"].as_i64() < Some(6000) && rate["state"] == "DryRun", "{rate}");
    bench.delete(&own);
}

/// `Active=True Watching`
fn conditions(status: &Value) -> Vec<String> {
    let word = |it: &Value| {
        let text = |key: &str| it[key].as_str().unwrap_or_default();
        format!("{}={} {}", text("type"), text("status"), text("reason"))
    };
    status["conditions"].as_array().unwrap().iter().map(word).collect()
}

/// Nodes that have said something of a policy.
fn names(bench: &Bench, policy: &Value) -> anyhow::Result<Vec<Value>> {
    let nodes = bench.cluster.get(policy)?.data["status"]["nodes"].as_array().cloned().unwrap_or_default();
    Ok(nodes.into_iter().map(|node| node["node"].clone()).collect())
}

/// What was in force stays, also for an exporter that starts meanwhile.
pub(super) fn the_server_goes_away(mut bench: Bench) {
    bench.create(&policy("shop", "lasting", json!({"rules": [rule(&["/etc/passwd"])]})));
    bench.check(&[("shop", "/etc/passwd")]);
    let kept = bench.state.path().join("policies.yaml");
    let is_kept = || Ok(fs::read_to_string(&kept).is_ok_and(|text| text.contains("lasting")).then_some(()));
    interrupt::wait_for("the policy on disk", LIMIT, is_kept).unwrap();
    bench.trace.daemon.stop();
    bench.cluster.api.daemon = None;
    bench.trace = trace(&bench.cluster, &bench.state);
    // Without the server nobody knows the pods' labels, which containers wait for; containerd knows their namespaces.
    bench.trace.wait_for_event(&[("file.path", "/etc/passwd")]).unwrap();
    bench.check(&[("shop", "/etc/passwd")]);
}
