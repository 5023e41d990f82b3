//! Policies by the Kubernetes API.

use std::collections::{BTreeMap, HashSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _, stream};
use kube::api::DynamicObject;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher as watch};
use kube::{Api, Client};
use tokio::sync::watch as value;
use tokio::time::{Instant, sleep_until};

use super::last::{Last, Stored};
use super::status::{Nodes, Reported};
use super::{InForce, Source};
use crate::policy::Policy;
use kind::Kind;

mod kind;

/// What was told is written down no more often.
const STORE_EVERY: Duration = Duration::from_secs(1);

/// Policies of one kind.
const POLICIES_MAX: usize = 20_000;

/// The cluster's policies.
#[derive(Debug)]
pub(super) struct Resources {
    in_force: InForce,
    /// The name of this one.
    node: String,
    last: Option<Last>,
    /// Policies of an earlier run, for kinds of which the API server has not told yet.
    earlier: Vec<Arc<Policy>>,
    kinds: BTreeMap<Kind, Listed>,
    store_at: Option<Instant>,
    /// For the policies' status.
    reported: value::Sender<Vec<Reported>>,
}

/// What the API server has told of one kind.
#[derive(Debug, Default)]
struct Listed {
    by_name: BTreeMap<String, Known>,
    /// Names of a list that is being told.
    telling: HashSet<String>,
    /// It cannot be asked.
    away: bool,
}

#[derive(Debug)]
struct Known {
    /// Namespace, name and generation.
    namespace: Option<String>,
    name: String,
    generation: i64,
    /// Why that generation is refused.
    refused: Option<String>,
    /// The last version that was right; nothing where none was.
    right: Option<(Stored, Arc<Policy>)>,
    /// Nodes that have said something of it.
    nodes: Nodes,
}

type Told = (Kind, Result<Event<DynamicObject>, watcher::Error>);

impl Resources {
    /// Until the API server has told, what it told an earlier run is in force.
    pub(super) fn new(node: String, last: Option<Last>, in_force: InForce) -> Self {
        let earlier: Vec<_> = last.as_ref().map(Last::load).unwrap_or_default().into_iter().map(Arc::new).collect();
        let reported = value::channel(Vec::new()).0;
        let this = Self { in_force, node, last, earlier, kinds: BTreeMap::new(), store_at: None, reported };
        if !this.earlier.is_empty() {
            this.show();
        }
        this
    }

    /// What is to be told of policies.
    pub(super) fn reported(&self) -> value::Receiver<Vec<Reported>> {
        self.reported.subscribe()
    }

    /// Follows the API server until the future is dropped. Where it is away, what it told stays in force.
    pub(super) async fn follow(mut self, client: Client) {
        let mut told = pin!(stream::select(events(&client, Kind::Namespace), events(&client, Kind::Cluster)));
        loop {
            tokio::select! {
                Some((kind, event)) = told.next() => self.hear(kind, event),
                () = until(self.store_at) => self.store(),
            }
        }
    }

    fn hear(&mut self, kind: Kind, event: Result<Event<DynamicObject>, watcher::Error>) {
        match event {
            Err(error) => self.failed(kind, &error),
            // Only now is the server asked.
            Ok(Event::Init) => self.listed(kind).telling.clear(),
            Ok(Event::InitApply(object)) => self.told_in_list(kind, object),
            Ok(Event::InitDone) => self.list_ends(kind),
            Ok(Event::Apply(object)) => self.told(kind, object),
            Ok(Event::Delete(object)) => self.deleted(kind, &object),
        }
    }

    fn listed(&mut self, kind: Kind) -> &mut Listed {
        self.kinds.entry(kind).or_default()
    }

    fn told_in_list(&mut self, kind: Kind, object: DynamicObject) {
        self.listed(kind).telling.insert(name_of(&object));
        self.take(kind, object);
    }

    /// What the list does not have is no more.
    fn list_ends(&mut self, kind: Kind) {
        let listed = self.listed(kind);
        let telling = std::mem::take(&mut listed.telling);
        listed.by_name.retain(|name, _| telling.contains(name));
        self.earlier.retain(|policy| Kind::of(policy) != kind);
        self.changed(kind);
    }

    /// Most changes are of what nodes say.
    fn told(&mut self, kind: Kind, object: DynamicObject) {
        if let Some(known) = self.known(kind, &object) {
            return known.nodes.set(&object, &self.node);
        }
        self.take(kind, object);
        self.changed(kind);
    }

    fn deleted(&mut self, kind: Kind, object: &DynamicObject) {
        self.listed(kind).by_name.remove(&name_of(object));
        self.changed(kind);
    }

