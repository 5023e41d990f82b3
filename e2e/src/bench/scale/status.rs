//! What a policy's status is when many nodes have said something of it, as their exporters do.

use anyhow::{Context as _, Result, bail};
use inotrail::policy::crd::{API_VERSION, ClusterFileAccessPolicy, NodeStatus};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde::Serialize;
use serde_json::json;

use super::node::{Cluster, POLICY};
use crate::bench::usage::cpu_seconds;

/// A policy, and what it takes to say one thing more of it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Status {
    pub(super) nodes: usize,
    /// Of the whole object, as it is told to each watch.
    pub(super) object_bytes: usize,
    /// The API server's processor time for each of the last writes.
    pub(super) write_ms: f64,
}

/// Statuses of growing numbers of nodes.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Statuses {
    pub(super) taken: Vec<Status>,
    /// The first number that the API server does not take, and what it says.
    pub(super) refused: (usize, String),
}

/// Has as many nodes say what the exporter has said, up to each of these numbers; and as many as a status takes, and one more.
///
/// # Errors
/// The exporter has said nothing, or there is room for another number.
pub(super) fn measure(cluster: &Cluster, counts: &[usize], room: usize) -> Result<Statuses> {
    let said = cluster.policy()?.status.unwrap_or_default().nodes.into_iter().next();
    let said = said.context("the exporter has said nothing of the policy")?;
    let server = cluster.api.daemon.as_ref().context("no API server")?.pid();
    let (mut taken, mut nodes) = (Vec::new(), 1);
    for &count in counts {
        let (cpu, before) = (cpu_seconds(server)?, nodes);
        while nodes < count {
            nodes += 1;
            let name = format!("node-{nodes}");
            say(cluster, &name, std::slice::from_ref(&name), &said)?;
        }
        eprintln!("{count} nodes in a policy's status");
        let writes = (nodes - before).max(1) as f64;
        let object_bytes = serde_json::to_vec(&cluster.policy()?)?.len();
        taken.push(Status { nodes, object_bytes, write_ms: (cpu_seconds(server)? - cpu) * 1000.0 / writes });
    }
    let names: Vec<_> = (1..=room + 1).map(|number| format!("node-{number}")).collect();
    say(cluster, "all", &names[..room], &said).with_context(|| format!("{room} nodes"))?;
    match say(cluster, "all", &names, &said) {
        Err(kube::Error::Api(answer)) => Ok(Statuses { taken, refused: (room + 1, answer.message.clone()) }),
        other => bail!("{} nodes: {other:?}", room + 1),
    }
}

/// As an exporter does, but that says it of its own node alone.
fn say(cluster: &Cluster, who: &str, nodes: &[String], said: &NodeStatus) -> kube::Result<()> {
    let api = Api::<ClusterFileAccessPolicy>::all(cluster.api.client.clone());
    let entries: Vec<_> = nodes.iter().map(|node| NodeStatus { node: node.clone(), ..said.clone() }).collect();
    let params = PatchParams::apply(&format!("inotrail-{who}")).force();
    let status = json!({"apiVersion": API_VERSION, "kind": "ClusterFileAccessPolicy", "status": {"nodes": entries}});
    cluster.api.runtime.block_on(api.patch_status(POLICY, &params, &Patch::Apply(&status))).map(drop)
}
