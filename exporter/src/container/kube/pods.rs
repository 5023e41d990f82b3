//! A pod of the API as what log records say of it.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{ContainerStatus, Pod as ApiPod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use super::super::account::Account;
use super::super::pods::PodNews;
use super::super::table::Metadata;
use super::super::{Image, Origin, Owner, OwnerKind, Pod, PodDetails};
use super::volumes::volumes;

/// Labels and annotations of a pod.
const TEMPLATE_HASH: &str = "pod-template-hash";
const CONFIG_HASH: &str = "kubernetes.io/config.hash";
const SERVICE_NAME: &str = "resource.opentelemetry.io/service.name";
const SERVICE_NAMESPACE: &str = "resource.opentelemetry.io/service.namespace";

/// `None`: it lacks what every pod of an API server has. `excluded`: accounts whose pods are not reported.
pub(super) fn news(api: &ApiPod, excluded: &[Account]) -> Option<PodNews> {
    let meta = &api.metadata;
    let annotation = |key: &str| meta.annotations.as_ref()?.get(key).filter(|value| !value.is_empty()).cloned();
    let details = PodDetails {
        owners: controller(meta).and_then(|owner| workload(owner, meta)).into_iter().collect(),
        service_name: annotation(SERVICE_NAME),
        service_namespace: annotation(SERVICE_NAMESPACE),
        volumes: volumes(api),
        labels: meta.labels.clone().unwrap_or_default(),
        is_excluded: runs_as_one_of(api, excluded),
    };
    let pod = Pod {
        namespace: meta.namespace.clone()?,
        name: meta.name.clone()?,
        uid: meta.uid.clone()?,
        details: Some(Arc::new(details)),
    };
    let containers = statuses(api).filter_map(|status| container(status, &pod)).collect();
    Some(PodNews { pod, hash: annotation(CONFIG_HASH), containers })
}

/// Nothing else of a pod counts: whoever may make pods somewhere can name and label them as he likes.
fn runs_as_one_of(api: &ApiPod, accounts: &[Account]) -> bool {
    let account = api.spec.as_ref().and_then(|spec| spec.service_account_name.as_deref());
    let of_pod = api.metadata.namespace.as_deref().zip(account);
    of_pod.is_some_and(|(namespace, name)| accounts.iter().any(|account| account.is(namespace, name)))
}

/// What the pod's cgroup and its containers' labels call it.
pub(super) fn cgroup_uid(api: &ApiPod) -> Option<String> {
    let hash = api.metadata.annotations.as_ref().and_then(|annotations| annotations.get(CONFIG_HASH));
    hash.or(api.metadata.uid.as_ref()).cloned()
}

/// Uid and name of the job that has made the pod.
pub(super) fn job_of(api: &ApiPod) -> Option<(String, String)> {
    let owner = controller(&api.metadata).filter(|owner| owner.kind == "Job")?;
    Some((owner.uid.clone(), owner.name.clone()))
}

/// The cron job that has made a job.
pub(super) fn cron_job(job: &ObjectMeta) -> Option<String> {
    controller(job).filter(|owner| owner.kind == "CronJob").map(|owner| owner.name.clone())
}

impl PodNews {
    /// The cron job of the pod's job.
    pub(super) fn add_owner(&mut self, cron_job: String) {
        if let Some(details) = &mut self.pod.details {
            Arc::make_mut(details).owners.push(Owner { kind: OwnerKind::CronJob, name: cron_job });
        }
        for (_, metadata) in &mut self.containers {
            metadata.pod = Some(self.pod.clone());
        }
    }
}

fn controller(meta: &ObjectMeta) -> Option<&OwnerReference> {
    meta.owner_references.as_ref()?.iter().find(|owner| owner.controller == Some(true))
}

/// A deployment's replica set is named after it and the hash in the pods' label, so nobody needs to be asked.
fn workload(owner: &OwnerReference, pod: &ObjectMeta) -> Option<Owner> {
    let hash = pod.labels.as_ref().and_then(|labels| labels.get(TEMPLATE_HASH));
    let deployment = hash.and_then(|hash| owner.name.strip_suffix(hash.as_str())?.strip_suffix('-'));
    let (kind, name) = match (&*owner.kind, deployment) {
        ("ReplicaSet", Some(deployment)) => (OwnerKind::Deployment, deployment),
        ("ReplicaSet", None) => (OwnerKind::ReplicaSet, &*owner.name),
        ("StatefulSet", _) => (OwnerKind::StatefulSet, &*owner.name),
        ("DaemonSet", _) => (OwnerKind::DaemonSet, &*owner.name),
        ("Job", _) => (OwnerKind::Job, &*owner.name),
        // A static pod's node, or somebody's own kind.
        _ => return None,
    };
    Some(Owner { kind, name: name.to_owned() })
}

fn statuses(api: &ApiPod) -> impl Iterator<Item = &ContainerStatus> {
    let status = api.status.as_ref();
    let lists = [
        status.and_then(|status| status.init_container_statuses.as_ref()),
        status.and_then(|status| status.container_statuses.as_ref()),
        status.and_then(|status| status.ephemeral_container_statuses.as_ref()),
    ];
    lists.into_iter().flatten().flatten()
}

/// `containerID` is `containerd://<id>`, and empty until the container has been made.
fn container(status: &ContainerStatus, pod: &Pod) -> Option<(String, Metadata)> {
    let (runtime, id) = status.container_id.as_deref()?.split_once("://")?;
    let runtime = ["containerd", "cri-o", "docker"].into_iter().find(|known| *known == runtime).unwrap_or_default();
    let origin = Origin::Container { id: id.to_owned(), name: status.name.clone(), runtime, resolved: true };
    // `imageID` is the repository with its digest, with the scheme of Docker's shim in front, or the runtime's own id.
    let reference = status.image_id.strip_prefix("docker-pullable://").unwrap_or(&status.image_id);
    let image = Image::resolved(&status.image, reference);
    Some((id.to_owned(), Metadata { origin, pod: Some(pod.clone()), image }))
}

#[cfg(test)]
mod tests;
