//! Each verb of the exporter's role is missed where it is taken away: a call is denied, and the exporter says which. Where it
//! is put back, the exporter goes on by itself.

use std::collections::BTreeSet;
use std::time::Instant;

use e2e::cluster::{RELEASE, Release};
use e2e::interrupt;
use serde_json::json;

use super::roles::{self, ACCOUNT, ALLOW, DENY};
use super::{LIMIT, NODES};

const EXPORTERS: &str = "app.kubernetes.io/component=exporter";
/// Called every ten minutes only, but soon after a start: that it is answered again, the next exporters show.
const RARE: &str = "list /nodes";

/// Takes all away in three rounds; those of a round do not need each other.
pub(super) fn each_verb_is_missed(release: &Release<'_>) {
    let all = roles::allowed(release);
    // What is watched is listed first, and whatever else is called is about what that has told.
    let is_list = |call: &str| call.strip_prefix("list ").is_some_and(|of| all.contains(&format!("watch {of}")));
    let is_watch = |call: &str| call.starts_with("watch ");
    let rounds = [
        all.iter().filter(|call| !is_list(call) && !is_watch(call)).cloned().collect::<BTreeSet<_>>(),
        all.iter().filter(|call| is_list(call)).cloned().collect(),
        all.iter().filter(|call| is_watch(call)).cloned().collect(),
    ];
    let mut seen = None;
    for round in &rounds {
        let back = without(release, &all, round);
        seen.get_or_insert(back);
    }
    roles::wait_for(release, &all, ALLOW, seen.unwrap());
    roles::forget(release);
}

/// Returns how many calls there were until all was allowed again.
fn without(release: &Release<'_>, all: &BTreeSet<String>, missed: &BTreeSet<String>) -> usize {
    let (cluster, started, before) = (release.cluster, Instant::now(), calls(release));
    allow(release, &(all - missed));
    // Who watches goes on watching.
    cluster.delete_pods(RELEASE, EXPORTERS).unwrap();
    cluster.ready_pods(RELEASE, EXPORTERS, NODES).unwrap();
    use_all_anew(release);
    roles::wait_for(release, missed, DENY, before);
    let denied = roles::answered(release, DENY, before).unwrap();
    assert_eq!(&denied, missed, "denied");
    let silent = || -> anyhow::Result<Vec<_>> {
        let logs = logs(release)?;
        Ok(missed.iter().map(|call| complaint(call)).filter(|complaint| !logs.contains(complaint)).collect())
    };
    let waited = interrupt::wait_for("complaints", LIMIT, || Ok(silent()?.is_empty().then_some(())));
    assert!(waited.is_ok(), "nothing about {:?} in {}", silent().unwrap(), logs(release).unwrap());

    let back = calls(release);
    allow(release, all);
    use_all_anew(release);
    let soon = missed.iter().filter(|call| *call != RARE).cloned().collect();
    roles::wait_for(release, &soon, ALLOW, back);
    eprintln!("missed, and allowed again within {:.1} s: {missed:?}", started.elapsed().as_secs_f32());
    back
}

/// How many there were.
fn calls(release: &Release<'_>) -> usize {
    release.cluster.api.calls(ACCOUNT).unwrap().len()
}

/// New objects, which exporters have to call for.
fn use_all_anew(release: &Release<'_>) {
    roles::forget(release);
    roles::make_use_of_all(release);
}

/// Has the role allow these calls.
fn allow(release: &Release<'_>, calls: &BTreeSet<String>) {
    let rule = |call: &String| {
        let (verb, of) = call.split_once(' ').unwrap();
        let (group, resource) = of.split_once('/').unwrap();
        json!({"apiGroups": [group], "resources": [resource], "verbs": [verb]})
    };
    let mut role = roles::role();
    role["rules"] = calls.iter().map(rule).collect();
    release.cluster.change(&role).unwrap();
}

/// What all exporters say.
fn logs(release: &Release<'_>) -> anyhow::Result<String> {
    let mut logs = String::new();
    for pod in release.pods("exporter")? {
        logs += &release.cluster.logs(RELEASE, &pod.metadata.name.unwrap_or_default(), "exporter")?;
    }
    // They are texts in JSON.
    Ok(logs.replace('\\', ""))
}

/// How the API server says that a call is denied.
fn complaint(call: &str) -> String {
    let (verb, of) = call.split_once(' ').unwrap();
    format!(r#"cannot {verb} resource "{}""#, of.split_once('/').unwrap().1)
}
