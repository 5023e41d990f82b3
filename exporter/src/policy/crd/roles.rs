//! What tenants may do with policies of their own namespaces.

use std::collections::BTreeMap;

use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use kube::core::ObjectMeta;

/// Label that has a role's rules added to one that Kubernetes has from the start
/// (kubernetes.io/docs/reference/access-authn-authz/rbac, on aggregated roles).
const AGGREGATE: &str = "rbac.authorization.k8s.io/aggregate-to-";

/// Whoever may view a namespace's objects may view its policies, and whoever may edit them may edit these. Nobody is given
/// rights to policies of the cluster, nor to what nodes say of any.
pub(super) fn tenants() -> [ClusterRole; 2] {
    [
        role("inotrail-policies-view", &["view"], &["get", "list", "watch"]),
        role(
            "inotrail-policies-edit",
            &["edit", "admin"],
            &["create", "update", "patch", "delete", "deletecollection"],
        ),
    ]
}

fn role(name: &str, added_to: &[&str], verbs: &[&str]) -> ClusterRole {
    let labels: BTreeMap<_, _> =
        added_to.iter().map(|role| (format!("{AGGREGATE}{role}"), "true".to_owned())).collect();
    let rule = PolicyRule {
        api_groups: Some(vec!["inotrail.dev".to_owned()]),
        resources: Some(vec!["fileaccesspolicies".to_owned()]),
        verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
        ..PolicyRule::default()
    };
    ClusterRole {
        metadata: ObjectMeta { name: Some(name.to_owned()), labels: Some(labels), ..ObjectMeta::default() },
        rules: Some(vec![rule]),
        ..ClusterRole::default()
    }
}
