//! Policies as resources of a real Kubernetes cluster: what they are about is told, and nothing else. Needs root.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use e2e::cluster::Cluster;
use e2e::daemon::Daemon;
use e2e::exporter::{self, Attributes, Trace};
use e2e::{image, interrupt};
use inotrail::policy::crd;
use jiff::Timestamp;
use serde_json::{Value, json};

/// Two tenants.
const NAMESPACES: [&str; 2] = ["shop", "bank"];
/// What every container opens, over and over.
const FILES: [&str; 3] = ["/etc/passwd", "/etc/group", "/tmp/tick"];
const TICK: &str = "while :; do read x < /etc/passwd; read x < /etc/group; : > /tmp/tick; usleep 20000; done";
/// Changes of which each is timed, and how long each may take to be in force.
const CHANGES: usize = 50;
const IN_FORCE_WITHIN: Duration = Duration::from_secs(1);
/// How long nothing may be told where nothing is expected.
const QUIET: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_secs(60);

struct Bench {
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
        Self { trace, state, cluster }
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
        let start = self.seen();
        thread::sleep(QUIET);
        let mut told = self.trace.look(|events| events[start..].iter().map(whose).collect::<Vec<_>>());
        told.sort();
        told.dedup();
        told
    }

    #[track_caller]
    fn check(&self, expected: &[(&str, &str)]) {
        let mut expected: Vec<_> = expected.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        expected.sort();
        assert_eq!(self.told(), expected);
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
    let more = ["--runtime-socket", &*runtime, "--kubernetes-policies", "--state", &*state];
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
    let bench = Bench::start();
    bench.check(&[]);
    one_tenant(&bench);
    labels(&bench);
    processes_of_before(&bench);
    the_whole_cluster(&bench);
    what_is_wrong_is_refused(&bench);
    nodes_say_what_becomes_of_policies(&bench);
    the_server_goes_away(bench);
}

