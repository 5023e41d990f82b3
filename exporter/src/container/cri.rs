//! Names of containers by the Container Runtime Interface, version 1 (k8s.io/cri-api): CRI-O and every other runtime of a kubelet.

use std::path::Path;
use std::time::Duration;

use k8s_cri::v1::runtime_service_client::RuntimeServiceClient;
use k8s_cri::v1::{
    ContainerEventResponse, ContainerEventType, ContainerStatus, ContainerStatusRequest, GetEventsRequest, ImageSpec,
    PodSandboxStatus, PodSandboxStatusRequest, VersionRequest,
};
use tokio::time::{sleep, timeout};
use tonic::transport::Channel;
use tonic::{Code, Response, Status};

use super::announcement::{Announced, Announcer};
use super::channel::{ANSWER_WITHIN, Error, channel};
use super::path::Candidate;
use super::table::{Key, Metadata};
use super::{Image, Origin, Pod, SANDBOX, Source};

/// How often a runtime that tells of nothing by itself is asked whether it is still there.
const ALIVE_EVERY: Duration = Duration::from_secs(10);

/// A connection to a runtime.
#[derive(Clone, Debug)]
pub(super) struct Cri {
    client: RuntimeServiceClient<Channel>,
    runtime: &'static str,
}

impl Cri {
    pub(super) async fn connect(socket: &Path) -> Result<Self, Error> {
        let mut client = RuntimeServiceClient::new(channel(socket).await?);
        let version = client.version(VersionRequest::default()).await?.into_inner();
        Ok(Self { client, runtime: runtime(&version.runtime_name) })
    }

    /// Tells of new and deleted containers, where the runtime does (`GetContainerEvents` is optional), until the
    /// connection breaks; returns why.
    pub(super) async fn follow(&self, announcer: &Announcer) -> String {
        let mut stream = match self.client.clone().get_container_events(GetEventsRequest {}).await {
            Ok(stream) => stream.into_inner(),
            Err(status) if status.code() == Code::Unimplemented => return self.wait_for_its_end().await,
            Err(status) => return status.message().to_owned(),
        };
        loop {
            match stream.message().await {
                Ok(Some(event)) => self.tell(event, announcer).await,
                // So ends a stream that was never meant to be used.
                Ok(None) => return self.wait_for_its_end().await,
                Err(status) if status.code() == Code::Unimplemented => return self.wait_for_its_end().await,
                Err(status) => return status.message().to_owned(),
            }
        }
    }

    async fn wait_for_its_end(&self) -> String {
        loop {
            sleep(ALIVE_EVERY).await;
            match timeout(ANSWER_WITHIN, self.client.clone().version(VersionRequest::default())).await {
                Ok(Ok(_)) => {}
                Ok(Err(status)) => return status.message().to_owned(),
                Err(_) => return Error::Silent.to_string(),
            }
        }
    }

    async fn tell(&self, event: ContainerEventResponse, announcer: &Announcer) {
        let id = event.container_id;
        match ContainerEventType::try_from(event.container_event_type) {
            Ok(ContainerEventType::ContainerDeletedEvent) => announcer.gone(&id),
            Ok(ContainerEventType::ContainerCreatedEvent) => {
                if let Ok(Some(metadata)) = self.metadata(&id).await {
                    announcer.found(Announced { source: Source::Cri, id, metadata, cgroup: None }).await;
                }
            }
            _ => {}
        }
    }

    /// The first of the candidates that is a container or a sandbox here.
    pub(super) async fn find(&self, candidates: &[Candidate]) -> Result<Option<(Key, Metadata)>, Error> {
        for candidate in candidates {
            let Candidate::Id(id) = candidate else { continue };
            if let Some(metadata) = self.metadata(id).await? {
                return Ok(Some((Key::Container(candidate.clone()), metadata)));
            }
        }
        Ok(None)
    }

    async fn metadata(&self, id: &str) -> Result<Option<Metadata>, Status> {
        let request = ContainerStatusRequest { container_id: id.to_owned(), verbose: false };
        // Ids may be abbreviated in requests, so what is found need not be what was meant.
        if let Some(status) = present(self.client.clone().container_status(request).await)?.and_then(|it| it.status)
            && status.id == id
        {
            return Ok(Some(container(status, self.runtime)));
        }
        let request = PodSandboxStatusRequest { pod_sandbox_id: id.to_owned(), verbose: false };
        let found = present(self.client.clone().pod_sandbox_status(request).await)?.and_then(|it| it.status);
        Ok(found.filter(|status| status.id == id).map(|status| sandbox(status, self.runtime)))
    }
}

fn present<T>(answer: Result<Response<T>, Status>) -> Result<Option<T>, Status> {
    match answer {
        Ok(found) => Ok(Some(found.into_inner())),
        Err(status) if status.code() == Code::NotFound => Ok(None),
        Err(status) => Err(status),
    }
}

