//! Names of containers by containerd's API.

use std::path::Path;

use containerd_client::events::{ContainerCreate, ContainerDelete, ContainerUpdate};
use containerd_client::services::v1::containers_client::ContainersClient;
use containerd_client::services::v1::events_client::EventsClient;
use containerd_client::services::v1::images_client::ImagesClient;
use containerd_client::services::v1::namespaces_client::NamespacesClient;
use containerd_client::services::v1::{
    Container as Record, GetContainerRequest, GetImageRequest, ListNamespacesRequest, SubscribeRequest,
};
use containerd_client::tonic::transport::Channel;
use containerd_client::tonic::{Code, Request, Status, metadata::MetadataValue};
use containerd_client::types::Envelope;
use prost::Message;

use super::announcement::{Announced, Announcer};
use super::channel::{Error, channel};
use super::path::{self, Candidate};
use super::table::{Key, Metadata};
use super::{Image, Origin, Pod, Source};

/// A connection to containerd.
#[derive(Clone, Debug)]
pub(super) struct Containerd(Channel);

impl Containerd {
    pub(super) async fn connect(socket: &Path) -> Result<Self, Error> {
        let containerd = Self(channel(socket).await?);
        // That somebody listens does not mean that somebody answers.
        containerd.namespaces().await?;
        Ok(containerd)
    }

    /// Tells of new, changed and deleted containers until the connection breaks; returns why.
    pub(super) async fn follow(&self, announcer: &Announcer) -> String {
        let filters = ["create", "update", "delete"].map(|event| format!(r#"topic=="/containers/{event}""#)).to_vec();
        let mut client = EventsClient::new(self.0.clone());
        let mut stream = match client.subscribe(SubscribeRequest { filters }).await {
            Ok(stream) => stream.into_inner(),
            Err(status) => return status.message().to_owned(),
        };
        loop {
            match stream.message().await {
                Ok(Some(envelope)) => self.tell(envelope, announcer).await,
                Ok(None) => return "it closed the connection".to_owned(),
                Err(status) => return status.message().to_owned(),
            }
        }
    }

    /// A new container's record is there before its cgroup is.
    async fn tell(&self, envelope: Envelope, announcer: &Announcer) {
        let Envelope { namespace, topic, event: Some(event), .. } = envelope else { return };
        let id = match &*topic {
            "/containers/create" => ContainerCreate::decode(&*event.value).map(|event| event.id),
            "/containers/update" => ContainerUpdate::decode(&*event.value).map(|event| event.id),
            _ => {
                if let Ok(deleted) = ContainerDelete::decode(&*event.value) {
                    announcer.gone(&deleted.id);
                }
                return;
            }
        };
        let Ok(id) = id else { return };
        if !path::is_container_id(&id) {
            announcer.changed(Candidate::Named { namespace, id }).await;
        } else if let Ok(Some(metadata)) = self.metadata(&namespace, &id).await {
            announcer.found(Announced { source: Source::Containerd, id, metadata, cgroup: None }).await;
        }
    }

    /// The first of the candidates that is a container here; `None`: none of them is.
    pub(super) async fn find(&self, candidates: &[Candidate]) -> Result<Option<(Key, Metadata)>, Error> {
        let namespaces = self.namespaces().await?;
        for candidate in candidates {
            for namespace in &namespaces {
                let id = match candidate {
                    Candidate::Id(id) => id,
                    Candidate::Named { namespace: wanted, id } if wanted == namespace => id,
                    Candidate::Named { .. } => continue,
                };
                if let Some(metadata) = self.metadata(namespace, id).await? {
                    return Ok(Some((Key::Container(candidate.clone()), metadata)));
                }
            }
        }
        Ok(None)
    }

    async fn metadata(&self, namespace: &str, id: &str) -> Result<Option<Metadata>, Status> {
        let Some(record) = self.container(namespace, id).await? else { return Ok(None) };
        let digest = self.digest(namespace, &record.image).await?;
        Ok(Some(metadata(namespace, record, &digest)))
    }

    async fn namespaces(&self) -> Result<Vec<String>, Status> {
        let request = ListNamespacesRequest::default();
        let answer = NamespacesClient::new(self.0.clone()).list(request).await?;
        Ok(answer.into_inner().namespaces.into_iter().map(|namespace| namespace.name).collect())
    }

    async fn container(&self, namespace: &str, id: &str) -> Result<Option<Record>, Status> {
        let request = inside(namespace, GetContainerRequest { id: id.to_owned() })?;
        let answer = present(ContainersClient::new(self.0.clone()).get(request).await)?;
        Ok(answer.and_then(|answer| answer.into_inner().container))
    }

    /// Digest that an image's name stands for; empty where the image is not there any more.
    async fn digest(&self, namespace: &str, name: &str) -> Result<String, Status> {
        if name.is_empty() {
            return Ok(String::new());
        }
        let request = inside(namespace, GetImageRequest { name: name.to_owned() })?;
        let answer = present(ImagesClient::new(self.0.clone()).get(request).await)?;
        let target = answer.and_then(|answer| answer.into_inner().image?.target);
        Ok(target.map(|target| target.digest).unwrap_or_default())
    }
}

fn inside<T>(namespace: &str, message: T) -> Result<Request<T>, Status> {
    let value = MetadataValue::try_from(namespace)
        .map_err(|_| Status::invalid_argument(format!("a namespace cannot be called {namespace:?}")))?;
    let mut request = Request::new(message);
    request.metadata_mut().insert("containerd-namespace", value);
    Ok(request)
}

/// "Not found", and a name that containerd would not even look for, are answers.
fn present<T>(answer: Result<T, Status>) -> Result<Option<T>, Status> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(status) if matches!(status.code(), Code::NotFound | Code::InvalidArgument) => Ok(None),
        Err(status) => Err(status),
    }
}

