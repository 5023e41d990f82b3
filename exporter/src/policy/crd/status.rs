//! What nodes say of a policy.

pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::Backend;

/// Nodes that say something of one policy: an entry, and who owns which of its fields, take 1 KB, and etcd takes objects of
/// 1.5 MiB.
const NODES_MAX: usize = 1_000;
/// Accepted, Active, Degraded.
const CONDITIONS_MAX: usize = 3;
/// Bytes of a condition's message.
pub const MESSAGE_MAX: usize = 256;

/// What nodes say of a policy.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyStatus {
    /// One entry per node, written by the exporter there.
    #[serde(default)]
    #[schemars(length(max = NODES_MAX), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["node"]))]
    pub nodes: Vec<NodeStatus>,
}

/// What one node says.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// The node's name.
    pub node: String,
    /// Which generation of the policy this is about.
    pub observed_generation: i64,
    /// Whether it is in force there.
    pub state: NodeState,
    /// What reports accesses there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<Backend>,
    /// Containers there that it is about.
    pub containers: i64,
    /// Whole paths in its rules that lead to a file in none of these containers, as far as the node may look.
    #[serde(default)]
    pub unresolved: i64,
    /// Accesses that were to be recorded, since the exporter there was started.
    pub records: i64,
    /// Accesses that were violations, since the exporter there was started.
    pub violations: i64,
    /// Records that a policy in dry-run would make, as in the last minute. Absent for the first ten seconds, and in other modes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_per_minute: Option<i64>,
    /// Accepted: it is right, or where it is wrong. Active: it is in force. Degraded: the node may miss what it is about.
    // In the node's own entry: of a list for the whole policy, with one condition per type, nodes that see it differently would
    // have to take the entries from each other again and again. One writer has the whole list, so that it is owned as one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = CONDITIONS_MAX), extend("x-kubernetes-list-type" = "atomic"))]
    pub conditions: Vec<Condition>,
}

/// Whether a policy is in force on a node.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
pub enum NodeState {
    /// It is.
    #[default]
    Active,
    /// It counts only.
    DryRun,
    /// It is wrong; an earlier version of it stays in force, if there was one.
    Refused,
}
