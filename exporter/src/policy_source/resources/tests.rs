use std::path::PathBuf;

use serde_json::json;
use tokio::sync::watch::Receiver;

use super::*;
use crate::policy::PolicySet;

struct State(PathBuf);

impl State {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("inotrail-state-{name}-{}", std::process::id())))
    }

    fn resources(&self) -> (Resources, Receiver<Arc<PolicySet>>) {
        let (in_force, set) = InForce::new();
        (Resources::new("node-1".to_owned(), Some(Last::open(&self.0).unwrap()), in_force), set)
    }
}

impl Drop for State {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

fn object(kind: Kind, namespace: Option<&str>, name: &str, path: &str) -> DynamicObject {
    let value = json!({
        "apiVersion": "inotrail.dev/v1alpha1",
        "kind": kind.to_string(),
        "metadata": { "name": name, "namespace": namespace, "resourceVersion": "7" },
        "spec": { "rules": [{ "name": "a", "paths": [path] }] },
    });
    serde_json::from_value(value).unwrap()
}

fn tenant(name: &str, path: &str) -> DynamicObject {
    object(Kind::Namespace, Some("shop"), name, path)
}

fn list(resources: &mut Resources, kind: Kind, objects: Vec<DynamicObject>) {
    resources.hear(kind, Ok(Event::Init));
    for object in objects {
        resources.hear(kind, Ok(Event::InitApply(object)));
    }
    resources.hear(kind, Ok(Event::InitDone));
}

#[track_caller]
fn check(set: &Receiver<Arc<PolicySet>>, expected: &[&str]) {
    assert_eq!(set.borrow().names().collect::<Vec<_>>(), expected);
}

#[test]
fn one_that_is_wrong_takes_none_with_it() {
    let state = State::new("wrong");
    let (mut resources, set) = state.resources();
    list(&mut resources, Kind::Namespace, vec![tenant("a", "/a"), tenant("b", "b"), tenant("c", "/c")]);
    check(&set, &["shop/a", "shop/c"]);
    let mut unknown = tenant("d", "/d");
    unknown.data["spec"]["mode"] = "off".into();
    resources.hear(Kind::Namespace, Ok(Event::Apply(unknown)));
    check(&set, &["shop/a", "shop/c"]);
    // A change for the worse is none.
    resources.hear(Kind::Namespace, Ok(Event::Apply(tenant("a", "a"))));
    check(&set, &["shop/a", "shop/c"]);
    resources.hear(Kind::Namespace, Ok(Event::Delete(tenant("a", "a"))));
    check(&set, &["shop/c"]);
}

#[test]
fn errors_and_lists_that_are_not_complete_drop_nothing() {
    let state = State::new("errors");
    let (mut resources, set) = state.resources();
    list(&mut resources, Kind::Cluster, vec![object(Kind::Cluster, None, "x", "/x")]);
    list(&mut resources, Kind::Namespace, vec![tenant("a", "/a"), tenant("b", "/b")]);
    resources.hear(Kind::Namespace, Err(watcher::Error::NoResourceVersion));
    resources.hear(Kind::Namespace, Ok(Event::Init));
    resources.hear(Kind::Namespace, Ok(Event::InitApply(tenant("b", "/b"))));
    check(&set, &["shop/a", "shop/b", "x"]);
    resources.hear(Kind::Namespace, Ok(Event::InitDone));
    check(&set, &["shop/b", "x"]);
}

#[test]
fn a_start_without_the_server_goes_on_with_what_it_told() {
    let state = State::new("last");
    let (mut resources, _set) = state.resources();
    list(&mut resources, Kind::Cluster, vec![object(Kind::Cluster, None, "x", "/x")]);
    list(&mut resources, Kind::Namespace, vec![tenant("a", "/a"), tenant("b", "/b")]);
    resources.store();
    let (mut next, set) = state.resources();
    check(&set, &["shop/a", "shop/b", "x"]);
    next.hear(Kind::Namespace, Err(watcher::Error::NoResourceVersion));
    check(&set, &["shop/a", "shop/b", "x"]);
    // What was deleted meanwhile goes when the server has told all of its kind; nothing is forgotten on disk before.
    list(&mut next, Kind::Namespace, vec![tenant("b", "/other")]);
    check(&set, &["shop/b", "x"]);
    next.store();
    check(&state.resources().1, &["shop/a", "shop/b", "x"]);
    list(&mut next, Kind::Cluster, vec![]);
    check(&set, &["shop/b"]);
    next.store();
    check(&state.resources().1, &["shop/b"]);
    std::fs::write(state.0.join("policies.yaml"), "no policies: [").unwrap();
    check(&state.resources().1, &[]);
}
