//! Labels of namespaces, which policies choose by.

use std::collections::HashSet;
use std::pin::pin;

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Api, Client};
use tokio::time::timeout;

use super::super::announcement::{Announcer, NamespaceNews};
use super::ANSWER_WITHIN;

/// Namespaces that are known to have been asked for.
const ASKED_MAX: usize = 4096;

/// Tells of namespaces until the future is dropped. Where the API server is away, what was told stays.
pub(super) async fn follow(client: Client, announcer: Announcer) {
    let api = Api::<PartialObjectMeta<Namespace>>::all(client);
    let mut events = pin!(watcher(api, Config::default()).default_backoff());
    let (mut known, mut listed) = (HashSet::new(), HashSet::new());
    let mut away = false;
    while let Some(event) = events.next().await {
        let answered = event.is_ok();
        match event {
            Err(error) => {
                if !std::mem::replace(&mut away, true) {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(
                        error,
                        "the Kubernetes API does not tell of namespaces: policies see their last labels"
                    );
                }
            }
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(namespace)) => {
                listed.extend(namespace.metadata.name.clone());
                announcer.namespace(news(namespace.metadata)).await;
            }
            Ok(Event::InitDone) => {
                for name in known.difference(&listed).cloned() {
                    announcer.namespace(NamespaceNews { name, ..NamespaceNews::default() }).await;
                }
                known = std::mem::take(&mut listed);
            }
            Ok(Event::Apply(namespace)) => {
                known.extend(namespace.metadata.name.clone());
                announcer.namespace(news(namespace.metadata)).await;
            }
            Ok(Event::Delete(namespace)) => {
                let name = namespace.metadata.name.unwrap_or_default();
                known.remove(&name);
                announcer.namespace(NamespaceNews { name, ..NamespaceNews::default() }).await;
            }
        }
        away &= !answered;
    }
}

fn news(meta: ObjectMeta) -> NamespaceNews {
    let labels = Some(meta.labels.unwrap_or_default());
    NamespaceNews { name: meta.name.unwrap_or_default(), labels, is_answer: false }
}

/// Asks for namespaces of new pods: the watch may tell of a pod before it tells of the namespace.
#[derive(Debug, Default)]
pub(super) struct Asked {
    known: HashSet<String>,
    away: bool,
}

impl Asked {
    pub(super) async fn tell(&mut self, client: &Client, name: &str, announcer: &Announcer) {
        if self.known.contains(name) {
            return;
        }
        let api = Api::<Namespace>::all(client.clone());
        // What cannot be had now, the watch tells later.
        let namespace = match timeout(ANSWER_WITHIN, api.get_metadata(name)).await {
            Ok(Ok(namespace)) => namespace,
            Ok(Err(error)) => return self.failed(&error),
            Err(_) => return,
        };
        self.away = false;
        if self.known.len() >= ASKED_MAX {
            self.known.clear();
        }
        self.known.insert(name.to_owned());
        announcer.namespace(NamespaceNews { is_answer: true, ..news(namespace.metadata) }).await;
    }

    fn failed(&mut self, error: &kube::Error) {
        let is_gone = matches!(error, kube::Error::Api(answer) if answer.code == 404);
        if !is_gone && !std::mem::replace(&mut self.away, true) {
            let error = error as &dyn std::error::Error;
            tracing::warn!(
                error,
                "the Kubernetes API does not tell of new namespaces: policies see their labels later"
            );
        }
    }
}
