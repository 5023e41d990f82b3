//! Tells the API server what becomes of policies on this node.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, PartialObjectMeta};
use kube::{Api, Client};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::NodeHealth;
use crate::policy::Policy;
use crate::policy::crd::{API_VERSION, NodeState, NodeStatus, Time};
use crate::policy::rule::Action;
use conditions::{Subject, conditions};
use degraded::Degradation;
pub(super) use nodes::Nodes;
use rate::Rate;

mod conditions;
mod degraded;
mod nodes;
mod rate;

/// How often is looked for what is new.
const EVERY: Duration = Duration::from_secs(1);
/// What is told at start has been told.
const SETTLED: Duration = Duration::from_secs(5);
/// How often is looked for nodes that are no more.
const NODES_EVERY: Duration = Duration::from_secs(600);
/// What the API server would not take is tried again after [`EVERY`], then after twice as long each time, up to this.
const LONGEST: Duration = Duration::from_secs(60);
/// The same where the status has no room for this node: of very many nodes others are in the same place.
const NO_ROOM: Duration = Duration::from_secs(3600);
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

/// One entry in each policy's status. `H` tells how well the node sees.
pub(super) struct Reporter<H> {
    node: String,
    policies: watch::Receiver<Vec<Reported>>,
    health: H,
    degradation: Degradation,
    /// Of policies that count only, with the generation that each is about.
    rates: HashMap<Key, (i64, Rate)>,
    told: HashMap<Key, (NodeStatus, Instant)>,
    put_off: HashMap<Key, PutOff>,
    /// Kinds whose status cannot be told.
    away: HashSet<String>,
    /// Nodes cannot be asked for.
    nodes_away: bool,
}

/// A generation of a policy that could not be told of.
struct PutOff {
    generation: i64,
    until: Instant,
    /// How long that was when it began.
    pause: Duration,
}

/// Kind, namespace and name.
type Key = (String, Option<String>, String);

impl<H: Fn() -> NodeHealth> Reporter<H> {
    pub(super) fn new(node: String, policies: watch::Receiver<Vec<Reported>>, health: H) -> Self {
        Self {
            node,
            policies,
            health,
            degradation: Degradation::default(),
            rates: HashMap::new(),
            told: HashMap::new(),
            put_off: HashMap::new(),
            away: HashSet::new(),
            nodes_away: false,
        }
    }