fn metadata(namespace: &str, record: Record, digest: &str) -> Metadata {
    let Record { id, mut labels, image, .. } = record;
    let pod = Pod::of_labels(&mut labels);
    let sandbox = labels.get("io.cri-containerd.kind").is_some_and(|kind| kind == "sandbox");
    let name = labels.remove("io.kubernetes.container.name").or_else(|| labels.remove("nerdctl/name"));
    let name = if sandbox { super::SANDBOX.to_owned() } else { name.unwrap_or_else(|| id.clone()) };
    // Docker's containers are containerd's too, in a namespace of their own.
    let runtime = if namespace == "moby" { "docker" } else { "containerd" };
    Metadata {
        origin: Origin::Container { id, name, runtime, resolved: true },
        pod,
        image: Image::parse(&image).map(|image| image.with_digest(digest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(namespace: &str, labels: &[(&str, &str)], image: &str, expected: &Metadata) {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let record = Record { id: "id".to_owned(), labels, image: image.to_owned(), ..Record::default() };
        assert_eq!(metadata(namespace, record, "sha256:00"), *expected);
    }

    fn container(name: &str, runtime: &'static str) -> Origin {
        Origin::Container { id: "id".to_owned(), name: name.to_owned(), runtime, resolved: true }
    }

    #[test]
    fn names_by_labels() {
        let pod_labels = [
            ("io.kubernetes.pod.namespace", "demo"),
            ("io.kubernetes.pod.name", "web-0"),
            ("io.kubernetes.pod.uid", "u"),
        ];
        let pod =
            Some(Pod { namespace: "demo".to_owned(), name: "web-0".to_owned(), uid: "u".to_owned(), details: None });
        let image = Image::parse("a/b:1").map(|image| image.with_digest("sha256:00"));
        let with = |extra: (&'static str, &'static str)| [&pod_labels[..], &[extra]].concat();

        let origin = container("app", "containerd");
        let expected = Metadata { origin, pod: pod.clone(), image };
        check("k8s.io", &with(("io.kubernetes.container.name", "app")), "a/b:1", &expected);
        let expected = Metadata { origin: container("POD", "containerd"), pod, image: None };
        check("k8s.io", &with(("io.cri-containerd.kind", "sandbox")), "", &expected);
        let without_pod = |name, runtime| Metadata { origin: container(name, runtime), pod: None, image: None };
        check("default", &[("nerdctl/name", "web")], "", &without_pod("web", "containerd"));
        check("default", &[], "", &without_pod("id", "containerd"));
        check("moby", &[("io.kubernetes.pod.name", "half")], "sha256:11", &without_pod("id", "docker"));
    }
}
