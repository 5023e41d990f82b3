//! What somebody reaches who may edit one namespace.

use e2e::interrupt;
use inotrail::policy::crd;
use kube::Api;
use kube::api::{DynamicObject, PostParams};
use kube::core::ApiResource;
use serde_json::{Value, json};

use super::{Bench, FILES, LIMIT, cluster_policy, policy, rule};

/// By what Kubernetes lets somebody do who may edit a namespace, and by what the exporter makes of each field.
pub(super) fn tenants_reach_their_own_namespace_alone(bench: &Bench) {
    let client = tenant(bench);
    let call = |policy: &Value| bench.cluster.call(create_as(&client, policy));
    let spec = |more: Value| {
        let mut spec = json!({"rules": [rule(&["/**"])]});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        spec
    };
    let own = policy("shop", "tenant", spec(json!({})));
    interrupt::wait_for("rights of the tenant", LIMIT, || Ok(call(&own).ok())).unwrap();
    bench.check(&FILES.map(|file| ("shop", file)));
    let refused = |policy: &Value| {
        let error = format!("{:?}", call(policy).unwrap_err());
        assert!(error.contains("forbidden"), "{error}");
    };
    refused(&policy("bank", "tenant", spec(json!({}))));
    refused(&cluster_policy("tenant", spec(json!({}))));
    let everybody = json!({"matchExpressions": [{"key": "no-such-label", "operator": "DoesNotExist"}]});
    for (field, value) in [
        ("podSelector", everybody.clone()),
        ("containers", json!(["*"])),
        ("images", json!(["*", "!no-such-image"])),
        ("mode", json!("active")),
        (
            "rules",
            json!([{"name": "all", "paths": ["/**", "**", "/proc/1/root/**", "**/*"], "executables": ["/**"],
            "labels": {"k8s.namespace.name": "bank"}}]),
        ),
    ] {
        let mut wide = own.clone();
        wide["spec"][field] = value;
        bench.cluster.change(&wide).unwrap();
        bench.check(&FILES.map(|file| ("shop", file)));
    }
    // Fields that a policy of the cluster has are unknown to a tenant's.
    for (field, value) in [("hostProcesses", json!(true)), ("namespaceSelector", everybody)] {
        let mut wide = own.clone();
        wide["spec"][field] = value;
        wide["metadata"]["name"] = "wide".into();
        let created = call(&wide).unwrap();
        assert!(created.data["spec"].get(field).is_none(), "{created:?}");
        bench.check(&FILES.map(|file| ("shop", file)));
        bench.delete(&wide);
    }
    bench.delete(&own);
}

/// Somebody who may edit the namespace `shop`.
fn tenant(bench: &Bench) -> kube::Client {
    let api = &bench.cluster.api;
    bench
        .cluster
        .create(json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": "tenant", "namespace": "shop"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "tenant"}],
        }))
        .unwrap();
    let file = api.authority.kubeconfig(&api.url, "tenant", "tenant", None).unwrap();
    bench.cluster.call(inotrail::container::kube::client(Some(file))).unwrap()
}

async fn create_as(client: &kube::Client, policy: &Value) -> kube::Result<DynamicObject> {
    let object: DynamicObject = serde_json::from_value(policy.clone()).unwrap();
    let (resource, namespace) = (of_policy(policy), policy["metadata"]["namespace"].as_str());
    let api = match namespace {
        Some(namespace) => Api::<DynamicObject>::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    api.create(&PostParams::default(), &object).await
}

fn of_policy(policy: &Value) -> ApiResource {
    match policy["kind"].as_str() {
        Some("FileAccessPolicy") => ApiResource::erase::<crd::FileAccessPolicy>(&()),
        _ => ApiResource::erase::<crd::ClusterFileAccessPolicy>(&()),
    }
}