    /// Tells until the future is dropped. What cannot be told now is told later.
    pub(super) async fn follow(mut self, client: Client) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut clean_at = Instant::now() + SETTLED;
        loop {
            ticks.tick().await;
            for (policy, status) in self.due(Instant::now(), &Time(Timestamp::now())) {
                self.tell(&client, policy, status).await;
            }
            if Instant::now() >= clean_at {
                clean_at = Instant::now() + NODES_EVERY;
                self.clean(&client).await;
            }
        }
    }

    /// Takes out what nodes have said that are no more: nobody else would.
    async fn clean(&mut self, client: &Client) {
        let policies = self.policies.borrow().clone();
        if policies.iter().all(|policy| policy.nodes.names().iter().all(|node| *node == self.node)) {
            return;
        }
        let nodes: Api<PartialObjectMeta<Node>> = Api::all(client.clone());
        let answer = nodes.list(&ListParams::default()).await;
        let away = std::mem::replace(&mut self.nodes_away, answer.is_err());
        let alive = match answer {
            Ok(list) => list.items.into_iter().filter_map(|node| node.metadata.name).collect::<HashSet<_>>(),
            Err(error) => {
                if !away {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "entries of nodes that are gone stay in policies' status");
                }
                return;
            }
        };
        for policy in policies {
            for gone in policy.nodes.names().into_iter().filter(|node| !alive.contains(node)) {
                let none: [NodeStatus; 0] = [];
                let patched = patch(client, &policy, &gone, &none).await;
                tracing::debug!(policy = policy.name, node = gone, done = patched.is_ok(), "the node is gone");
            }
        }
    }

    /// What has changed; forgets policies that are no more.
    fn due(&mut self, now: Instant, time: &Time) -> Vec<(Reported, NodeStatus)> {
        let health = (self.health)();
        let degraded = self.degradation.of(&health, now);
        let policies = self.policies.borrow().clone();
        let keys: HashSet<_> = policies.iter().map(Reported::key).collect();
        self.told.retain(|key, _| keys.contains(key));
        self.rates.retain(|key, _| keys.contains(key));
        self.put_off.retain(|key, _| keys.contains(key));
        let changed = policies.into_iter().filter_map(|policy| {
            let key = policy.key();
            let is_put_off = |it: &PutOff| it.generation == policy.generation && now < it.until;
            if self.put_off.get(&key).is_some_and(is_put_off) {
                return None;
            }
            let told = self.told.get(&key);
            let subject = Subject { policy: &policy, degraded };
            let before = told.map_or_else(|| policy.nodes.own_conditions(), |(told, _)| told.conditions.clone());
            let status = NodeStatus {
                backend: Some(health.backend),
                conditions: conditions(&subject, &before, time),
                expected_per_minute: expected(&mut self.rates, &policy, now),
                ..policy.status(&self.node)
            };
            let is_due = told.is_none_or(|(told, since)| {
                told.without_counts() != status.without_counts()
                    || (*told != status && now.duration_since(*since) >= policy.nodes.counts_every())
            });
            is_due.then_some((policy, status))
        });
        changed.take(WRITES_MAX).collect()
    }

    async fn tell(&mut self, client: &Client, policy: Reported, status: NodeStatus) {
        match patch(client, &policy, &self.node, std::slice::from_ref(&status)).await {
            Ok(_) => drop(self.away.remove(&policy.resource.kind)),
            // It was deleted meanwhile.
            Err(kube::Error::Api(answer)) if answer.code == 404 => {}
            Err(error) => {
                if self.away.insert(policy.resource.kind.clone()) {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, policy = policy.name, "its status cannot be told");
                }
                self.put_off(&policy, &error, Instant::now());
                return;
            }
        }
        self.put_off.remove(&policy.key());
        self.told.insert(policy.key(), (status, Instant::now()));
    }

    fn put_off(&mut self, policy: &Reported, error: &kube::Error, now: Instant) {
        let Reported { generation, .. } = *policy;
        let before = self.put_off.get(&policy.key()).filter(|before| before.generation == generation);
        let has_no_room = matches!(error, kube::Error::Api(answer) if matches!(answer.code, 413 | 422));
        let pause = match before {
            _ if has_no_room => NO_ROOM,
            Some(before) => LONGEST.min(2 * before.pause),
            None => EVERY,
        };
        self.put_off.insert(policy.key(), PutOff { generation, until: now + pause, pause });
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
            containers: counts.map_or(0, |counts| counts.containers.load(Ordering::Relaxed) as i64),
            unresolved: counts.map_or(0, |counts| counts.unresolved.load(Ordering::Relaxed) as i64),
            records: of(Action::Record),
            violations: of(Action::Violation),
            ..NodeStatus::default()
        }
    }
}

/// Records per minute that a policy would make which counts only.
fn expected(rates: &mut HashMap<Key, (i64, Rate)>, policy: &Reported, now: Instant) -> Option<i64> {
    let key = policy.key();
    let Some(dry) = policy.policy.as_ref().filter(|policy| !policy.active) else {
        rates.remove(&key);
        return None;
    };
    let (generation, rate) = rates.entry(key).or_default();
    if std::mem::replace(generation, policy.generation) != policy.generation {
        *rate = Rate::default();
    }
    Some(rate.per_minute(now, dry.counts.dry_events.load(Ordering::Relaxed))? as i64)
}

impl NodeStatus {
    fn without_counts(&self) -> Self {
        Self { records: 0, violations: 0, expected_per_minute: None, ..self.clone() }
    }
}

#[cfg(test)]
mod tests;
