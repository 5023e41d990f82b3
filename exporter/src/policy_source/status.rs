//! Tells the API server what becomes of policies on this node.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, PartialObjectMeta};
use kube::{Api, Client};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::policy::Policy;
use crate::policy::crd::{API_VERSION, NodeState, NodeStatus};
use crate::policy::rule::Action;

/// How often is looked for what is new.
const EVERY: Duration = Duration::from_secs(1);
/// A policy's counts alone are told no more often, by all nodes together: every exporter is told of each of these changes.
const COUNTS_EVERY: Duration = Duration::from_secs(10);
const COUNTS_LATEST: Duration = Duration::from_secs(3600);
/// What is told at start has been told.
const SETTLED: Duration = Duration::from_secs(5);
/// How often is looked for nodes that are no more.
const NODES_EVERY: Duration = Duration::from_secs(600);
/// Policies told of in one look.
const WRITES_MAX: usize = 50;

/// A policy that the API server has told of.
#[derive(Clone, Debug)]
pub(super) struct Reported {
    pub(super) resource: ApiResource,
    pub(super) namespace: Option<String>,
    pub(super) name: String,
    pub(super) generation: i64,
    /// Why the generation is refused.
    pub(super) refused: Option<String>,
    /// What is in force; nothing where no version was right.
    pub(super) policy: Option<Arc<Policy>>,
    /// Nodes that have said something of it.
    pub(super) nodes: Nodes,
}

/// Names of nodes in a policy's status, as it was told last.
#[derive(Clone, Debug, Default)]
pub(super) struct Nodes(Arc<Mutex<Vec<String>>>);

impl Nodes {
    pub(super) fn of(object: &DynamicObject) -> Self {
        let nodes = Self::default();
        nodes.set(object);
        nodes
    }

    pub(super) fn set(&self, object: &DynamicObject) {
        let entries = object.data["status"]["nodes"].as_array().into_iter().flatten();
        let names = entries.filter_map(|entry| entry["node"].as_str().map(str::to_owned));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = names.collect();
    }

    fn get(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How often one of them tells its counts.
    fn counts_every(&self) -> Duration {
        let count = self.0.lock().unwrap_or_else(PoisonError::into_inner).len().max(1);
        COUNTS_EVERY.saturating_mul(count as u32).min(COUNTS_LATEST)
    }
}

/// One entry in each policy's status.
#[derive(Debug)]
pub(super) struct Reporter {
    node: String,
    policies: watch::Receiver<Vec<Reported>>,
    told: HashMap<Key, (NodeStatus, Instant)>,
    away: bool,
}

/// Kind, namespace and name.
type Key = (String, Option<String>, String);

impl Reporter {
    pub(super) fn new(node: String, policies: watch::Receiver<Vec<Reported>>) -> Self {
        Self { node, policies, told: HashMap::new(), away: false }
    }

    /// Tells until the future is dropped. What cannot be told now is told later.
    pub(super) async fn follow(mut self, client: Client) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut clean_at = Instant::now() + SETTLED;
        loop {
            ticks.tick().await;
            for (policy, status) in self.due(Instant::now()) {
                self.tell(&client, policy, status).await;
            }
            if Instant::now() >= clean_at {
                clean_at = Instant::now() + NODES_EVERY;
                self.clean(&client).await;
            }
        }
    }

    /// Takes out what nodes have said that are no more: nobody else would.
    async fn clean(&self, client: &Client) {
        let policies = self.policies.borrow().clone();
        if policies.iter().all(|policy| policy.nodes.get().iter().all(|node| *node == self.node)) {
            return;
        }
        let nodes: Api<PartialObjectMeta<Node>> = Api::all(client.clone());
        let alive = match nodes.list(&ListParams::default()).await {
            Ok(list) => list.items.into_iter().filter_map(|node| node.metadata.name).collect::<HashSet<_>>(),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::debug!(error, "entries of nodes that are gone stay in policies' status");
                return;
            }
        };
        for policy in policies {
            for gone in policy.nodes.get().into_iter().filter(|node| !alive.contains(node)) {
                let none: [NodeStatus; 0] = [];
                let patched = patch(client, &policy, &gone, &none).await;
                tracing::debug!(policy = policy.name, node = gone, done = patched.is_ok(), "the node is gone");
            }
        }
    }

    /// What has changed; forgets policies that are no more.
    fn due(&mut self, now: Instant) -> Vec<(Reported, NodeStatus)> {
        let policies = self.policies.borrow().clone();
        self.told.retain(|key, _| policies.iter().any(|policy| policy.key() == *key));
        let changed = policies.into_iter().filter_map(|policy| {
            let status = policy.status(&self.node);
            let is_due = self.told.get(&policy.key()).is_none_or(|(told, since)| {
                told.without_counts() != status.without_counts()
                    || (*told != status && now.duration_since(*since) >= policy.nodes.counts_every())
            });
            is_due.then_some((policy, status))
        });
        changed.take(WRITES_MAX).collect()
    }

    async fn tell(&mut self, client: &Client, policy: Reported, status: NodeStatus) {
        match patch(client, &policy, &self.node, std::slice::from_ref(&status)).await {
            Ok(_) => self.away = false,
            // It was deleted meanwhile.
            Err(kube::Error::Api(answer)) if answer.code == 404 => {}
            Err(error) => {
                if !std::mem::replace(&mut self.away, true) {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, policy = policy.name, "its status cannot be told");
                }
                return;
            }
        }
        self.told.insert(policy.key(), (status, Instant::now()));
    }
}

