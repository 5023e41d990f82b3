//! The `Resource` of a container, or of a part of the host.

use crate::container::{Container, Image, Origin, Owner, OwnerKind, Pod};
use crate::event::Node;

use super::attribute;
use super::wire::{resource_string, resource_strings, resource_true};

/// Most tags, and most digests, that are told: an image can have any number of either.
const LIST_MAX: usize = 16;
/// `service.name` where nothing is known (OpenTelemetry's own word): without any, Loki refuses a record that has no
/// other index label.
const UNKNOWN_SERVICE: &str = "unknown_service";

/// The encoded `Resource` (opentelemetry/proto/resource/v1/resource.proto) of everything that `container` does.
///
/// It describes who acted, and the exporter only where it tells of itself. Empty values are left out. `host.name` stands in for a missing
/// `k8s.node.name`: outside Kubernetes it alone tells nodes apart. `service.name` is the workload's name where the API server
/// has told it ([`crate::container::Pod::service_name`]), else the container's, which is the same in all replicas.
#[must_use]
pub fn resource(node: &Node, container: &Container) -> Vec<u8> {
    let out = &mut Vec::with_capacity(1024);
    resource_string(out, attribute::K8S_CLUSTER_NAME, &node.cluster);
    resource_string(out, attribute::K8S_NODE_NAME, &node.name);
    match &container.origin {
        Origin::Container { id, name, runtime, resolved } => {
            if node.name.is_empty() {
                resource_string(out, attribute::HOST_NAME, &node.host);
            }
            if let Some(pod) = &container.pod {
                resource_string(out, attribute::K8S_NAMESPACE_NAME, &pod.namespace);
                resource_string(out, attribute::K8S_POD_NAME, &pod.name);
                resource_string(out, attribute::K8S_POD_UID, &pod.uid);
                resource_string(out, attribute::K8S_CONTAINER_NAME, name);
                owners(out, pod);
            } else {
                resource_string(out, attribute::CONTAINER_NAME, name);
            }
            resource_string(out, attribute::CONTAINER_ID, id);
            resource_string(out, attribute::CONTAINER_RUNTIME_NAME, runtime);
            if let Some(image) = &container.image {
                self::image(out, image);
            }
            let by_pod = container.pod.as_ref().and_then(Pod::service_name);
            let service = [by_pod.unwrap_or_default(), name].into_iter().find(|name| !name.is_empty());
            resource_string(out, attribute::SERVICE_NAME, service.unwrap_or(UNKNOWN_SERVICE));
            if let Some(pod) = &container.pod {
                resource_string(out, attribute::SERVICE_NAMESPACE, pod.service_namespace());
            }
            if !resolved {
                resource_true(out, attribute::RESOURCE_UNRESOLVED);
            }
        }
        Origin::Exporter => exporter(out, node),
        Origin::Unit(unit) => host(out, node, unit),
        Origin::Host => host(out, node, ""),
    }
    std::mem::take(out)
}

fn owners(out: &mut Vec<u8>, pod: &Pod) {
    for Owner { kind, name } in pod.details.iter().flat_map(|details| &details.owners) {
        let attribute = match kind {
            OwnerKind::Deployment => attribute::K8S_DEPLOYMENT_NAME,
            OwnerKind::ReplicaSet => attribute::K8S_REPLICASET_NAME,
            OwnerKind::StatefulSet => attribute::K8S_STATEFULSET_NAME,
            OwnerKind::DaemonSet => attribute::K8S_DAEMONSET_NAME,
            OwnerKind::Job => attribute::K8S_JOB_NAME,
            OwnerKind::CronJob => attribute::K8S_CRONJOB_NAME,
        };
        resource_string(out, attribute, name);
    }
}

fn image(out: &mut Vec<u8>, image: &Image) {
    resource_string(out, attribute::CONTAINER_IMAGE_NAME, &image.name);
    resource_strings(out, attribute::CONTAINER_IMAGE_TAGS, first(&image.tags));
    resource_strings(out, attribute::CONTAINER_IMAGE_REPO_DIGESTS, first(&image.repo_digests));
}

fn first(values: &[String]) -> &[String] {
    &values[..values.len().min(LIST_MAX)]
}

fn exporter(out: &mut Vec<u8>, node: &Node) {
    resource_string(out, attribute::HOST_NAME, &node.host);
    resource_string(out, attribute::SERVICE_NAME, super::SCOPE_NAME);
    resource_string(out, attribute::SERVICE_INSTANCE_ID, &node.stream_id);
    resource_string(out, attribute::SERVICE_VERSION, super::SCOPE_VERSION);
}

fn host(out: &mut Vec<u8>, node: &Node, unit: &str) {
    resource_string(out, attribute::HOST_NAME, &node.host);
    resource_string(out, attribute::OS_TYPE, "linux");
    resource_string(out, attribute::SERVICE_NAME, if unit.is_empty() { "host" } else { unit });
}
