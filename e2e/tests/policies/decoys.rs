//! Files that are put into containers for nobody to touch.

use std::fs;
use std::path::{Path, PathBuf};

use e2e::cluster::containers;
use e2e::exporter::{Attributes, Trace};
use e2e::interrupt;
use serde_json::{Value, json};

use super::{Bench, LIMIT, cluster_policy, pod, rule};

/// Touches it some time after it has come.
const VICTIM: &str = "while :; do if [ -f /srv/secret ]; then sleep 3; cat /srv/secret; fi; usleep 100000; done";
/// Links that lead out of the container, for whoever follows them.
const HOSTILE: &str =
    "ln -s /proc/1/root/tmp /srv/proc; ln -s ../../../../tmp /srv/up; ln -s /tmp /srv/own; sleep 1000000";
/// Of its own: others count their containers.
const NAMESPACE: &str = "decoys";
const NAME: &str = "inotrail-e2e-decoy";

pub(super) fn decoys_are_made_and_taken_out(bench: &Bench) {
    what_is_wrong_is_refused(bench);
    bench.cluster.create_namespace(NAMESPACE).unwrap();
    let node = tempfile::tempdir().unwrap();
    let (victim, hostile) =
        (start(bench, "victim", VICTIM, node.path()), start(bench, "hostile", HOSTILE, node.path()));
    let is_there =
        |path: PathBuf| interrupt::wait_for("a link", LIMIT, || Ok(path.is_symlink().then_some(()))).unwrap();
    is_there(hostile.join("srv/own"));
    let decoy = |name: &str, path: &str| json!({"name": name, "path": path, "content": format!("{name}!\n")});
    let elsewhere = ["/srv/proc/", "/srv/up/", "/srv/own/", "/volume/", "/node/"];
    let mut decoys: Vec<_> =
        elsewhere.iter().map(|folder| decoy(&folder.replace('/', "-"), &format!("{folder}{NAME}"))).collect();
    decoys.extend([decoy("secret", "/srv/secret"), decoy("passwd", "/etc/passwd")]);
    let selector = json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["victim", "hostile"]}]});
    let policy = cluster_policy("decoys", json!({"podSelector": selector, "decoys": decoys}));
    bench.create(&policy);
    bench.trace.wait_for_log("decoy made", 2).unwrap();
    let touched = bench.trace.wait_for_event(&[("security_rule.name", "secret")]).unwrap();
    for (key, value) in [
        ("file.path", "/srv/secret"),
        ("k8s.pod.name", "victim"),
        ("thread.name", "cat"),
        ("security_rule.ruleset.name", "decoys"),
        ("inotrail.policy.action", "violation"),
    ] {
        assert_eq!(touched[key], value, "{touched:?}");
    }
    assert_eq!(touched["severity_number"], 17);
    assert_eq!(fs::read_to_string(victim.join("srv/secret")).unwrap(), "secret!\n");
    nothing_else_is_made(bench, [&victim, &hostile], node.path());
    // Only who touches them is told of.
    let is_other =
        |event: &&Attributes| event["inotrail.policy.names"] == "decoys" && event["k8s.pod.name"] != "victim";
    let others = bench.trace.look(|events| events.iter().find(is_other).cloned());
    assert!(others.is_none(), "{others:?}");
    fs::write(hostile.join("srv/secret"), "changed").unwrap();
    bench.delete(&policy);
    bench.trace.wait_for_log("decoy taken out", 1).unwrap();
    bench.trace.wait_for_log("a decoy is left: somebody has changed it", 1).unwrap();
    assert!(!victim.join("srv/secret").exists());
    assert_eq!(fs::read_to_string(hostile.join("srv/secret")).unwrap(), "changed");
    of_files_and_until_the_end(bench, &victim);
    for name in ["victim", "hostile"] {
        bench.cluster.delete_pod(NAMESPACE, name).unwrap();
    }
}

/// `node`: the folder of the node that both containers have mounted.
fn nothing_else_is_made(bench: &Bench, roots: [&Path; 2], node: &Path) {
    // Of each folder that is not the container's own, or not to be reached without a link, in both containers: in the
    // other one there is no such folder.
    for (why, times) in [("a link on the way", 3), ("in a volume", 4), ("does not exist", 3), ("there is a file", 2)] {
        bench.trace.wait_for_log(&format!("no decoy is made: {}", message(why)), times).unwrap();
    }
    for root in roots {
        assert!(fs::read_to_string(root.join("etc/passwd")).unwrap().starts_with("root:x:0:0"));
        for folder in ["tmp", "volume", "node"] {
            assert!(!root.join(folder).join(NAME).exists(), "{folder}");
        }
    }
    assert!(!Path::new("/tmp").join(NAME).exists() && !node.join(NAME).exists());
}

