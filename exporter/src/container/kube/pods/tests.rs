use serde_json::{Value, json};

use super::*;

const UID: &str = "0b9c3d1e-5f4a-4b6c-8d7e-9f0a1b2c3d4e";

fn pod(metadata: Value, status: &Value) -> ApiPod {
    let mut all = json!({"namespace": "shop", "name": "web-0", "uid": UID});
    let Value::Object(more) = metadata else { panic!("{metadata}") };
    all.as_object_mut().unwrap().extend(more);
    serde_json::from_value(json!({"metadata": all, "status": status})).unwrap()
}

fn owner(kind: &str, name: &str) -> Value {
    json!([{"apiVersion": "v1", "kind": kind, "name": name, "uid": "owner", "controller": true}])
}

#[test]
fn owners() {
    let check = |owners: Value, labels: Value, expected: Option<(OwnerKind, &str)>| {
        let api = pod(json!({"ownerReferences": owners, "labels": labels}), &json!({}));
        let owners = &news(&api, &[]).unwrap().pod.details.unwrap().owners;
        assert_eq!(owners.first().map(|owner| (owner.kind, &*owner.name)), expected);
    };
    let hash = json!({"pod-template-hash": "7d4b9c"});
    check(owner("ReplicaSet", "web-7d4b9c"), hash.clone(), Some((OwnerKind::Deployment, "web")));
    check(owner("ReplicaSet", "a-b-7d4b9c"), hash.clone(), Some((OwnerKind::Deployment, "a-b")));
    check(owner("ReplicaSet", "bare"), hash, Some((OwnerKind::ReplicaSet, "bare")));
    check(owner("ReplicaSet", "web-7d4b9c"), json!({}), Some((OwnerKind::ReplicaSet, "web-7d4b9c")));
    check(owner("StatefulSet", "db"), json!({}), Some((OwnerKind::StatefulSet, "db")));
    check(owner("DaemonSet", "agent"), json!({}), Some((OwnerKind::DaemonSet, "agent")));
    check(owner("Job", "backup-1"), json!({}), Some((OwnerKind::Job, "backup-1")));
    check(owner("Node", "node1"), json!({}), None);
    check(json!([{"apiVersion": "v1", "kind": "Job", "name": "no-controller", "uid": "u"}]), json!({}), None);
    check(json!([]), json!({}), None);
}

#[test]
fn a_jobs_cron_job() {
    let api = pod(json!({"ownerReferences": owner("Job", "backup-1")}), &json!({}));
    assert_eq!(job_of(&api), Some(("owner".to_owned(), "backup-1".to_owned())));
    let job: ObjectMeta = serde_json::from_value(json!({"ownerReferences": owner("CronJob", "backup")})).unwrap();
    assert_eq!(cron_job(&job).as_deref(), Some("backup"));
    assert_eq!(cron_job(&ObjectMeta::default()), None);
    let mut news = news(&api, &[]).unwrap();
    news.add_owner("backup".to_owned());
    assert_eq!(news.pod.service_name(), Some("backup"));
    assert_eq!(job_of(&pod(json!({}), &json!({}))), None);
}

#[test]
fn containers_of_every_list() {
    let status = |name: &str, id: Value| json!({"name": name, "containerID": id, "image": "a/b:1", "imageID": "a/b@sha256:00", "ready": true, "restartCount": 1});
    let api = pod(
        json!({"annotations": {"resource.opentelemetry.io/service.name": "named"}}),
        &json!({
            "initContainerStatuses": [status("init", "containerd://i".into())],
            "containerStatuses": [status("app", "cri-o://a".into()), status("waiting", Value::Null), status("odd", "odd".into())],
            "ephemeralContainerStatuses": [status("debug", "strange://d".into())],
        }),
    );
    let news = news(&api, &[]).unwrap();
    let shown: Vec<_> = news
        .containers
        .iter()
        .map(|(id, metadata)| {
            assert_eq!(metadata.pod.as_ref(), Some(&news.pod));
            assert_eq!(metadata.image.as_ref().unwrap().repo_digests, ["a/b@sha256:00"]);
            let Origin::Container { id: own, name, runtime, resolved: true } = &metadata.origin else { panic!() };
            assert_eq!(id, own);
            format!("{id} {name} {runtime}")
        })
        .collect();
    assert_eq!(shown, ["i init containerd", "a app cri-o", "d debug "]);
    assert_eq!(news.pod.service_name(), Some("named"));
    assert_eq!((news.pod.service_namespace(), &*news.pod.uid), ("shop", UID));
}

#[test]
fn a_static_pod_has_two_names() {
    let api = pod(json!({"annotations": {"kubernetes.io/config.hash": "hash"}}), &json!({}));
    assert_eq!((cgroup_uid(&api).as_deref(), news(&api, &[]).unwrap().hash.as_deref()), (Some("hash"), Some("hash")));
    assert_eq!(cgroup_uid(&pod(json!({}), &json!({}))).as_deref(), Some(UID));
    // What lacks a name cannot be a pod's.
    let nameless: ApiPod = serde_json::from_value(json!({"metadata": {"uid": UID}})).unwrap();
    assert_eq!(news(&nameless, &[]), None);
}

#[test]
fn pods_of_an_account_and_no_others_are_left_out() {
    let accounts = ["audit/loki".parse().unwrap()];
    let check = |namespace: &str, account: Option<&str>, expected: bool| {
        let mut api =
            pod(json!({"namespace": namespace, "name": "loki", "labels": {"serviceAccountName": "loki"}}), &json!({}));
        api.spec = Some(serde_json::from_value(json!({"serviceAccountName": account, "containers": []})).unwrap());
        let details = news(&api, &accounts).unwrap().pod.details.unwrap();
        assert_eq!(details.is_excluded, expected, "{namespace} {account:?}");
    };
    check("audit", Some("loki"), true);
    check("audit", Some("default"), false);
    check("audit", None, false);
    check("shop", Some("loki"), false);
}
