//! What the runtime calls: each call is answered at once, with nothing in it, so that no container is changed or held up.

use std::collections::HashMap;

use prost::Message;
use tokio::sync::mpsc;

use super::super::announcement::{Announced, Announcer};
use super::super::table::Metadata;
use super::super::{Image, Origin, Pod, SANDBOX, Source, cri, path};
use super::message::{
    self, Configure, Configured, Container, Event, Lifecycle, PodSandbox, Request, Response, StateChange, Status,
    Synchronize, Synchronized,
};

/// Pods, and containers, that a runtime may have when it connects: ten times what a kubelet runs.
pub(super) const RUNNING_MAX: usize = 4096;

/// One connection's side of the conversation.
#[derive(Debug)]
pub(super) struct Plugin {
    announcer: Announcer,
    /// For those that the runtime does not wait for.
    later: mpsc::Sender<Announced>,
    runtime: &'static str,
    /// What runs, as far as it has been told.
    running: Running,
    synchronized: bool,
}

#[derive(Debug, Default)]
struct Running {
    pods: HashMap<String, PodSandbox>,
    containers: Vec<Container>,
    /// How many there was no room for.
    lost: usize,
}

impl Plugin {
    pub(super) fn new(announcer: Announcer, later: mpsc::Sender<Announced>) -> Self {
        Self { announcer, later, runtime: "", running: Running::default(), synchronized: false }
    }

    /// Whether the runtime has told of everything that runs, and of what it is.
    pub(super) fn synchronized(&self) -> Option<&'static str> {
        self.synchronized.then_some(self.runtime)
    }

    /// Takes at most the 5 ms of [`Announcer::here`].
    ///
    /// A payload that cannot be read counts as an empty one: with an error for an answer the runtime would fail the container.
    pub(super) async fn answer(&mut self, request: &Request) -> Response {
        let payload = match &*request.method {
            "Configure" => self.configure(&read(&request.payload)),
            "Synchronize" => self.synchronize(read(&request.payload)),
            "StateChange" => {
                let StateChange { event, pod, container } = read(&request.payload);
                self.hear(Event::of_number(event), pod, container).await;
                Vec::new()
            }
            "Shutdown" => Vec::new(),
            method => {
                let Some(event) = Event::of_method(method) else {
                    let status = Status { code: message::UNIMPLEMENTED, message: "not subscribed to".to_owned() };
                    return Response { status: Some(status), payload: Vec::new() };
                };
                let Lifecycle { pod, container } = read(&request.payload);
                self.hear(Some(event), pod, container).await;
                Vec::new()
            }
        };
        Response { status: None, payload }
    }

    fn configure(&mut self, configure: &Configure) -> Vec<u8> {
        self.runtime = cri::runtime(&configure.runtime_name);
        Configured { events: Event::mask() }.encode_to_vec()
    }

    /// A container may be told of in an earlier part than its pod.
    fn synchronize(&mut self, Synchronize { pods, containers, more }: Synchronize) -> Vec<u8> {
        let running = &mut self.running;
        let room = (RUNNING_MAX - running.pods.len(), RUNNING_MAX - running.containers.len());
        running.lost += pods.len().saturating_sub(room.0) + containers.len().saturating_sub(room.1);
        running.pods.extend(pods.into_iter().take(room.0).map(|pod| (pod.id.clone(), pod)));
        running.containers.extend(containers.into_iter().take(room.1));
        if !more {
            self.announce_running();
            self.synchronized = true;
        }
        Synchronized { more }.encode_to_vec()
    }

    /// Nobody waits for these: the runtime starts no container meanwhile.
    fn announce_running(&mut self) {
        let Running { pods, containers, mut lost } = std::mem::take(&mut self.running);
        for container in containers {
            let pod = pods.get(&container.pod_sandbox_id);
            lost += usize::from(!self.postpone(self.container(container, pod)));
        }
        for pod in pods.into_values() {
            lost += usize::from(!self.postpone(self.sandbox(&pod)));
        }
        if lost > 0 {
            tracing::warn!(lost, "the container runtime has too many containers: some stay without names (NRI)");
        }
    }

    async fn hear(&self, event: Option<Event>, pod: Option<PodSandbox>, container: Option<Container>) {
        let announced = match (event, pod, container) {
            (Some(Event::RunPodSandbox), Some(pod), _) => self.sandbox(&pod),
            (Some(Event::CreateContainer), pod, Some(container)) => self.container(container, pod.as_ref()),
            (Some(Event::RemoveContainer), _, Some(container)) => return self.gone(&container.id),
            (Some(Event::RemovePodSandbox), Some(pod), _) => return self.gone(&pod.id),
            _ => return,
        };
        if let Some(announced) = announced
            && !self.announcer.here(announced.clone()).await
            && !self.postpone(Some(announced))
        {
            tracing::warn!("too many new containers at once: one stays without a name (NRI)");
        }
    }

    fn gone(&self, id: &str) {
        if path::is_container_id(id) {
            self.announcer.gone(id);
        }
    }

    /// False: there is no room.
    fn postpone(&self, announced: Option<Announced>) -> bool {
        announced.is_none_or(|announced| self.later.try_send(announced).is_ok())
    }

    fn container(&self, container: Container, pod: Option<&PodSandbox>) -> Option<Announced> {
        let Container { id, name, image, .. } = container;
        let name = if name.is_empty() { id.clone() } else { name };
        let image = image.and_then(|image| Some(Image::parse(&image.name)?.with_digest(&image.digest)));
        self.announced(id, &name, pod, image)
    }

    /// The container that holds the pod's namespaces.
    fn sandbox(&self, pod: &PodSandbox) -> Option<Announced> {
        self.announced(pod.id.clone(), SANDBOX, Some(pod), None)
    }

    /// `None`: that is no id of a container, so nothing can be known by it. Its cgroup is found by the id: the kernel tells
    /// of it, or the tree.
    fn announced(&self, id: String, name: &str, pod: Option<&PodSandbox>, image: Option<Image>) -> Option<Announced> {
        if !path::is_container_id(&id) {
            return None;
        }
        let pod = pod.map(|pod| {
            let PodSandbox { namespace, name, uid, .. } = pod.clone();
            Pod { namespace, name, uid, details: None }
        });
        let origin = Origin::Container { id: id.clone(), name: name.to_owned(), runtime: self.runtime, resolved: true };
        Some(Announced { source: Source::Nri, id, metadata: Metadata { origin, pod, image }, cgroup: None })
    }
}

fn read<M: Message + Default>(payload: &[u8]) -> M {
    M::decode(payload).unwrap_or_else(|error| {
        tracing::debug!(%error, "the container runtime sends a message that is not NRI's");
        M::default()
    })
}
