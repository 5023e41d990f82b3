//! Files of volumes, by a real kubelet: which object they are made of, and whose they are. Needs root.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use e2e::cluster::{Cluster, containers};
use e2e::exporter::{Attributes, Trace};
use e2e::image;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

const NAMESPACE: &str = "shop";

/// Reads everything that is mounted, again and again, first of all at once.
const READ: &str = "while :; do cat /secret/pw /conf/site /conf-part/site /data/file /empty/file /fields/name \
    /var/run/secrets/kubernetes.io/serviceaccount/token /var/run/secrets/kubernetes.io/serviceaccount/ca.crt \
    /logs/file /etc/passwd /etc/hosts; sleep 0.3; done";

/// A file as the container asks for it, and what its events say; nothing: they say nothing.
type Expected = (&'static str, &'static [(&'static str, &'static str)]);

const VOLUME: &str = "k8s.volume.name";
const TYPE: &str = "k8s.volume.type";
const CLAIM: &str = "k8s.persistentvolumeclaim.name";
const KIND: &str = "inotrail.volume.object.kind";
const NAME: &str = "inotrail.volume.object.name";
const KEY: &str = "inotrail.volume.object.key";
const OWNER: &str = "inotrail.owner.kind";
const OWNER_POD: &str = "inotrail.owner.k8s.pod.name";
const OWNER_NAMESPACE: &str = "inotrail.owner.k8s.namespace.name";
const PLACE: [&str; 9] = [VOLUME, TYPE, CLAIM, KIND, NAME, KEY, OWNER, OWNER_POD, OWNER_NAMESPACE];

const SITE: &[(&str, &str)] =
    &[(VOLUME, "conf"), (TYPE, "configMap"), (KIND, "ConfigMap"), (NAME, "web-conf"), (KEY, "site")];
const OWN: [Expected; 11] = [
    ("/secret/pw", &[(VOLUME, "secret"), (TYPE, "secret"), (KIND, "Secret"), (NAME, "db"), (KEY, "password")]),
    ("/conf/site", SITE),
    ("/conf-part/site", SITE),
    ("/data/file", &[(VOLUME, "data"), (TYPE, "persistentVolumeClaim"), (CLAIM, "data")]),
    ("/empty/file", &[(VOLUME, "empty"), (TYPE, "emptyDir")]),
    (
        "/fields/name",
        &[(VOLUME, "fields"), (TYPE, "downwardAPI"), (KIND, "Pod"), (NAME, "web"), (KEY, "metadata.name")],
    ),
    (
        "/var/run/secrets/kubernetes.io/serviceaccount/token",
        &[(TYPE, "projected"), (KIND, "ServiceAccount"), (NAME, "default"), (KEY, "token")],
    ),
    (
        "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt",
        &[(TYPE, "projected"), (KIND, "ConfigMap"), (NAME, "kube-root-ca.crt"), (KEY, "ca.crt")],
    ),
    ("/logs/file", &[(VOLUME, "logs"), (TYPE, "hostPath"), (OWNER, "host")]),
    ("/etc/passwd", &[(KIND, "Image")]),
    ("/etc/hosts", &[]),
];

fn objects(cluster: &Cluster) {
    cluster.create_namespace(NAMESPACE).unwrap();
    let named = |name: &str| json!({"name": name, "namespace": NAMESPACE});
    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": named("db"), "stringData": {"password": "x"}});
    cluster.create(secret).unwrap();
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": named("web-conf"), "data": {"site": "one"}});
    cluster.create(map).unwrap();
    let size = json!({"storage": "1Mi"});
    let disk = json!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "disk"},
        "spec": {
            "capacity": size, "accessModes": ["ReadWriteMany"], "storageClassName": "",
            "hostPath": {"path": "/var/lib/disk", "type": "DirectoryOrCreate"},
        },
    });
    cluster.create(disk).unwrap();
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": named("data"),
        "spec": {
            "accessModes": ["ReadWriteMany"], "storageClassName": "", "volumeName": "disk",
            "resources": {"requests": size},
        },
    });
    cluster.create(claim).unwrap();
}

fn pod(name: &str, script: &str, volumes: &Value, mounts: &Value) -> Value {
    let container = json!({
        "name": "app", "image": image::NAME, "imagePullPolicy": "Never",
        "command": ["/bin/sh", "-c", script], "volumeMounts": mounts,
    });
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [container], "volumes": volumes},
    })
}