/// What the message of a reason begins with.
fn message(why: &str) -> String {
    match why {
        "a link on the way" => format!("there is {why}"),
        "in a volume" => format!("its folder is {why}"),
        "does not exist" => format!("its folder {why}"),
        other => other.to_owned(),
    }
}

/// By an exporter that watches the node's own processes too, itself among them.
fn of_files_and_until_the_end(bench: &Bench, victim: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.yaml");
    let mut spec = json!({"hostProcesses": true, "containers": ["victim"], "rules": [rule(&[&format!("**/{NAME}")])]});
    spec["decoys"] = json!([{"name": "bait", "path": format!("/srv/{NAME}"), "content": "bait"}]);
    fs::write(&file, cluster_policy("bait", spec).to_string()).unwrap();
    let socket = bench.cluster.nodes[0].containerd.socket.to_string_lossy();
    let arguments = ["--runtime-socket", &socket, "--policy", &file.to_string_lossy(), "--decoys"];
    let mut trace = Trace::start(&arguments).unwrap();
    trace.wait_for_log("decoy made", 1).unwrap();
    let bait = victim.join("srv").join(NAME);
    assert_eq!(fs::read_to_string(&bait).unwrap(), "bait");
    let is_bait =
        |event: &Attributes| event.get("file.path").and_then(Value::as_str).is_some_and(|path| path.ends_with(NAME));
    let event = trace.find("an access of the node's", is_bait).unwrap();
    // This program has read it, and the exporter's own acts are no events.
    assert_eq!(event["process.pid"], std::process::id(), "{event:?}");
    assert_eq!(event["security_rule.name"], "files", "decoys are containers'");
    trace.daemon.stop();
    assert!(!bait.exists());
    let all = trace.look(|events| events.iter().filter(|event| is_bait(event)).cloned().collect::<Vec<_>>());
    assert!(all.iter().all(|event| event["process.pid"] == std::process::id()), "{all:?}");
}

/// A pod with two volumes; returns its container's root.
fn start(bench: &Bench, name: &str, script: &str, node: &Path) -> PathBuf {
    let mut pod = pod(NAMESPACE, name, name, script);
    let container = &mut pod["spec"]["containers"][0];
    container["name"] = name.into();
    container["volumeMounts"] =
        json!([{"name": "volume", "mountPath": "/volume"}, {"name": "node", "mountPath": "/node"}]);
    pod["spec"]["volumes"] = json!([{"name": "volume", "emptyDir": {}}, {"name": "node", "hostPath": {"path": node}}]);
    bench.cluster.create(pod).unwrap();
    let pod = bench.cluster.ready_pod(NAMESPACE, name).unwrap();
    let (_, id) = containers(&pod).pop().unwrap();
    let is_its = |process: &PathBuf| fs::read_to_string(process.join("cgroup")).is_ok_and(|text| text.contains(&id));
    let mut processes = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    processes.find(is_its).unwrap().join("root")
}

/// By the API server.
fn what_is_wrong_is_refused(bench: &Bench) {
    let check = |spec: Value, expected: &str| {
        let error = format!("{:#}", bench.cluster.create(cluster_policy("wrong", spec)).unwrap_err());
        assert!(error.contains(expected), "{error}");
    };
    let decoy = |path: &str| json!({"name": "a", "path": path, "content": ""});
    check(json!({}), "spec.rules is empty, and there are no decoys");
    check(json!({"rules": [], "decoys": []}), "spec.rules is empty, and there are no decoys");
    check(
        json!({"rules": [{"name": "a", "paths": ["/a"]}], "decoys": [decoy("/b")]}),
        "a rule and a decoy have one name",
    );
    check(json!({"decoys": [decoy("/a"), decoy("/b")]}), "Duplicate value");
    for path in ["a", "/", "/a/*", "/**", "**/a", "/a/../b", "/a//b", "/a/", "/[a]", "/a\\*"] {
        check(json!({"decoys": [decoy(path)]}), "spec.decoys[0].path");
    }
    let mut wrong = decoy("/a");
    wrong["mode"] = "0999".into();
    check(json!({"decoys": [wrong]}), "spec.decoys[0].mode");
}