fn container(status: ContainerStatus, runtime: &'static str) -> Metadata {
    let ContainerStatus { id, metadata, image, image_ref, mut labels, .. } = status;
    let name = metadata.map_or_else(|| id.clone(), |metadata| metadata.name);
    Metadata {
        origin: Origin::Container { id, name, runtime, resolved: true },
        pod: Pod::of_labels(&mut labels),
        image: image.and_then(|image| self::image(image, &image_ref)),
    }
}

/// `reference` is what the runtime has resolved the image to: a repository with a digest, or its own id of the image.
fn image(image: ImageSpec, reference: &str) -> Option<Image> {
    let ImageSpec { image, user_specified_image: specified, .. } = image;
    let named = if specified.is_empty() { image } else { specified };
    Image::resolved(&named, reference)
}

fn sandbox(status: PodSandboxStatus, runtime: &'static str) -> Metadata {
    let PodSandboxStatus { id, metadata, .. } = status;
    let pod = metadata.map(|pod| Pod { namespace: pod.namespace, name: pod.name, uid: pod.uid, details: None });
    Metadata { origin: Origin::Container { id, name: SANDBOX.to_owned(), runtime, resolved: true }, pod, image: None }
}

/// What the runtime calls itself, as `container.runtime.name` has it.
pub(super) fn runtime(name: &str) -> &'static str {
    match name {
        "containerd" => "containerd",
        "cri-o" => "cri-o",
        "docker" => "docker",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use k8s_cri::v1::{ContainerMetadata, PodSandboxMetadata};

    use super::*;

    #[track_caller]
    fn check(image: &str, specified: &str, reference: &str, expected: Option<(&str, &[&str], &[&str])>) {
        let spec =
            ImageSpec { image: image.to_owned(), user_specified_image: specified.to_owned(), ..ImageSpec::default() };
        let found = super::image(spec, reference);
        let found = found.as_ref().map(|image| (&*image.name, &image.tags, &image.repo_digests));
        let strings = |list: &[&str]| list.iter().map(|text| String::from(*text)).collect::<Vec<_>>();
        let expected = expected.map(|(name, tags, digests)| (name, strings(tags), strings(digests)));
        assert_eq!(found, expected.as_ref().map(|(name, tags, digests)| (*name, tags, digests)));
    }

    #[test]
    fn images_of_every_runtime() {
        // containerd: what the user wrote, and the digest or its own id.
        check("a/b:1", "", "a/b@sha256:00", Some(("a/b", &["1"], &["a/b@sha256:00"])));
        check("a/b:1", "", "sha256:00", Some(("a/b", &["1"], &[])));
        // CRI-O: its own id, and the rest beside it.
        check("00ff", "a/b:1", "a/b@sha256:00", Some(("a/b", &["1"], &["a/b@sha256:00"])));
        check("sha256:00", "", "a/b@sha256:00", Some(("a/b", &[], &["a/b@sha256:00"])));
        check("sha256:00", "", "sha256:00", None);
        check("", "", "", None);
    }

    #[test]
    fn names() {
        let labels = [("namespace", "demo"), ("name", "web-0"), ("uid", "u")];
        let labels = labels.map(|(key, value)| (format!("io.kubernetes.pod.{key}"), value.to_owned()));
        let pod = Pod { namespace: "demo".to_owned(), name: "web-0".to_owned(), uid: "u".to_owned(), details: None };
        let named = |name: &str| Some(ContainerMetadata { name: name.to_owned(), attempt: 1 });
        let status = |metadata, labels| ContainerStatus { id: "id".to_owned(), metadata, labels, ..Default::default() };
        let origin = |name: &str, runtime| Origin::Container {
            id: "id".to_owned(),
            name: name.to_owned(),
            runtime,
            resolved: true,
        };
        let expected = Metadata { origin: origin("app", "cri-o"), pod: Some(pod.clone()), image: None };
        assert_eq!(container(status(named("app"), labels.into()), "cri-o"), expected);
        // Labels may be missing, and so may be the rest.
        let expected = Metadata { origin: origin("id", ""), pod: None, image: None };
        assert_eq!(container(status(None, HashMap::new()), ""), expected);
        let metadata = PodSandboxMetadata {
            name: pod.name.clone(),
            uid: pod.uid.clone(),
            namespace: pod.namespace.clone(),
            attempt: 0,
        };
        let status = PodSandboxStatus { id: "id".to_owned(), metadata: Some(metadata), ..Default::default() };
        assert_eq!(
            sandbox(status, "containerd"),
            Metadata { origin: origin("POD", "containerd"), pod: Some(pod), image: None }
        );
        assert_eq!(["cri-o", "containerd", "other"].map(runtime), ["cri-o", "containerd", ""]);
    }
}
