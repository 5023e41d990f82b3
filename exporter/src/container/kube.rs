//! Pods of this node by the Kubernetes API: names where there is no runtime to ask, and what no runtime knows.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod as ApiPod;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::watcher::{self, Event, watcher as watch};
use kube::{Api, Client, Config};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::account::Account;
use super::announcement::Announcer;
use namespaces::Asked;
use pods::{cgroup_uid, cron_job, job_of, news};
use retry::Retry;

mod namespaces;
mod pods;
mod retry;
mod volumes;

/// Longest time that one question about an owner may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Jobs whose owner is remembered.
const JOBS_MAX: usize = 1024;

/// How the API server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubeConfig {
    /// A kubeconfig file; nothing: the pod's service account.
    pub kubeconfig: Option<PathBuf>,
    /// Whose pods are asked for.
    pub node: String,
    /// Namespaces are asked for too: policies choose by their labels.
    pub namespaces: bool,
    /// Accounts whose pods are not reported.
    pub excluded: Vec<Account>,
}

/// Why the API server cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The service account is not mounted, or its environment is missing.
    #[error("cannot use the pod's service account: mount its token, or name a file by --kubeconfig: {0}")]
    InCluster(#[from] kube::config::InClusterError),
    /// The file that the user named cannot be used.
    #[error("cannot use the file of --kubeconfig: {0}")]
    File(#[from] kube::config::KubeconfigError),
    /// Certificates or keys are of no use.
    #[error("cannot make a client of the Kubernetes API: {0}")]
    Client(#[source] Box<kube::Error>),
}

/// Makes a client by the file, or by the pod's service account; whether the API server answers shows later. Must be called
/// inside a tokio runtime.
///
/// # Errors
///
/// [`Error`]
pub async fn client(kubeconfig: Option<PathBuf>) -> Result<Client, Error> {
    let settings = match kubeconfig {
        Some(path) => {
            Config::from_custom_kubeconfig(Kubeconfig::read_from(path)?, &KubeConfigOptions::default()).await?
        }
        None => Config::incluster()?,
    };
    Client::try_from(settings).map_err(|error| Error::Client(Box::new(error)))
}

/// Tells of pods by the Kubernetes API.
pub(super) struct Kube {
    client: Client,
    node: String,
    /// Uid of a job -> name of the cron job that has made it.
    jobs: HashMap<String, Option<String>>,
    /// It does not tell of jobs.
    jobs_away: bool,
    /// `None`: nobody wants to know of namespaces.
    namespaces: Option<Asked>,
    excluded: Vec<Account>,
}

impl Kube {
    /// Makes a client; whether the API server answers shows later. Must be called inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`Error`]
    pub(super) async fn new(config: KubeConfig) -> Result<Self, Error> {
        let KubeConfig { kubeconfig, node, namespaces, excluded } = config;
        let namespaces = namespaces.then(Asked::default);
        Ok(Self {
            client: client(kubeconfig).await?,
            node,
            jobs: HashMap::new(),
            jobs_away: false,
            namespaces,
            excluded,
        })
    }

    /// Tells of pods until the future is dropped. Where the API server is away, what was told stays. `wanted`: somebody
    /// waits for a pod.
    pub(super) async fn follow(self, announcer: Announcer, wanted: Arc<Notify>) {
        let wants_namespaces = self.namespaces.is_some();
        let namespaces = namespaces::follow(self.client.clone(), announcer.clone());
        let pods = Box::pin(self.follow_pods(announcer, wanted));
        if wants_namespaces {
            tokio::join!(Box::pin(namespaces), pods);
        } else {
            pods.await;
        }
    }

    async fn follow_pods(mut self, announcer: Announcer, wanted: Arc<Notify>) {
        let config = watcher::Config::default().fields(&format!("spec.nodeName={}", self.node));
        let mut events = pin!(watch(Api::<ApiPod>::all(self.client.clone()), config));
        let mut listed = HashSet::new();
        let mut retry = Retry::new(wanted);
        while let Some(event) = events.next().await {
            match event {
                Err(error) => {
                    retry.failed(&error);
                    retry.pause().await;
                    continue;
                }
                // Only now is the server asked.
                Ok(Event::Init) => {
                    listed.clear();
                    continue;
                }
                Ok(Event::InitApply(pod)) => {
                    listed.extend(cgroup_uid(&pod));
                    self.tell(pod, &announcer).await;
                }
                Ok(Event::InitDone) => announcer.only_pods(std::mem::take(&mut listed)).await,
                Ok(Event::Apply(pod)) => self.tell(pod, &announcer).await,
                Ok(Event::Delete(pod)) => {
                    if let Some(uid) = cgroup_uid(&pod) {
                        announcer.pod_gone(uid).await;
                    }
                }
            }
            retry.answered();
        }
    }

    /// Tells of a pod at once, and again where its job turns out to be a cron job's.
    async fn tell(&mut self, pod: ApiPod, announcer: &Announcer) {
        let Some(mut news) = news(&pod, &self.excluded) else { return };
        if let Some(namespaces) = &mut self.namespaces {
            namespaces.tell(&self.client, &news.pod.namespace, announcer).await;
        }
        let Some((uid, name)) = job_of(&pod) else { return announcer.pod(news).await };
        let known = self.jobs.get(&uid).cloned();
        if known.is_none() {
            announcer.pod(news.clone()).await;
        }
        let cron = match known {
            Some(known) => known,
            None => self.cron_job(uid, &news.pod.namespace, &name).await,
        };
        if let Some(cron) = cron {
            news.add_owner(cron);
        }
        announcer.pod(news).await;
    }

    async fn cron_job(&mut self, uid: String, namespace: &str, name: &str) -> Option<String> {
        let jobs: Api<Job> = Api::namespaced(self.client.clone(), namespace);
        match timeout(ANSWER_WITHIN, jobs.get_metadata(name)).await {
            Ok(Ok(job)) => {
                self.jobs_away = false;
                let owner = cron_job(&job.metadata);
                if self.jobs.len() >= JOBS_MAX {
                    self.jobs.clear();
                }
                self.jobs.insert(uid, owner.clone());
                owner
            }
            // It was deleted meanwhile.
            Ok(Err(kube::Error::Api(answer))) if answer.code == 404 => None,
            Ok(Err(error)) => {
                if !std::mem::replace(&mut self.jobs_away, true) {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(
                        error,
                        "the Kubernetes API does not tell of jobs: records do not name their cron jobs"
                    );
                }
                None
            }
            Err(_) => None,
        }
    }
}
