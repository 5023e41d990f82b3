//! Each kind of rule and of choice, and how soon a change is in force.

use std::time::Duration;

use e2e::exporter::Attributes;
use e2e::interrupt;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Bench, FILES, LIMIT, NAMESPACES, TICK, cluster_policy, pod, policy, rule};

/// Changes of which each is timed, and how long each may take to be in force.
const CHANGES: usize = 50;
const IN_FORCE_WITHIN: Duration = Duration::from_secs(1);

pub(super) fn one_tenant(bench: &Bench) {
    let mut tokens = policy("shop", "tokens", json!({"rules": [rule(&["/etc/*"])]}));
    tokens["spec"]["rules"][0]["labels"] = json!({"example.com/team": "web"});
    bench.create(&tokens);
    bench.check(&[("shop", "/etc/passwd"), ("shop", "/etc/group")]);
    let event = bench.trace.find("event of the policy", |event| event["file.path"] == "/etc/passwd").unwrap();
    for (key, value) in [
        ("security_rule.name", "files"),
        ("security_rule.ruleset.name", "shop/tokens"),
        ("inotrail.policy.names", "shop/tokens"),
        ("inotrail.policy.action", "record"),
        ("inotrail.policy.label.example.com/team", "web"),
    ] {
        assert_eq!(event[key], value, "{event:?}");
    }
    assert_eq!(event["severity_number"], 10);
    // Whatever a tenant writes, other namespaces and the node are not his.
    let everything = json!({"rules": [rule(&["/**"])], "containers": ["*"], "images": ["*"], "podSelector": {}});
    bench.cluster.change(&policy("shop", "tokens", everything)).unwrap();
    bench.check(&FILES.map(|file| ("shop", file)));
    // Each kind of restriction.
    let narrow = |more: Value| {
        let mut rule = rule(&["/**"]);
        rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        bench.cluster.change(&policy("shop", "tokens", json!({"rules": [rule]}))).unwrap();
    };
    narrow(json!({"except": ["/etc/**"]}));
    bench.check(&[("shop", "/tmp/tick")]);
    narrow(json!({"except": [], "executables": ["!/bin/sh"]}));
    bench.check(&[]);
    narrow(json!({"executables": ["/bin/s*"], "users": [0]}));
    bench.check(&FILES.map(|file| ("shop", file)));
    narrow(json!({"users": [1000]}));
    bench.check(&[]);
    narrow(json!({"operations": ["execute", "delete"]}));
    bench.check(&[]);
    narrow(json!({"operations": ["open"], "paths": ["/etc/group", "**/passwd"]}));
    bench.check(&[("shop", "/etc/passwd"), ("shop", "/etc/group")]);
    narrow(json!({"result": "denied"}));
    bench.check(&[]);
    tokens["spec"]["mode"] = "dry-run".into();
    bench.cluster.change(&tokens).unwrap();
    bench.check(&[]);
    bench.delete(&tokens);
    bench.check(&[]);
}

pub(super) fn labels(bench: &Bench) {
    let spec = json!({"podSelector": {"matchLabels": {"app": "web"}}, "rules": [rule(&["/etc/passwd"])]});
    let by_label = policy("bank", "by-label", spec);
    bench.create(&by_label);
    bench.check(&[("bank", "/etc/passwd")]);
    let label = |label: &str| {
        let metadata = json!({"name": "app", "namespace": "bank", "labels": {"app": label}});
        bench.cluster.change(&json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata})).unwrap();
    };
    label("db");
    bench.check(&[]);
    label("web");
    bench.check(&[("bank", "/etc/passwd")]);
    bench.delete(&by_label);
    let spec = json!({"namespaceSelector": {"matchLabels": {"team": "a"}}, "rules": [rule(&["/etc/passwd"])]});
    let by_namespace = cluster_policy("by-namespace", spec);
    bench.create(&by_namespace);
    bench.check(&[]);
    let label = |team: Value| {
        let metadata = json!({"name": "shop", "labels": {"team": team}});
        bench.cluster.change(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})).unwrap();
    };
    label("a".into());
    bench.check(&[("shop", "/etc/passwd")]);
    label(Value::Null);
    bench.check(&[]);
    bench.delete(&by_namespace);
}

/// What a container's processes are is known although nothing was recorded of it when they started.
pub(super) fn processes_of_before(bench: &Bench) {
    bench.check(&[]);
    // It becomes another program when it has been known for long that no rule is about it.
    let script = format!("sleep 3; exec /bin/busybox sh -c '{TICK}'");
    bench.cluster.create(pod("bank", "late", "late", &script)).unwrap();
    bench.cluster.ready_pod("bank", "late").unwrap();
    bench.check(&[]);
    bench.check(&[]);
    let mut rule = rule(&["/etc/passwd"]);
    rule["executables"] = json!(["/bin/busybox"]);
    let late = policy("bank", "late", json!({"podSelector": {"matchLabels": {"app": "late"}}, "rules": [rule]}));
    bench.create(&late);
    bench.check(&[("bank", "/etc/passwd")]);
    bench.delete(&late);
    bench.cluster.delete_pod("bank", "late").unwrap();
}

pub(super) fn the_whole_cluster(bench: &Bench) {
    let spec =
        |path: &str| json!({"rules": [{"name": "files", "paths": [path], "severity": "high", "action": "violation"}]});
    let all = cluster_policy("all", spec("/etc/passwd"));
    bench.create(&all);
    bench.check(&NAMESPACES.map(|namespace| (namespace, "/etc/passwd")));
    let event = bench.trace.find("violation", |event| event["inotrail.policy.action"] == "violation").unwrap();
    assert_eq!((&event["severity_number"], &event["security_rule.ruleset.name"]), (&17.into(), &"all".into()));
    let mut times: Vec<_> = (0..CHANGES).map(|number| change(bench, number, &spec)).collect();
    times.sort();
    let (median, last) = (times[times.len() / 2], times[times.len() - 1]);
    eprintln!("{CHANGES} changes were in force after {median:?} (median), {last:?} (the slowest)");
    assert!(median < IN_FORCE_WITHIN, "{times:?}");
    bench.delete(&all);
    bench.check(&[]);
}

/// From the moment before the API server is told until the first access that is told by the new rule.
fn change(bench: &Bench, number: usize, spec: &impl Fn(&str) -> Value) -> Duration {
    let path = FILES[number % 2];
    let (seen, start) = (bench.seen(), Timestamp::now());
    let mut spec = spec(path);
    spec["rules"][0]["name"] = format!("change-{number}").into();
    bench.cluster.change(&cluster_policy("all", spec)).unwrap();
    let first = || {
        let is_by_new = |event: &&Attributes| event["security_rule.name"] == format!("change-{number}");
        Ok(bench.trace.look(|events| events[seen..].iter().find(is_by_new).cloned()))
    };
    let event = interrupt::wait_for("event by the new rule", LIMIT, first).unwrap();
    assert_eq!(event["file.path"], path);
    let time: Timestamp = event["time"].as_str().unwrap().parse().unwrap();
    // What was still in the ring buffer is judged by the new rule too.
    Duration::try_from(time.duration_since(start)).unwrap_or_default()
}