/// Puts a node's entries into a policy's status, in place of those that it has there. Each node owns its own and no other.
async fn patch(client: &Client, policy: &Reported, node: &str, entries: &[NodeStatus]) -> kube::Result<DynamicObject> {
    let api: Api<DynamicObject> = match &policy.namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &policy.resource),
        None => Api::all_with(client.clone(), &policy.resource),
    };
    let status = json!({"apiVersion": API_VERSION, "kind": policy.resource.kind, "status": {"nodes": entries}});
    let params = PatchParams::apply(&format!("inotrail-{node}")).force();
    api.patch_status(&policy.name, &params, &Patch::Apply(&status)).await
}

impl Reported {
    fn key(&self) -> Key {
        (self.resource.kind.clone(), self.namespace.clone(), self.name.clone())
    }

    fn status(&self, node: &str) -> NodeStatus {
        let counts = self.policy.as_ref().map(|policy| &policy.counts);
        let of = |action| counts.map_or(0, |counts| counts.of(action).load(Ordering::Relaxed) as i64);
        let is_active = self.policy.as_ref().is_some_and(|policy| policy.active);
        NodeStatus {
            node: node.to_owned(),
            observed_generation: self.generation,
            state: match self.refused {
                Some(_) => NodeState::Refused,
                None if is_active => NodeState::Active,
                None => NodeState::DryRun,
            },
            message: self.refused.clone(),
            containers: counts.map_or(0, |counts| counts.containers.load(Ordering::Relaxed) as i64),
            records: of(Action::Record),
            violations: of(Action::Violation),
        }
    }
}

impl NodeStatus {
    fn without_counts(&self) -> Self {
        Self { records: 0, violations: 0, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    fn policy(refused: Option<&str>) -> Reported {
        let text = "apiVersion: inotrail.dev/v1alpha1\nkind: FileAccessPolicy\nmetadata: {name: a}\n\
                    spec: {rules: [{name: r, paths: [/a]}]}\n";
        let policy = crate::policy::document::read(text).0.pop().map(Arc::new);
        Reported {
            resource: ApiResource::erase::<crate::policy::crd::FileAccessPolicy>(&()),
            namespace: Some("shop".to_owned()),
            name: "a".to_owned(),
            generation: 3,
            refused: refused.map(str::to_owned),
            policy,
            nodes: Nodes::default(),
        }
    }

    #[test]
    fn changes_are_told_at_once_and_counts_sometimes() {
        let (sender, receiver) = watch::channel(vec![policy(None)]);
        let mut reporter = Reporter::new("node-1".to_owned(), receiver);
        let now = Instant::now();
        let mut due = |at: Duration| {
            let due = reporter.due(now + at);
            for (policy, status) in &due {
                reporter.told.insert(policy.key(), (status.clone(), now + at));
            }
            due.into_iter().map(|(_, status)| status).collect::<Vec<_>>()
        };
        let first = due(Duration::ZERO);
        assert_eq!((first.len(), first[0].state, first[0].observed_generation), (1, NodeState::Active, 3));
        assert_eq!(due(EVERY), []);
        let counts = Arc::clone(&sender.borrow()[0].policy.as_ref().unwrap().counts);
        let add = |count: &AtomicU64| count.fetch_add(1, Ordering::Relaxed);
        add(counts.of(Action::Violation));
        assert_eq!(due(EVERY * 2), []);
        let counted = due(COUNTS_EVERY);
        assert_eq!((counted.len(), counted[0].violations), (1, 1));
        counts.containers.store(2, Ordering::Relaxed);
        assert_eq!(due(COUNTS_EVERY)[0].containers, 2);
        sender.send_replace(vec![policy(Some("spec.rules: wrong"))]);
        let refused = due(COUNTS_EVERY);
        assert_eq!((refused[0].state, refused[0].message.as_deref()), (NodeState::Refused, Some("spec.rules: wrong")));
        sender.send_replace(Vec::new());
        assert_eq!((due(COUNTS_EVERY), reporter.told.len()), (vec![], 0));
    }
}
