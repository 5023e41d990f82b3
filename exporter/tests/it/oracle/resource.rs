//! The Resource of a container, attribute by attribute.

use inotrail::container::{Container, Origin};
use inotrail::event::Node;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::{Attributes, attribute};

pub(super) fn resource(node: &Node, container: &Container) -> Resource {
    let mut out = Attributes::default();
    out.string("k8s.cluster.name", &node.cluster);
    out.string("k8s.node.name", &node.name);
    if let Origin::Container { id, name, runtime, resolved } = &container.origin {
        if node.name.is_empty() {
            out.string("host.name", &node.host);
        }
        let pod = container.pod.clone().unwrap_or_default();
        out.string("k8s.namespace.name", &pod.namespace);
        out.string("k8s.pod.name", &pod.name);
        out.string("k8s.pod.uid", &pod.uid);
        out.string(if container.pod.is_some() { "k8s.container.name" } else { "container.name" }, name);
        let owners = pod.details.iter().flat_map(|details| &details.owners);
        for owner in owners.clone() {
            out.string(&format!("k8s.{}.name", format!("{:?}", owner.kind).to_lowercase()), &owner.name);
        }
        out.string("container.id", id);
        out.string("container.runtime.name", *runtime);
        let image = container.image.clone().unwrap_or_default();
        out.string("container.image.name", image.name);
        out.strings("container.image.tags", &image.tags[..image.tags.len().min(16)]);
        out.strings("container.image.repo_digests", &image.repo_digests[..image.repo_digests.len().min(16)]);
        let details = pod.details.as_deref();
        let first = ["Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "CronJob", "Job"];
        let workload = first.iter().find_map(|kind| owners.clone().find(|owner| format!("{:?}", owner.kind) == *kind));
        let by_api = details.map(|details| match (&details.service_name, workload) {
            (Some(annotation), _) => annotation.clone(),
            (None, Some(workload)) => workload.name.clone(),
            (None, None) => pod.name.clone(),
        });
        let service = [by_api.unwrap_or_default(), name.clone()].into_iter().find(|name| !name.is_empty());
        out.string("service.name", service.as_deref().unwrap_or("unknown_service"));
        let namespace = details.and_then(|details| details.service_namespace.clone());
        out.string("service.namespace", namespace.unwrap_or(pod.namespace.clone()));
        if !resolved {
            out.0.push(attribute("inotrail.resource.unresolved", Value::BoolValue(true)));
        }
    } else if container.origin == Origin::Exporter {
        out.string("host.name", &node.host);
        out.string("service.name", "inotrail");
        out.string("service.instance.id", &node.stream_id);
        out.string("service.version", env!("CARGO_PKG_VERSION"));
    } else {
        out.string("host.name", &node.host);
        out.string("os.type", "linux");
        out.string(
            "service.name",
            match &container.origin {
                Origin::Unit(unit) if !unit.is_empty() => unit,
                _ => "host",
            },
        );
    }
    Resource { attributes: out.0, ..Default::default() }
}
