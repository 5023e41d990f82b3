//! Containers' names by NRI alone, from a real containerd. Needs root.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use e2e::containerd::{Containerd, Pods, Sandbox};
use e2e::exporter::Trace;
use rustix::process::Signal;
use serde_json::{Map, Value};

const LIMIT: Duration = Duration::from_secs(60);
/// What containerd waits for a plugin that does not answer, once.
const DROPPED_AFTER: Duration = Duration::from_secs(2);
/// The exporter's log line when it has been told of everything that runs.
const CONNECTED: &str = "told of containers before they start";

/// One sensor at a time: each is to have the machine for itself.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts `inotrail trace`, which asks nobody for names. Returns when it has been told of everything that runs.
fn trace(containerd: &Containerd, arguments: &[&str]) -> Trace {
    let (socket, cgroup) = (containerd.nri_socket(), containerd.cgroup().to_string_lossy());
    let fixed = ["--runtime", "none", "--nri-socket", &socket.to_string_lossy(), "--cgroup-root", &cgroup];
    let trace = Trace::start(&[&fixed[..], arguments].concat()).unwrap();
    trace.wait_for_log(CONNECTED, 1).unwrap();
    trace
}

/// What an event tells that a container of this name has by making the file of its name.
fn event<'a>(pod: &'a Sandbox<'_>, name: &'a str, id: &'a str, path: &'a str) -> [(&'static str, &'a str); 9] {
    [
        ("file.path", path),
        ("k8s.namespace.name", "shop"),
        ("k8s.pod.name", "web-0"),
        ("k8s.pod.uid", &pod.uid),
        ("k8s.container.name", name),
        ("service.name", name),
        ("container.id", id),
        ("container.runtime.name", "containerd"),
        ("container.image.name", "docker.io/inotrail/demo"),
    ]
}

/// Makes a file before anything else, and lives for 50 ms.
fn script(name: &str) -> [String; 3] {
    ["/bin/sh".to_owned(), "-c".to_owned(), format!(": > /tmp/{name}; sleep 0.05")]
}

fn words(script: &[String; 3]) -> [&str; 3] {
    script.each_ref().map(String::as_str)
}

#[test]
fn the_first_act_of_a_container_has_its_names() {
    let _alone = alone();
    let containerd = Containerd::with_cri(None).unwrap();
    let pods = Pods::new(&containerd).unwrap();
    let pod = pods.pod("shop", "web-0", "uid-0").unwrap();
    // Hardly anything is held back: who is not known before the first act stays without a name.
    let trace = trace(&containerd, &["--resolve-timeout", "1ms"]);
    let mut ids = BTreeSet::new();
    for number in 0..20 {
        let name = format!("first-{number}");
        let id = pod.run(&name, &words(&script(&name)), LIMIT).unwrap();
        trace.wait_for_event(&event(&pod, &name, &id, &format!("/tmp/{name}"))).unwrap();
        ids.insert(id);
    }
    assert_eq!(ids.len(), 20);
    let events = trace.events();
    let of_containers = |event: &&Map<String, Value>| {
        event.get("container.id").and_then(Value::as_str).is_some_and(|id| ids.contains(id))
    };
    let (named, others): (Vec<_>, Vec<_>) = events.iter().partition(of_containers);
    assert!(named.len() >= 20 && others.is_empty(), "{} events, and besides {others:#?}", named.len());
    let nameless: Vec<_> = named.iter().filter(|event| event.contains_key("inotrail.resource.unresolved")).collect();
    assert!(nameless.is_empty(), "{nameless:#?}");
    println!("{} events of 20 containers, all named", named.len());
}

#[test]
fn what_ran_before_has_its_names() {
    let _alone = alone();
    let containerd = Containerd::with_cri(None).unwrap();
    let pods = Pods::new(&containerd).unwrap();
    let pod = pods.pod("shop", "web-0", "uid-0").unwrap();
    let ids = ["a", "b", "c"].map(|name| {
        let script = format!("while :; do : > /tmp/{name}; sleep 0.1; done");
        let id = pod.container(name, &["/bin/sh", "-c", &script]).unwrap();
        pods.start(&id).unwrap();
        (name, id)
    });
    let made = pod.container("made", &words(&script("made"))).unwrap();
    let trace = trace(&containerd, &[]);
    for (name, id) in &ids {
        trace.wait_for_event(&event(&pod, name, id, &format!("/tmp/{name}"))).unwrap();
    }
    pods.start(&made).unwrap();
    trace.wait_for_event(&event(&pod, "made", &made, "/tmp/made")).unwrap();
    // A pod whose names come after its first program has started, and which is waited for.
    let late = pods.pod("shop", "late-0", "uid-1").unwrap();
    let pause = [("k8s.pod.name", "late-0"), ("k8s.container.name", "POD"), ("container.id", &late.id)];
    trace.wait_for_event(&pause).unwrap();
    late.remove().unwrap();
}

#[test]
fn an_exporter_that_dies_or_hangs_fails_no_container() {
    let _alone = alone();
    let containerd = Containerd::with_cri(None).unwrap();
    let pods = Pods::new(&containerd).unwrap();
    let pod = pods.pod("shop", "web-0", "uid-0").unwrap();
    let run = |name: &str| {
        let started = Instant::now();
        let id = pod.run(name, &words(&script(name)), LIMIT).unwrap();
        (id, started.elapsed())
    };
    let killed = trace(&containerd, &[]);
    killed.signal(Signal::KILL).unwrap();
    let (_, alone) = run("nobody-there");
    drop(killed);

    let trace = trace(&containerd, &[]);
    let (id, _) = run("restarted");
    trace.wait_for_event(&event(&pod, "restarted", &id, "/tmp/restarted")).unwrap();

    trace.signal(Signal::STOP).unwrap();
    let took = ["hanging-0", "hanging-1", "hanging-2"].map(|name| run(name).1);
    trace.signal(Signal::CONT).unwrap();
    let waited: Vec<_> = took.iter().filter(|took| **took >= DROPPED_AFTER).collect();
    assert!(waited.len() == 1 && took[0] >= DROPPED_AFTER, "one container waits: {took:?}");
    assert!(took[0] < DROPPED_AFTER * 2 + alone, "{took:?}, and {alone:?} without a plugin");
    println!("without a plugin {alone:?}; with one that hangs {took:?}");

    trace.wait_for_log(CONNECTED, 2).unwrap();
    let (id, _) = run("back");
    trace.wait_for_event(&event(&pod, "back", &id, "/tmp/back")).unwrap();
}
