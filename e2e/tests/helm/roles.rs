//! The exporter's role has no more than what the exporter calls.

use std::collections::BTreeSet;

use e2e::cluster::Release;
use e2e::{image, interrupt};
use serde_json::{Value, json};

use super::{LIMIT, NAMESPACE};

pub(super) const ACCOUNT: &str = "inotrail:inotrail";
/// How the API server answers: its authorizer's decision.
pub(super) const ALLOW: &str = "allow";
pub(super) const DENY: &str = "forbid";

/// A policy of a namespace, and a job, whose pod's records are to name it.
fn objects() -> [Value; 2] {
    let container = json!({
        "name": "app", "image": image::NAME, "imagePullPolicy": "Never", "command": ["/bin/sh", "-c", "echo > /tmp/done"],
    });
    let pod = json!({"spec": {"restartPolicy": "Never", "containers": [container]}});
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once", "namespace": NAMESPACE},
        "spec": {"template": pod},
    });
    let policy = json!({
        "apiVersion": "inotrail.dev/v1alpha1", "kind": "FileAccessPolicy",
        "metadata": {"name": "own", "namespace": NAMESPACE},
        "spec": {"rules": [{"name": "accounts", "paths": ["/etc/passwd"]}]},
    });
    [policy, job]
}

/// Has the exporters call for what is not there in any case.
pub(super) fn make_use_of_all(release: &Release<'_>) {
    for object in objects() {
        release.cluster.create(object).unwrap();
    }
}

/// Takes away what [`make_use_of_all`] has made.
pub(super) fn forget(release: &Release<'_>) {
    for object in objects() {
        release.cluster.delete(&object).unwrap();
    }
}

/// Waits until each verb of each resource that the role allows was called, and was answered; all others were not called.
pub(super) fn all_are_used(release: &Release<'_>) {
    let all = allowed(release);
    wait_for(release, &all, ALLOW, 0);
    let denied = answered(release, DENY, 0).unwrap();
    assert!(denied.is_empty(), "denied: {denied:?}");
    eprintln!("used: {all:?}");
    forget(release);
}

/// The exporter's role.
pub(super) fn role() -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "inotrail-inotrail"},
    })
}

/// What it allows: `verb group/resource`.
pub(super) fn allowed(release: &Release<'_>) -> BTreeSet<String> {
    let role = release.cluster.get(&role()).unwrap();
    let allowed: BTreeSet<_> = role.data["rules"].as_array().unwrap().iter().flat_map(verbs).collect();
    assert!(!allowed.is_empty(), "{role:?}");
    allowed
}

/// Waits until all of these calls were answered so, not counting the first `seen` calls.
pub(super) fn wait_for(release: &Release<'_>, all: &BTreeSet<String>, answer: &str, seen: usize) {
    let missing = || -> anyhow::Result<BTreeSet<String>> { Ok(all - &answered(release, answer, seen)?) };
    let waited = interrupt::wait_for("calls of an exporter", LIMIT, || Ok(missing()?.is_empty().then_some(())));
    assert!(waited.is_ok(), "{answer}: not {:?}", missing().unwrap());
}

/// Calls that were answered so, not counting the first `seen` calls.
pub(super) fn answered(release: &Release<'_>, answer: &str, seen: usize) -> anyhow::Result<BTreeSet<String>> {
    let calls = release.cluster.api.calls(ACCOUNT)?;
    let is_so = |call: &&Value| call["annotations"]["authorization.k8s.io/decision"] == answer;
    Ok(calls.iter().skip(seen).filter(is_so).map(verb).collect())
}

/// `verb group/resource` of each that a rule allows.
fn verbs(rule: &Value) -> Vec<String> {
    let texts = |key: &str| -> Vec<String> { serde_json::from_value(rule[key].clone()).unwrap() };
    let (groups, resources) = (texts("apiGroups"), texts("resources"));
    let of = |verb: &String| {
        let each = groups.iter().flat_map(|group| resources.iter().map(move |resource| (group, resource)));
        each.map(|(group, resource)| format!("{verb} {group}/{resource}")).collect::<Vec<_>>()
    };
    texts("verbs").iter().flat_map(of).collect()
}

/// The same of a call.
fn verb(call: &Value) -> String {
    let object = &call["objectRef"];
    let text = |key: &str| object[key].as_str().unwrap_or_default();
    let below = Some(text("subresource")).filter(|name| !name.is_empty()).map(|name| format!("/{name}"));
    format!(
        "{} {}/{}{}",
        call["verb"].as_str().unwrap_or_default(),
        text("apiGroup"),
        text("resource"),
        below.unwrap_or_default()
    )
}
