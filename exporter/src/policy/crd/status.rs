//! What nodes say of a policy.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Nodes that say something of one policy: with all of them an object stays well below the API server's limit.
const NODES_MAX: usize = 5_000;

/// What nodes say of a policy.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyStatus {
    /// One entry per node, written by the exporter there.
    #[serde(default)]
    #[schemars(length(max = NODES_MAX), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["node"]))]
    pub nodes: Vec<NodeStatus>,
}

/// What one node says.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// The node's name.
    pub node: String,
    /// Which generation of the policy this is about.
    pub observed_generation: i64,
    /// Whether it is in force there.
    pub state: NodeState,
    /// Why it is refused, and where it is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Containers there that it is about.
    pub containers: i64,
    /// Accesses that were to be recorded, since the exporter there was started.
    pub records: i64,
    /// Accesses that were violations, since the exporter there was started.
    pub violations: i64,
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
