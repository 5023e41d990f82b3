//! Policies as users write them: the resources of group `inotrail.dev`. Their comments are what `kubectl explain` says.
#![expect(unreachable_pub, reason = "kube's macro writes such")]
#![expect(clippy::duplicated_attributes, reason = "columns have a type in common")]

use garde::Validate;
pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use kube::{CustomResource, CustomResourceExt as _, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod check;
mod decoy;
mod roles;
mod rule;
mod status;

pub use decoy::DecoySpec;
pub(super) use decoy::mode as decoy_mode;
pub use rule::RuleSpec;
pub use status::{Condition, MESSAGE_MAX, NodeState, NodeStatus, PolicyStatus, Time};

/// API group and version of all resources.
pub const API_VERSION: &str = "inotrail.dev/v1alpha1";

/// CEL: what the API server itself does not check of a selector in a resource of somebody else's.
const SELECTOR: &str = "!has(self.matchExpressions) || self.matchExpressions.all(e, e.operator in ['In', 'NotIn'] ? has(e.values) && size(e.values) > 0 : e.operator in ['Exists', 'DoesNotExist'] && (!has(e.values) || size(e.values) == 0))";
const SELECTOR_MESSAGE: &str = "operator is In or NotIn with values, or Exists or DoesNotExist without";

/// CEL: what a policy of the cluster is about.
const NAMED: &str =
    "!has(self.decoys) || !has(self.rules) || self.decoys.all(d, !self.rules.exists(r, r.name == d.name))";
const NAMED_MESSAGE: &str = "a rule and a decoy have one name: give each its own";
const SOMETHING: &str = "has(self.rules) && size(self.rules) > 0 || has(self.decoys) && size(self.decoys) > 0";
const SOMETHING_MESSAGE: &str = "spec.rules is empty, and there are no decoys";

/// Rules of one policy.
const RULES_MAX: usize = 64;
/// Decoys of one policy.
const DECOYS_MAX: usize = 16;
/// Globs of one list.
const NAMES_MAX: usize = 64;

/// Which file accesses of this namespace's pods are kept.
#[derive(Clone, CustomResource, Debug, Default, Deserialize, KubeSchema, Serialize, Validate)]
#[kube(
    group = "inotrail.dev",
    version = "v1alpha1",
    kind = "FileAccessPolicy",
    plural = "fileaccesspolicies",
    namespaced,
    shortname = "fap",
    status = "PolicyStatus",
    category = "inotrail",
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode"),
    printcolumn(name = "Nodes", type_ = "string", json_path = ".status.nodes[*].state"),
    printcolumn(name = "Containers", type_ = "string", json_path = ".status.nodes[*].containers"),
    printcolumn(name = "Violations", type_ = "string", json_path = ".status.nodes[*].violations"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    doc = "Which file accesses of this namespace's pods are kept."
)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct FileAccessPolicySpec {
    /// active: what a rule is about is kept. dry-run: it is counted only.
    #[garde(skip)]
    #[serde(default)]
    pub mode: Mode,
    /// Pods by their labels. Without it: all of the namespace.
    #[garde(custom(check::selector))]
    #[serde(default)]
    #[x_kube(validation = Rule::new(SELECTOR).message(SELECTOR_MESSAGE))]
    pub pod_selector: LabelSelector,
    /// Names of containers, as globs; one with ! in front leaves out. Without any: all.
    #[garde(length(max = NAMES_MAX), inner(custom(check::text)))]
    #[schemars(length(max = NAMES_MAX))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<String>,
    /// Names of images with their tags, as globs; one with ! in front leaves out. Without any: all.
    #[garde(length(max = NAMES_MAX), inner(custom(check::text)))]
    #[schemars(length(max = NAMES_MAX))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
    /// What is kept. An access that several rules are about names them all; the most severe one gives it its severity.
    #[garde(length(min = 1, max = RULES_MAX), custom(check::rules), dive)]
    #[schemars(length(min = 1, max = RULES_MAX))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned()]))]
    pub rules: Vec<RuleSpec>,
}

/// Which file accesses are kept on the whole cluster.
#[derive(Clone, CustomResource, Debug, Default, Deserialize, KubeSchema, Serialize, Validate)]
#[kube(
    group = "inotrail.dev",
    version = "v1alpha1",
    kind = "ClusterFileAccessPolicy",
    plural = "clusterfileaccesspolicies",
    shortname = "cfap",
    status = "PolicyStatus",
    category = "inotrail",
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode"),
    printcolumn(name = "Host", type_ = "boolean", json_path = ".spec.hostProcesses"),
    printcolumn(name = "Nodes", type_ = "string", json_path = ".status.nodes[*].state"),
    printcolumn(name = "Containers", type_ = "string", json_path = ".status.nodes[*].containers"),
    printcolumn(name = "Violations", type_ = "string", json_path = ".status.nodes[*].violations"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    doc = "Which file accesses are kept on the whole cluster."
)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(SOMETHING).message(SOMETHING_MESSAGE),
    validation = Rule::new(NAMED).message(NAMED_MESSAGE),
)]
pub struct ClusterFileAccessPolicySpec {
    /// active: what a rule is about is kept. dry-run: it is counted only.
    #[garde(skip)]
    #[serde(default)]
    pub mode: Mode,
    /// Namespaces by their labels. Without it: all, and containers that are in no pod.
    #[garde(custom(check::selector))]
    #[serde(default)]
    #[x_kube(validation = Rule::new(SELECTOR).message(SELECTOR_MESSAGE))]
    pub namespace_selector: LabelSelector,
    /// Pods by their labels. Without it: all, and containers that are in no pod.
    #[garde(custom(check::selector))]
    #[serde(default)]
    #[x_kube(validation = Rule::new(SELECTOR).message(SELECTOR_MESSAGE))]
    pub pod_selector: LabelSelector,
    /// Whether it is about processes of the nodes too that are in no container.
    #[garde(skip)]
    #[serde(default)]
    pub host_processes: bool,
    /// Names of containers, as globs; one with ! in front leaves out. Without any: all.
    #[garde(length(max = NAMES_MAX), inner(custom(check::text)))]
    #[schemars(length(max = NAMES_MAX))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<String>,
    /// Names of images with their tags, as globs; one with ! in front leaves out. Without any: all.
    #[garde(length(max = NAMES_MAX), inner(custom(check::text)))]
    #[schemars(length(max = NAMES_MAX))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
    /// What is kept. An access that several rules are about names them all; the most severe one gives it its severity.
    /// Without any, there are decoys.
    #[garde(length(max = RULES_MAX), custom(check::rules), custom(check::rules_or(&self.decoys)), dive)]
    #[schemars(length(max = RULES_MAX))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned()]))]
    pub rules: Vec<RuleSpec>,
    /// Files that exporters started with --decoys put into the containers, where none is yet. To touch one is a violation.
    #[garde(length(max = DECOYS_MAX), custom(check::decoys(&self.rules)), dive)]
    #[schemars(length(max = DECOYS_MAX))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned()]))]
    pub decoys: Vec<DecoySpec>,
}

/// What a policy does.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// What a rule is about is kept.
    #[default]
    Active,
    /// It is counted only.
    DryRun,
}

/// The definitions of all resources, and what tenants may do with theirs, as YAML documents.
#[must_use]
pub fn definitions() -> String {
    let definitions = [FileAccessPolicy::crd(), ClusterFileAccessPolicy::crd()].map(|crd| document(&crd));
    let roles = roles::tenants().map(|role| document(&role));
    [definitions, roles].concat().concat()
}

fn document(object: &impl Serialize) -> String {
    // Objects of names and texts have a form in YAML.
    format!("---\n{}", serde_saphyr::to_string(object).unwrap_or_default())
}

/// A field's path as users write it: `podSelector` for `pod_selector`.
pub(super) fn field(path: &str) -> String {
    let mut parts = path.split('_');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let (start, rest) = part.split_at(part.len().min(1));
        text + &start.to_uppercase() + rest
    })
}

#[cfg(test)]
mod tests;
