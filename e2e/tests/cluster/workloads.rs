//! Pods that open files all the time.

use e2e::image;
use serde_json::{Value, json};

/// Where the pods are.
pub(crate) const NAMESPACE: &str = "shop";
/// A program that makes a file twice a second.
pub(crate) const TICK: &str = "while :; do : > /tmp/tick; sleep 0.5; done";

/// A container that runs a shell script.
pub(crate) fn container(name: &str, script: &str) -> Value {
    json!({"name": name, "image": image::NAME, "imagePullPolicy": "Never", "command": ["/bin/sh", "-c", script]})
}

/// A pod; `more` has its containers.
pub(crate) fn pod(name: &str, more: &Value) -> Value {
    let mut pod = more.clone();
    pod["apiVersion"] = "v1".into();
    pod["kind"] = "Pod".into();
    pod["metadata"]["name"] = name.into();
    pod["metadata"]["namespace"] = NAMESPACE.into();
    // Shells that are the first process of a container do not end when they are told to.
    pod["spec"]["terminationGracePeriodSeconds"] = 0.into();
    pod
}

/// Pods with an init container, a sidecar, and two containers.
pub(crate) fn deployment(name: &str, replicas: u32) -> Value {
    let mut sidecar = container("sidecar", TICK);
    sidecar["restartPolicy"] = "Always".into();
    workload(
        "Deployment",
        name,
        replicas,
        &json!({
            "initContainers": [container("init", ": > /tmp/init"), sidecar],
            "containers": [container("app", TICK), container("second", TICK)],
        }),
    )
}

/// Pods of one container.
pub(crate) fn stateful_set(name: &str, replicas: u32) -> Value {
    workload("StatefulSet", name, replicas, &json!({"containers": [container("app", TICK)]}))
}

/// Its pods' labels say what their events are to say of it.
pub(crate) fn workload(kind: &str, name: &str, replicas: u32, spec: &Value) -> Value {
    let labels = json!({"app": name, "kind": kind.to_lowercase()});
    let mut spec = spec.clone();
    spec["terminationGracePeriodSeconds"] = 0.into();
    json!({
        "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    })
}