fn web() -> Value {
    let volumes = json!([
        {"name": "secret", "secret": {"secretName": "db", "items": [{"key": "password", "path": "pw"}]}},
        {"name": "conf", "configMap": {"name": "web-conf"}},
        {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
        {"name": "empty", "emptyDir": {}},
        {"name": "fields", "downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}},
        {"name": "logs", "hostPath": {"path": "/var/log/web", "type": "DirectoryOrCreate"}},
    ]);
    let mounts = json!([
        {"name": "secret", "mountPath": "/secret"},
        {"name": "conf", "mountPath": "/conf"},
        {"name": "conf", "mountPath": "/conf-part/site", "subPath": "site"},
        {"name": "data", "mountPath": "/data"},
        {"name": "empty", "mountPath": "/empty"},
        {"name": "fields", "mountPath": "/fields"},
        {"name": "logs", "mountPath": "/logs"},
    ]);
    let make = "for each in data empty logs; do : > /$each/file; done; ";
    pod("web", &format!("{make}{READ}"), &volumes, &mounts)
}

/// The path that was asked for.
fn asked(event: &Attributes) -> &str {
    let text = |key| event.get(key).and_then(Value::as_str);
    text("inotrail.file.requested_path").or(text("file.path")).unwrap_or_default()
}

/// What the event says of the file's place, without a name that the API server makes up.
fn place(event: &Attributes) -> Vec<(&str, &str)> {
    let all = PLACE.iter().filter_map(|key| Some((*key, event.get(*key)?.as_str()?)));
    all.filter(|(key, value)| *key != VOLUME || !value.starts_with("kube-api-access-")).collect()
}

/// Whether the pod's own program did it: until that runs, it is its runtime that acts in its cgroup.
fn is_of(event: &Attributes, pod: &str) -> bool {
    let text = |key| event.get(key).and_then(Value::as_str);
    text("k8s.pod.name") == Some(pod) && text("thread.name") == Some("cat")
}

/// Waits until every file was read by the pod, and compares every one of its events.
fn check(trace: &Trace, pod: &str, files: &[Expected]) {
    for (path, _) in files {
        trace.find(path, |event| is_of(event, pod) && asked(event) == *path).unwrap();
    }
    for event in trace.events().iter().filter(|event| is_of(event, pod) && event.contains_key("file.inode")) {
        if let Some((path, expected)) = files.iter().find(|(path, _)| asked(event) == *path) {
            assert_eq!(place(event), *expected, "{pod} {path}: {event:?}");
        }
    }
}

/// What the host's `cat` of a file is told as.
fn by_host(cluster: &Cluster, trace: &Trace, path: &str) -> Vec<(String, String)> {
    let read = cluster.nodes[0].place().command("cat").arg(path).output().unwrap();
    assert!(read.status.success(), "{path}: {}", String::from_utf8_lossy(&read.stderr));
    let event = trace.find(path, |event| asked(event) == path && !event.contains_key("container.id")).unwrap();
    place(&event).into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// Where the kubelet keeps a volume of the pod.
fn kubelets(pod: &Pod, plugin: &str, volume: &str) -> String {
    let uid = pod.metadata.uid.as_ref().unwrap();
    format!("/var/lib/kubelet/pods/{uid}/volumes/kubernetes.io~{plugin}/{volume}")
}

#[test]
fn files_of_volumes() {
    let cluster = Cluster::start(1, None).unwrap();
    objects(&cluster);
    let node = &cluster.nodes[0];
    let kubeconfig = cluster.api.kubeconfig.to_str().unwrap();
    let socket = node.containerd.socket.to_str().unwrap();
    let arguments = ["--kubeconfig", kubeconfig, "--node-name", &node.name, "--runtime-socket", socket];
    // The kubelet's mounts are seen where it runs.
    let trace = Trace::start_in(node.place(), &arguments).unwrap();
    trace.wait_for_log("watching by", 1).unwrap();

    cluster.create(web()).unwrap();
    let web = cluster.ready_pod(NAMESPACE, "web").unwrap();
    check(&trace, "web", &OWN);

    // The object changes: another directory, the same key.
    let before = trace.wait_for_event(&[("inotrail.file.requested_path", "/conf/site")]).unwrap();
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web-conf", "namespace": NAMESPACE},
        "data": {"site": "two"},
    });
    cluster.change(&map).unwrap();
    let swapped = |event: &Attributes| asked(event) == "/conf/site" && event["file.path"] != before["file.path"];
    assert_eq!(place(&trace.find("another version", swapped).unwrap()), SITE);

    // The host reads the same files.
    let of_web = [(OWNER, "pod"), (OWNER_POD, "web"), (OWNER_NAMESPACE, NAMESPACE)];
    let secret = kubelets(&web, "secret", "secret") + "/pw";
    assert_eq!(by_host(&cluster, &trace, &secret), owned(&[OWN[0].1, &of_web].concat()));
    let site = kubelets(&web, "configmap", "conf") + "/site";
    assert_eq!(by_host(&cluster, &trace, &site), owned(&[SITE, &of_web].concat()));
    let data = by_host(&cluster, &trace, "/var/lib/disk/file");
    assert_eq!(data, owned(&[OWN[3].1, &of_web].concat()));
    let (_, id) = &containers(&web)[0];
    let pid = node.containerd.pids(id).unwrap()[0];
    let of_container = [(KIND, "Image"), (OWNER, "container"), (OWNER_POD, "web"), (OWNER_NAMESPACE, NAMESPACE)];
    assert_eq!(by_host(&cluster, &trace, &format!("/proc/{pid}/root/etc/passwd")), owned(&of_container));
    let secret = format!("/proc/{pid}/root/secret/pw");
    assert_eq!(by_host(&cluster, &trace, &secret), owned(&[OWN[0].1, &of_web].concat()));

    // Another pod reads them through the node's root, and has the same claim.
    let secret = format!("/host{}/pw", kubelets(&web, "secret", "secret"));
    let script = format!("while :; do cat {secret} /host/etc/hostname /data/file; sleep 0.3; done");
    let volumes = json!([
        {"name": "node", "hostPath": {"path": "/"}}, {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
    ]);
    let mounts = json!([{"name": "node", "mountPath": "/host"}, {"name": "data", "mountPath": "/data"}]);
    cluster.create(pod("spy", &script, &volumes, &mounts)).unwrap();
    cluster.ready_pod(NAMESPACE, "spy").unwrap();
    let of = |path: &str| {
        let event = trace.find(path, |event| is_of(event, "spy") && asked(event) == path).unwrap();
        owned(&place(&event))
    };
    assert_eq!(of(&secret), owned(&[OWN[0].1, &of_web].concat()));
    assert_eq!(of("/host/etc/hostname"), owned(&[(VOLUME, "node"), (TYPE, "hostPath"), (OWNER, "host")]));
    let shared = [OWN[3].1, &[(OWNER, "volume"), (OWNER_NAMESPACE, NAMESPACE)]].concat();
    trace.find("a claim of two", |event| is_of(event, "web") && place(event) == shared).unwrap();
    assert_eq!(of("/data/file"), owned(&shared));
}
