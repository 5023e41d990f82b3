use serde_json::{Value, json};

use super::*;

fn of(volumes: &Value) -> PodVolumes {
    let pod = json!({
        "metadata": {"name": "web-1", "namespace": "shop", "uid": "u"},
        "spec": {
            "serviceAccountName": "seller",
            "volumes": volumes,
            "initContainers": [{"name": "setup", "volumeMounts": [{"name": "v", "mountPath": "/setup"}]}],
            "containers": [
                {"name": "app", "volumeMounts": [{"name": "v", "mountPath": "/v"}, {"name": "none", "mountPath": "/n"}]},
            ],
            "ephemeralContainers": [{"name": "debug", "volumeMounts": [{"name": "v", "mountPath": "/debug"}]}],
        },
    });
    super::volumes(&serde_json::from_value(pod).unwrap())
}

/// Type, claim, and of each source kind, name and items as `path=key`.
#[track_caller]
fn check(volume: Value, kind: &str, claim: &str, sources: &[(&str, &str, &[&str])]) {
    let mut volume = volume;
    volume["name"] = "v".into();
    let found = of(&json!([volume]));
    let [volume] = &*found.volumes else { panic!("{found:?}") };
    let of_source = |source: &VolumeSource| {
        let items = source.items.iter().map(|(path, key)| format!("{path}={key}")).collect::<Vec<_>>();
        (source.kind, source.name.clone(), items)
    };
    let found: Vec<_> = volume.sources.iter().map(of_source).collect();
    let expected: Vec<_> = sources
        .iter()
        .map(|(kind, name, items)| (*kind, (*name).to_owned(), items.iter().map(|item| (*item).to_owned()).collect()))
        .collect();
    assert_eq!((&*volume.kind, &*volume.claim, found), (kind, claim, expected));
}

#[test]
fn kinds_of_volumes() {
    check(json!({"secret": {"secretName": "db"}}), "secret", "", &[("Secret", "db", &[])]);
    let items = json!([{"key": "site", "path": "conf/site.ini"}]);
    let map = json!({"configMap": {"name": "web", "items": items}});
    check(map, "configMap", "", &[("ConfigMap", "web", &["conf/site.ini=site"])]);
    check(json!({"persistentVolumeClaim": {"claimName": "data"}}), "persistentVolumeClaim", "data", &[]);
    check(json!({"ephemeral": {"volumeClaimTemplate": {"spec": {}}}}), "ephemeral", "web-1-v", &[]);
    check(json!({"hostPath": {"path": "/"}}), "hostPath", "", &[]);
    check(json!({"nfs": {"path": "/", "server": "x"}}), "nfs", "", &[]);
    check(json!({"emptyDir": {}}), "emptyDir", "", &[]);
    check(json!({}), "emptyDir", "", &[]);
    let fields = json!({"downwardAPI": {"items": [
        {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
        {"path": "cpu", "resourceFieldRef": {"resource": "limits.cpu"}},
    ]}});
    check(fields, "downwardAPI", "", &[("Pod", "web-1", &["labels=metadata.labels", "cpu=limits.cpu"])]);
}

#[test]
fn projected_sources() {
    let sources = json!([
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
        {"secret": {"name": "db"}},
        {"clusterTrustBundle": {"name": "roots", "path": "roots.pem"}},
    ]);
    check(
        json!({"projected": {"sources": sources}}),
        "projected",
        "",
        &[
            ("ServiceAccount", "seller", &["token=token"]),
            ("ConfigMap", "kube-root-ca.crt", &["ca.crt=ca.crt"]),
            ("Pod", "web-1", &["namespace=metadata.namespace"]),
            ("Secret", "db", &[]),
            ("ClusterTrustBundle", "roots", &["roots.pem="]),
        ],
    );
}

#[test]
fn every_kind_of_container_has_wishes() {
    let volumes = of(&json!([{"name": "other"}, {"name": "v", "emptyDir": {}}]));
    for (container, expected) in [("setup", "/setup"), ("app", "/v"), ("debug", "/debug")] {
        let found: Vec<_> = volumes.of(container).map(|(path, volume)| (path, &*volume.name)).collect();
        assert_eq!(found, [(expected, "v")], "{container}");
    }
    assert_eq!(volumes.of("none").count(), 0);
    assert_eq!(volumes.get(b"v").map(|volume| &*volume.kind), Some("emptyDir"));
}