fn one_tenant(bench: &Bench) {
    let mut tokens = policy("shop", "tokens", json!({"rules": [rule(&["/etc/*"])]}));
    bench.create(&tokens);
    bench.check(&[("shop", "/etc/passwd"), ("shop", "/etc/group")]);
    let event = bench.trace.find("event of the policy", |event| event["file.path"] == "/etc/passwd").unwrap();
    for (key, value) in [
        ("security_rule.name", "files"),
        ("security_rule.ruleset.name", "shop/tokens"),
        ("inotrail.policy.names", "shop/tokens"),
        ("inotrail.policy.action", "record"),
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

fn labels(bench: &Bench) {
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
fn processes_of_before(bench: &Bench) {
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

fn the_whole_cluster(bench: &Bench) {
    let spec =
        |path: &str| json!({"rules": [{"name": "files", "paths": [path], "severity": "high", "action": "violation"}]});
    let all = cluster_policy("all", spec("/etc/passwd"));
    bench.create(&all);
    bench.check(&NAMESPACES.map(|namespace| (namespace, "/etc/passwd")));
    let event = bench.trace.find("violation", |event| event["inotrail.policy.action"] == "violation").unwrap();
    assert_eq!((&event["severity_number"], &event["security_rule.ruleset.name"]), (&17.into(), &"all".into()));
    let mut times: Vec<_> = (0..CHANGES).map(|number| change(bench, number, &spec)).collect();
    times.sort();
    let p99 = times[times.len() * 99 / 100];
    eprintln!("{CHANGES} changes were in force after {:?} (median), {p99:?} (99 %)", times[times.len() / 2]);
    assert!(p99 < IN_FORCE_WITHIN, "{times:?}");
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

fn what_is_wrong_is_refused(bench: &Bench) {
    let check = |change: fn(&mut Value), expected: &str| {
        let mut spec = json!({"rules": [rule(&["/etc/passwd"])]});
        change(&mut spec);
        let error = format!("{:#}", bench.cluster.create(policy("shop", "wrong", spec)).unwrap_err());
        assert!(error.contains(expected), "{error}");
    };
    check(|spec| spec["rules"] = json!([]), "spec.rules in body should have at least 1 items");
    check(|spec| spec["rules"][0]["paths"] = json!([]), "spec.rules[0].paths in body should have at least 1 items");
    for path in ["etc/passwd", "/etc/../passwd", "/etc/.", "/etc//passwd", "/etc/", ""] {
        let spec = json!({"rules": [rule(&[path])]});
        let error = format!("{:#}", bench.cluster.create(policy("shop", "wrong", spec)).unwrap_err());
        assert!(error.contains("spec.rules[0].paths[0]"), "{path}: {error}");
    }
    check(|spec| spec["rules"][0]["severity"] = "worst".into(), "Unsupported value: \"worst\"");
    check(|spec| spec["rules"] = json!([rule(&["/a"]), rule(&["/b"])]), "Duplicate value");
    check(|spec| spec["rules"][0]["name"] = "a".repeat(254).into(), "Too long");
    check(|spec| spec["rules"][0]["paths"] = vec!["/a"; 10_001].into(), "Too many: 10001: must have at most 10000");
    check(
        |spec| spec["podSelector"] = json!({"matchExpressions": [{"key": "a", "operator": "Near", "values": ["b"]}]}),
        "operator is In or NotIn with values",
    );
    // What no schema can say, the exporter says, and others stay in force.
    let spec = json!({"rules": [rule(&["/etc/[a"])]});
    let (wrong, right) =
        (policy("shop", "wrong", spec), policy("shop", "right", json!({"rules": [rule(&["/etc/passwd"])]})));
    bench.create(&wrong);
    bench.trace.wait_for_log("refused", 1).unwrap();
    bench.create(&right);
    bench.check(&[("shop", "/etc/passwd")]);
    bench.delete(&wrong);
    bench.delete(&right);
}

/// `trace` says nothing: it may run beside the exporter.
fn nodes_say_what_becomes_of_policies(bench: &Bench) {
    let node = &bench.cluster.nodes[0];
    let folder = tempfile::tempdir().unwrap();
    let mut run = Command::new(exporter::binary().unwrap());
    run.args(["run", "--kubernetes-policies", "--endpoint", "http://127.0.0.1:1", "--listen", "127.0.0.1:0"]);
    run.arg("--runtime-socket").arg(&node.containerd.socket).args(node.arguments(&bench.cluster.api.kubeconfig));
    let _run = Daemon::start("run", &mut run, folder.path(), None).unwrap();
    let spec = |path: &str| json!({"rules": [{"name": "files", "paths": [path], "action": "violation"}]});
    let own = policy("shop", "own", spec("/etc/passwd"));
    bench.create(&own);
    let says = |what: &str, is: &dyn Fn(&Value) -> bool| {
        interrupt::wait_for(what, LIMIT, || {
            let status = bench.cluster.get(&own)?.data["status"]["nodes"][0].clone();
            Ok(is(&status).then_some(status))
        })
        .unwrap()
    };
    let status = says("an active policy", &|status| status["state"] == "Active" && status["containers"] == 1);
    assert_eq!((&status["node"], &status["observedGeneration"]), (&json!(node.name), &json!(1)));
    says("violations", &|status| status["violations"].as_i64() > Some(0) && status["records"] == 0);
    bench.cluster.change(&policy("shop", "own", spec("/etc/[a"))).unwrap();
    let refused = says("a refused policy", &|status| status["state"] == "Refused");
    assert!(refused["message"].as_str().unwrap().contains("rules[0].paths[0]: it is not a glob"), "{refused}");
    assert_eq!(refused["observedGeneration"], 2);
    let mut dry = policy("shop", "own", spec("/etc/passwd"));
    dry["spec"]["mode"] = "dry-run".into();
    bench.cluster.change(&dry).unwrap();
    let dry = says("a policy that counts only", &|status| status["state"] == "DryRun");
    assert!(dry.get("message").is_none(), "{dry}");
    bench.delete(&own);
}

/// What was in force stays, also for an exporter that starts meanwhile.
fn the_server_goes_away(mut bench: Bench) {
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