    /// Shows what is known now, and has it written down soon.
    fn changed(&mut self, kind: Kind) {
        if std::mem::take(&mut self.listed(kind).away) {
            tracing::info!(%kind, "the Kubernetes API tells of policies again");
        }
        self.show();
        self.store_at.get_or_insert_with(|| Instant::now() + STORE_EVERY);
    }

    /// The policy as it is told again.
    fn known(&self, kind: Kind, object: &DynamicObject) -> Option<&Known> {
        let known = self.kinds.get(&kind)?.by_name.get(&name_of(object))?;
        (known.generation > 0 && Some(known.generation) == object.metadata.generation).then_some(known)
    }

    fn failed(&mut self, kind: Kind, error: &watcher::Error) {
        if !std::mem::replace(&mut self.listed(kind).away, true) {
            let error = error as &dyn std::error::Error;
            tracing::warn!(error, %kind, "the Kubernetes API does not tell of policies: those in force stay");
        }
    }

    /// Takes a new or changed policy in. Of one that is wrong an earlier version stays in force.
    fn take(&mut self, kind: Kind, object: DynamicObject) {
        let Self { node, kinds, .. } = self;
        let listed = kinds.entry(kind).or_default();
        let name = name_of(&object);
        if listed.by_name.len() >= POLICIES_MAX && !listed.by_name.contains_key(&name) {
            tracing::error!(policy = name, "refused: there are {POLICIES_MAX} others");
            return;
        }
        let before = listed.by_name.remove(&name).and_then(|known| known.right);
        let mut known = Known::new(&object, node);
        match kind.compile(&object) {
            Ok(mut policy) => {
                if let Some((_, before)) = before {
                    policy.counts = Arc::clone(&before.counts);
                }
                known.right = Some((Stored::new(object), Arc::new(policy)));
            }
            Err(error) => {
                tracing::error!(policy = name, "refused, and an earlier version of it stays: {error}");
                (known.refused, known.right) = (Some(error), before);
            }
        }
        listed.by_name.insert(name, known);
    }

    fn show(&self) {
        let told = self.kinds.values().flat_map(|listed| listed.by_name.values());
        let told = told.filter_map(|known| Some(&known.right.as_ref()?.1));
        // Of an earlier run is what is not told yet.
        let telling = |policy: &&Arc<Policy>| {
            !self.kinds.get(&Kind::of(policy)).is_some_and(|listed| listed.by_name.contains_key(&policy.name))
        };
        let earlier = self.earlier.iter().filter(telling);
        self.in_force.replace(Source::Resources, told.chain(earlier).cloned().collect());
        let each =
            self.kinds.iter().flat_map(|(kind, listed)| listed.by_name.values().map(|known| known.report(*kind)));
        self.reported.send_replace(each.collect());
    }

    fn store(&mut self) {
        self.store_at = None;
        // What is not told yet is not forgotten.
        let is_complete = self.earlier.is_empty();
        if let Some(last) = self.last.as_ref().filter(|_| is_complete) {
            let known = self.kinds.values().flat_map(|listed| listed.by_name.values());
            last.store(known.filter_map(|known| Some(&known.right.as_ref()?.0)));
        }
    }
}

impl Known {
    fn new(object: &DynamicObject, node: &str) -> Self {
        let meta = &object.metadata;
        Self {
            namespace: meta.namespace.clone(),
            name: meta.name.clone().unwrap_or_default(),
            generation: meta.generation.unwrap_or_default(),
            refused: None,
            right: None,
            nodes: Nodes::of(object, node),
        }
    }

    fn report(&self, kind: Kind) -> Reported {
        let Self { namespace, name, generation, refused, right, nodes } = self;
        Reported {
            resource: kind.resource(),
            namespace: namespace.clone(),
            name: name.clone(),
            generation: *generation,
            refused: refused.clone(),
            policy: right.as_ref().map(|(_, policy)| Arc::clone(policy)),
            nodes: nodes.clone(),
        }
    }
}

fn events(client: &Client, kind: Kind) -> impl Stream<Item = Told> + use<> {
    let api = Api::<DynamicObject>::all_with(client.clone(), &kind.resource());
    watch(api, watcher::Config::default()).default_backoff().map(move |event| (kind, event))
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// As [`Policy::name`].
fn name_of(object: &DynamicObject) -> String {
    let name = object.metadata.name.as_deref().unwrap_or_default();
    object.metadata.namespace.as_deref().map_or_else(|| name.to_owned(), |namespace| format!("{namespace}/{name}"))
}

#[cfg(test)]
mod tests;
