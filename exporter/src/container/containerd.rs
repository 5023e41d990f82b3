//! Names of containers by containerd's API.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use containerd_client::services::v1::containers_client::ContainersClient;
use containerd_client::services::v1::events_client::EventsClient;
use containerd_client::services::v1::images_client::ImagesClient;
use containerd_client::services::v1::namespaces_client::NamespacesClient;
use containerd_client::services::v1::{
    Container as Record, GetContainerRequest, GetImageRequest, ListNamespacesRequest, SubscribeRequest,
};
use containerd_client::tonic::transport::{Channel, Error as Connect};
use containerd_client::tonic::{Code, Request, Status, metadata::MetadataValue};
use prost::Message;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use super::path::Candidate;
use super::table::{Key, Metadata};
use super::{Image, Origin, Pod};

/// Longest time one question may take.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(2);
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// A connection to containerd.
#[derive(Clone, Debug)]
pub(super) struct Containerd(Channel);

/// Whether containerd can be asked.
#[derive(Clone, Debug)]
pub(super) enum State {
    /// Not known yet.
    Connecting,
    /// It answers.
    Up(Containerd),
    /// It does not.
    Down,
}

/// The current connection, changes of containers, and the way to say that the connection is of no use.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) state: watch::Receiver<State>,
    /// Containers whose labels or image changed.
    pub(super) updates: mpsc::Receiver<Candidate>,
    /// An answer did not come.
    pub(super) suspect: mpsc::Sender<()>,
}

/// Why containerd gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("containerd does not answer within {} s", ANSWER_WITHIN.as_secs())]
    Silent,
    #[error("cannot connect to containerd: check that it runs and that this user may open its socket")]
    Connect(#[from] Connect),
    #[error("containerd answers with an error: {0}")]
    Answer(#[from] Status),
}

impl Link {
    /// Connects for ever, in a task that ends with the link.
    pub(super) fn open(socket: PathBuf) -> Self {
        let (tell, state) = watch::channel(State::Connecting);
        let (changed, updates) = mpsc::channel(64);
        let (suspect, suspicions) = mpsc::channel(1);
        tokio::spawn(async move {
            let ended = tell.clone();
            tokio::select! {
                () = connect_for_ever(&socket, &tell, &changed, suspicions) => {}
                () = ended.closed() => {}
            }
        });
        Self { state, updates, suspect }
    }
}

async fn connect_for_ever(
    socket: &Path,
    state: &watch::Sender<State>,
    updates: &mpsc::Sender<Candidate>,
    mut suspicions: mpsc::Receiver<()>,
) {
    let mut backoff = BACKOFF.0;
    let mut complained = false;
    loop {
        match Containerd::connect(socket).await {
            Ok(containerd) => {
                tracing::info!(socket = %socket.display(), "connected to containerd");
                complained = false;
                while suspicions.try_recv().is_ok() {}
                state.send_replace(State::Up(containerd.clone()));
                let since = Instant::now();
                let reason = tokio::select! {
                    reason = containerd.follow(updates) => reason,
                    Some(()) = suspicions.recv() => Error::Silent.to_string(),
                };
                tracing::warn!(reason, "lost containerd: new containers stay without names until it is back");
                if since.elapsed() > BACKOFF.1 {
                    backoff = BACKOFF.0;
                }
            }
            Err(error) if !complained => {
                complained = true;
                let error: &dyn std::error::Error = &error;
                tracing::warn!(socket = %socket.display(), error, "containers stay without names until containerd answers");
            }
            Err(_) => {}
        }
        state.send_replace(State::Down);
        sleep(backoff).await;
        backoff = BACKOFF.1.min(backoff * 2);
    }
}

impl Containerd {
    async fn connect(socket: &Path) -> Result<Self, Error> {
        let connect = async {
            let containerd = Self(containerd_client::connect(socket).await?);
            // That somebody listens does not mean that somebody answers.
            containerd.namespaces().await?;
            Ok(containerd)
        };
        timeout(ANSWER_WITHIN, connect).await.unwrap_or(Err(Error::Silent))
    }

    /// Reports changed containers until the connection breaks.
    async fn follow(&self, updates: &mpsc::Sender<Candidate>) -> String {
        let filters = vec![r#"topic=="/containers/update""#.to_owned()];
        let mut client = EventsClient::new(self.0.clone());
        let mut stream = match client.subscribe(SubscribeRequest { filters }).await {
            Ok(stream) => stream.into_inner(),
            Err(status) => return status.message().to_owned(),
        };
        loop {
            let envelope = match stream.message().await {
                Ok(Some(envelope)) => envelope,
                Ok(None) => return "it closed the connection".to_owned(),
                Err(status) => return status.message().to_owned(),
            };
            let event = envelope.event.map(|any| containerd_client::events::ContainerUpdate::decode(&*any.value));
            if let Some(Ok(update)) = event {
                // A full queue loses a new label, not a container; the next change brings both.
                let _full = updates.try_send(Candidate::Named { namespace: envelope.namespace, id: update.id });
            }
        }
    }

    /// The first of the candidates that is a container here; `None`: none of them is.
    pub(super) async fn find(&self, candidates: &[Candidate]) -> Result<Option<(Key, Metadata)>, Error> {
        timeout(ANSWER_WITHIN, self.find_first(candidates)).await.unwrap_or(Err(Error::Silent))
    }

    async fn find_first(&self, candidates: &[Candidate]) -> Result<Option<(Key, Metadata)>, Error> {
        let namespaces = self.namespaces().await?;
        for candidate in candidates {
            for namespace in &namespaces {
                let id = match candidate {
                    Candidate::Id(id) => id,
                    Candidate::Named { namespace: wanted, id } if wanted == namespace => id,
                    Candidate::Named { .. } => continue,
                };
                if let Some(record) = self.container(namespace, id).await? {
                    let digest = self.digest(namespace, &record.image).await?;
                    return Ok(Some((Key::Container(candidate.clone()), metadata(namespace, record, &digest))));
                }
            }
        }
        Ok(None)
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

/// Kubernetes' name for a container that only holds a pod's namespaces has always been this one; CRI gives it none.
const SANDBOX: &str = "POD";

fn metadata(namespace: &str, record: Record, digest: &str) -> Metadata {
    let Record { id, mut labels, image, .. } = record;
    let pod = pod(&mut labels);
    let sandbox = labels.get("io.cri-containerd.kind").is_some_and(|kind| kind == "sandbox");
    let name = labels.remove("io.kubernetes.container.name").or_else(|| labels.remove("nerdctl/name"));
    let name = if sandbox { SANDBOX.to_owned() } else { name.unwrap_or_else(|| id.clone()) };
    // Docker's containers are containerd's too, in a namespace of their own.
    let runtime = if namespace == "moby" { "docker" } else { "containerd" };
    Metadata {
        origin: Origin::Container { id, name, runtime, resolved: true },
        pod,
        image: Image::parse(&image).map(|image| image.with_digest(digest)),
    }
}

fn pod(labels: &mut HashMap<String, String>) -> Option<Pod> {
    Some(Pod {
        namespace: labels.remove("io.kubernetes.pod.namespace")?,
        name: labels.remove("io.kubernetes.pod.name")?,
        uid: labels.remove("io.kubernetes.pod.uid").unwrap_or_default(),
    })
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
        let pod = Some(Pod { namespace: "demo".to_owned(), name: "web-0".to_owned(), uid: "u".to_owned() });
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
