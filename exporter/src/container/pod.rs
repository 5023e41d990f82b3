//! Kubernetes pods, as log records describe them.

use std::collections::HashMap;
use std::sync::Arc;

use super::volume::PodVolumes;
use crate::policy::scope::Labels;

/// A Kubernetes pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// `metadata.namespace`, or the label `io.kubernetes.pod.namespace`.
    pub namespace: String,
    /// `metadata.name`, or the label `io.kubernetes.pod.name`.
    pub name: String,
    /// `metadata.uid`, or the label `io.kubernetes.pod.uid`, which for a static pod is the hash of its file; empty where unknown.
    pub uid: String,
    /// What only the API server knows; `None`: it has not told.
    pub details: Option<Arc<PodDetails>>,
}

/// What only the API server knows of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodDetails {
    /// Who runs the pod, nearest first: a job, then its cron job.
    pub owners: Vec<Owner>,
    /// Annotation `resource.opentelemetry.io/service.name`.
    pub service_name: Option<String>,
    /// Annotation `resource.opentelemetry.io/service.namespace`.
    pub service_namespace: Option<String>,
    /// What its containers may mount.
    pub volumes: PodVolumes,
    /// `metadata.labels`
    pub labels: Labels,
    /// It runs as an account whose pods are not reported.
    pub is_excluded: bool,
}

/// A workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// What it is.
    pub kind: OwnerKind,
    /// `metadata.name`
    pub name: String,
}

/// Kinds of workloads that the semantic conventions name, those that give a service its name first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OwnerKind {
    /// apps/v1
    Deployment,
    /// apps/v1; only those that no deployment has made.
    ReplicaSet,
    /// apps/v1
    StatefulSet,
    /// apps/v1
    DaemonSet,
    /// batch/v1
    CronJob,
    /// batch/v1
    Job,
}

impl Pod {
    /// The pod that the labels of a kubelet's container name; takes them.
    pub(super) fn of_labels(labels: &mut HashMap<String, String>) -> Option<Self> {
        Some(Self {
            namespace: labels.remove("io.kubernetes.pod.namespace")?,
            name: labels.remove("io.kubernetes.pod.name")?,
            uid: labels.remove("io.kubernetes.pod.uid").unwrap_or_default(),
            details: None,
        })
    }

    /// `service.name`, by OpenTelemetry's rule for Kubernetes (non-normative/k8s-attributes.md): the annotation, else the workload, else the
    /// pod. `None` where the API server has not told, so that a name does not change from one event to the next.
    #[must_use]
    pub fn service_name(&self) -> Option<&str> {
        let details = self.details.as_ref()?;
        let workload = details.owners.iter().min_by_key(|owner| owner.kind).map(|owner| &*owner.name);
        details.service_name.as_deref().or(workload).or(Some(&self.name))
    }

    /// `service.namespace`
    #[must_use]
    pub fn service_namespace(&self) -> &str {
        let annotation = self.details.as_ref().and_then(|details| details.service_namespace.as_deref());
        annotation.unwrap_or(&self.namespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_names() {
        let owner = |kind, name: &str| Owner { kind, name: name.to_owned() };
        let check = |owners: &[Owner], annotation: Option<&str>, expected: &str| {
            let service_name = annotation.map(str::to_owned);
            let details = PodDetails { owners: owners.to_vec(), service_name, ..PodDetails::default() };
            let pod = Pod { name: "pod".to_owned(), details: Some(Arc::new(details)), ..Pod::default() };
            assert_eq!(pod.service_name(), Some(expected));
        };
        check(&[], None, "pod");
        check(&[owner(OwnerKind::ReplicaSet, "rs")], None, "rs");
        check(&[owner(OwnerKind::Job, "backup-1"), owner(OwnerKind::CronJob, "backup")], None, "backup");
        check(&[owner(OwnerKind::Deployment, "web")], Some("shop"), "shop");
        assert_eq!(Pod::default().service_name(), None);
    }
}
