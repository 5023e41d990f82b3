//! Tells the API server what becomes of policies on this node.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::ApiResource;
use kube::{Api, Client};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::policy::Policy;
use crate::policy::crd::{API_VERSION, NodeState, NodeStatus};
use crate::policy::rule::Action;

/// How often is looked for what is new.
const EVERY: Duration = Duration::from_secs(1);
/// A policy's counts alone are told no more often.
const COUNTS_EVERY: Duration = Duration::from_secs(10);
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
        loop {
            ticks.tick().await;
            for (policy, status) in self.due(Instant::now()) {
                self.tell(&client, policy, status).await;
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
                    || (*told != status && now.duration_since(*since) >= COUNTS_EVERY)
            });
            is_due.then_some((policy, status))
        });
        changed.take(WRITES_MAX).collect()
    }

    async fn tell(&mut self, client: &Client, policy: Reported, status: NodeStatus) {
        let api: Api<DynamicObject> = match &policy.namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &policy.resource),
            None => Api::all_with(client.clone(), &policy.resource),
        };
        // Each node's exporter owns its own entry and no other.
        let manager = format!("inotrail-{}", self.node);
        let patch = json!({"apiVersion": API_VERSION, "kind": policy.resource.kind, "status": {"nodes": [status]}});
        let params = PatchParams::apply(&manager).force();
        match api.patch_status(&policy.name, &params, &Patch::Apply(&patch)).await {
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
