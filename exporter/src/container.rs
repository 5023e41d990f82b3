//! Who acted: cgroup id -> [`Container`].

pub mod cgroup;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A container, or a part of the host that is none: what a log record's Resource describes.
#[derive(Debug, Default)]
pub struct Container {
    /// What this is, with its own identity.
    pub origin: Origin,
    /// The Kubernetes pod that the container is part of, by its runtime's labels.
    pub pod: Option<Pod>,
    /// The image that the container runs.
    pub image: Option<Image>,
    /// Next number of this container's stream of events; shared by all versions of one container's metadata.
    stream: Arc<AtomicU64>,
}

/// What acted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// A container.
    Container {
        /// The runtime's id, as in the cgroup's name.
        id: String,
        /// The container's name inside its pod, or its name for the runtime; empty where unresolved.
        name: String,
        /// `containerd`, ...; empty where unresolved.
        runtime: &'static str,
        /// False: no source knew the id in time.
        resolved: bool,
    },
    /// A systemd unit of the host: `sshd.service`.
    Unit(String),
    /// Anything else on the host.
    #[default]
    Host,
}

/// A Kubernetes pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// `io.kubernetes.pod.namespace`
    pub namespace: String,
    /// `io.kubernetes.pod.name`
    pub name: String,
    /// `io.kubernetes.pod.uid`; empty where unknown.
    pub uid: String,
}

/// A container image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// Name without tag and digest: `docker.io/library/nginx`.
    pub name: String,
    /// Tags: `1.29`.
    pub tags: Vec<String>,
    /// Digests with the repository: `docker.io/library/nginx@sha256:...`.
    pub repo_digests: Vec<String>,
}

impl Container {
    /// A container or host part with an event stream of its own.
    #[must_use]
    pub fn new(origin: Origin) -> Self {
        Self { origin, ..Self::default() }
    }

    /// The same container with better metadata; the stream of events goes on.
    #[must_use]
    pub fn update(&self, origin: Origin, pod: Option<Pod>, image: Option<Image>) -> Self {
        Self { origin, pod, image, stream: Arc::clone(&self.stream) }
    }

    /// The number of the next event of this container, from 1.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.stream.fetch_add(1, Ordering::Relaxed) + 1
    }
}
