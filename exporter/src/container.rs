//! Who acted: cgroup id -> [`Container`].
//!
//! The sensor's thread tells of cgroups ([`CgroupEvents`]) and looks them up ([`Containers`]); one task in between owns
//! the table, reads the tree and asks the runtime for names.

mod account;
mod announcement;
pub mod cgroup;
mod channel;
mod containerd;
mod cri;
mod events;
mod file;
mod filter;
pub mod hook;
mod image;
mod known;
pub mod kube;
mod kubelet;
mod mountinfo;
mod mounts;
mod nri;
mod owners;
mod path;
mod pod;
mod pods;
mod questions;
pub mod report;
mod runtime;
pub mod source;
mod table;
mod view;
mod volume;
mod watch;
mod watched;

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, watch as value};

use inotrail_ebpf::Header;

use crate::decoy::Wanted;
use crate::metrics::Metrics;
use crate::policy::{PolicySet, Selection};
pub use account::Account;
use announcement::Announcer;
use cgroup::Hierarchy;
pub use events::CgroupEvents;
pub use file::File;
pub use filter::{FileId, FilterUsage, KernelFilter, Recorded};
use hook::Hooks;
use kube::{Kube, KubeConfig};
pub use mounts::MountReader;
use mounts::{Content, MountQueue, Mounts};
pub use owners::FileOwner;
pub use pod::{Owner, OwnerKind, Pod, PodDetails};
use runtime::Link;
use source::{Api, RuntimeConfig, Source};
use table::Table;
pub use view::{Containers, Mounted, Snapshot};
pub use volume::{Object, PodVolumes, Volume, VolumeSource};
use watch::{Incoming, Scan, Watch};
use watched::WatchedFiles;

/// Kubernetes' name for a container that only holds a pod's namespaces has always been this one; CRI gives it none.
const SANDBOX: &str = "POD";

/// Changes that may wait for the task; past it, the tree is read instead.
const CHANGES_MAX: usize = 4096;

/// What [`spawn`] needs to know.
#[derive(Debug)]
pub struct ContainerConfig {
    /// Where containers live.
    pub hierarchy: Hierarchy,
    /// Who is asked for names; nothing: nobody.
    pub runtime: Option<RuntimeConfig>,
    /// Where the OCI hook is listened for; nothing: nowhere.
    pub hook: Option<PathBuf>,
    /// Who is asked for pods; nothing: nobody.
    pub kube: Option<KubeConfig>,
    /// Where a runtime takes plugins in (NRI); nothing: none is asked to.
    pub nri: Option<PathBuf>,
    /// Reads what containers have mounted; nothing: files' volumes and owners stay unknown.
    pub mounts: Option<MountReader>,
    /// What is worth an event; nothing: everything.
    pub policies: Option<value::Receiver<Arc<PolicySet>>>,
    /// Told which cgroups policies are about, and which are never reported; nothing: the kernel's programs record them all.
    pub filter: Option<Box<dyn KernelFilter>>,
    /// Told which containers are to have decoys; nothing: nobody makes any.
    pub decoys: Option<value::Sender<Wanted>>,
    /// How long a container's events wait for its name, and for its mounts.
    pub resolve_within: Duration,
}

impl ContainerConfig {
    /// Whether the runtime that the user named is there.
    ///
    /// # Errors
    /// It is not.
    pub fn check(&self) -> Result<(), Error> {
        let Some(runtime) = &self.runtime else { return Ok(()) };
        runtime.check().map_err(|source| Error::Socket { socket: runtime.socket.clone(), source })
    }
}

/// Why containers cannot be told apart.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The socket that the user named is not there.
    #[error(
        "cannot use the container runtime's socket {socket}: start the runtime, or name its socket by --runtime-socket"
    )]
    Socket {
        /// As configured.
        socket: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The socket for OCI hooks cannot be made.
    #[error("cannot listen for OCI hooks at {}: name another place by --hook-socket, and run as root", socket.display())]
    Hook {
        /// As configured.
        socket: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The Kubernetes API cannot be asked.
    #[error(transparent)]
    Kube(#[from] kube::Error),
    /// The cgroup tree cannot be read.
    #[error("cannot read the cgroup tree {root}: mount it, and run as root")]
    Tree {
        /// Where it is mounted.
        root: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Reads the cgroup tree and starts the task that keeps the table, until all of the returned [`CgroupEvents`] are dropped.
///
/// A cgroup of the host is known within milliseconds, a container's within the time that the runtime needs to answer, and
/// after [`ContainerConfig::resolve_within`] without an answer it is given out with `resolved: false`. Call it when the programs that report new cgroups
/// are attached: what was there before is in the tree.
///
/// # Errors
///
/// [`Error`]. A socket that the user did not name may be missing, and may come later.
pub fn spawn(
    config: ContainerConfig,
    metrics: Arc<Metrics>,
    runtime: &Handle,
) -> Result<(Containers, CgroupEvents), Error> {
    config.check()?;
    let ContainerConfig {
        hierarchy,
        runtime: asked,
        hook,
        kube,
        nri,
        mounts,
        policies,
        filter,
        decoys,
        resolve_within,
    } = config;
    let first = Scan::read(&hierarchy).map_err(|source| Error::Tree { root: hierarchy.root.clone(), source })?;
    let containers = Containers::default();
    let (changes, receiver) = mpsc::channel(CHANGES_MAX);
    let rescan = Arc::new(Notify::new());
    let hierarchy = Arc::new(hierarchy);
    let (announcer, said) = Announcer::new(Arc::clone(&hierarchy));
    let table = Table::new(containers.clone(), mounts.is_some()).expecting_pods(kube.is_some());
    let mounts = mounts.map(|reader| MountQueue::new(reader, resolve_within));
    let expects_announcements = hook.is_some() || kube.is_some() || nri.is_some();
    let watch = Watch::new(hierarchy, table, mounts, metrics, (resolve_within, expects_announcements))
        .filtering(filter)
        .planting(decoys);
    let events = CgroupEvents { changes, rescan: Arc::clone(&rescan) };
    if let Some(socket) = hook {
        let _entered = runtime.enter();
        let hooks = Hooks::listen(&socket).map_err(|source| Error::Hook { socket, source })?;
        runtime.spawn(hooks.serve(announcer.clone()));
    }
    if let Some(config) = kube {
        let kube = runtime.block_on(Kube::new(config))?;
        runtime.spawn(kube.follow(announcer.clone(), watch.pods_wanted()));
    }
    runtime.spawn(async move {
        let told = announcer.clone();
        let nri = nri.map(|socket| tokio::spawn(async move { nri::connect_for_ever(&socket, told).await }));
        let link = asked.map(|config| Link::open(config, announcer));
        watch.run(first, link, Incoming { changes: receiver, said, rescan, policies }).await;
        if let Some(nri) = nri {
            nri.abort();
        }
    });
    Ok((containers, events))
}

/// A container, or a part of the host that is none: what a log record's Resource describes.
#[derive(Debug, Default)]
pub struct Container {
    /// What this is, with its own identity.
    pub origin: Origin,
    /// The Kubernetes pod that the container is part of.
    pub pod: Option<Pod>,
    /// The image that the container runs.
    pub image: Option<Image>,
    /// What it has mounted; `None`: not known.
    mounts: Option<Mounts<Content>>,
    /// Files that its rules name by their whole paths; `None`: not looked for.
    watched: Option<Arc<WatchedFiles>>,
    /// Rules that are about it; `None`: not chosen yet for what is known of it.
    rules: Option<Selection>,
    /// Shared by all versions of one container's metadata.
    lasting: Arc<Lasting>,
}

/// What stays while metadata changes.
#[derive(Debug, Default)]
struct Lasting {
    /// Last number of the container's accesses.
    accesses: AtomicU64,
    /// Last number of its losses.
    losses: AtomicU64,
    /// The last window in which it has sent something, and how many accesses.
    window: AtomicU64,
    sent: AtomicU64,
    /// When its mounts were last found to be unknown, nanoseconds since the Unix epoch.
    unknown_mounts_ns: AtomicU64,
    /// It was told that its rules' files are to be looked for again, and nobody has yet.
    stale_files: AtomicBool,
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
    /// This exporter: what it tells of itself.
    Exporter,
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

impl Origin {
    /// A container of which only the id is known.
    fn unresolved(id: &str) -> Self {
        Self::Container { id: id.to_owned(), name: String::new(), runtime: "", resolved: false }
    }
}

impl Container {
    /// A container or host part with an event stream of its own.
    #[must_use]
    pub fn new(origin: Origin) -> Self {
        Self { origin, ..Self::default() }
    }

    /// Whoever is in a cgroup that nobody knows: a container without id and name, and never "host", which would be a
    /// guess. One for all of them, so that their events are one stream.
    #[must_use]
    pub fn unknown() -> &'static Arc<Self> {
        static UNKNOWN: LazyLock<Arc<Container>> = LazyLock::new(|| Arc::new(Container::new(Origin::unresolved(""))));
        &UNKNOWN
    }

    /// The same container with better metadata; the stream of events goes on.
    #[must_use]
    pub fn update(&self, origin: Origin, pod: Option<Pod>, image: Option<Image>) -> Self {
        let (mounts, watched) = (self.mounts.clone(), self.watched.clone());
        Self { origin, pod, image, mounts, watched, rules: None, lasting: Arc::clone(&self.lasting) }
    }

    /// The same container with the rules that are about it.
    fn with_rules(&self, rules: Option<Selection>) -> Self {
        Self { rules, ..self.update(self.origin.clone(), self.pod.clone(), self.image.clone()) }
    }

    /// The same container with other files that its rules name.
    fn with_watched(&self, watched: Option<Arc<WatchedFiles>>) -> Self {
        Self { watched, ..self.with_rules(self.rules.clone()) }
    }

    /// The same container with other mounts.
    fn with_mounts(&self, mounts: Mounts<Content>) -> Self {
        Self { mounts: Some(mounts), ..self.with_rules(self.rules.clone()) }
    }

    /// Whether it is of a pod that is never reported.
    #[must_use]
    pub fn is_excluded(&self) -> bool {
        let details = self.pod.as_ref().and_then(|pod| pod.details.as_ref());
        details.is_some_and(|details| details.is_excluded)
    }

    /// [`Pod::uid`]
    fn pod_uid(&self) -> Option<&str> {
        self.pod.as_ref().map(|pod| &*pod.uid)
    }

    /// Paths by which its rules name the file of a record, whatever it was accessed as.
    #[must_use]
    pub fn names_of(&self, header: &Header) -> &[Box<[u8]>] {
        self.watched.as_ref().map_or(&[], |files| files.names_of((header.device, header.inode)))
    }

    /// Whether there is nothing at a path in its rules.
    fn is_missing(&self, path: &[u8]) -> bool {
        self.watched.as_ref().is_some_and(|files| files.is_missing(path))
    }

    /// Whether to tell that files that its rules name are to be looked for again, after an access to one of them.
    #[must_use]
    pub fn tells_stale_files(&self, header: &Header, path: &[u8]) -> bool {
        let file = (header.device, header.inode);
        let is_stale = |files: &Arc<WatchedFiles>| header.inode != 0 && files.is_stale(file, path);
        self.watched.as_ref().is_some_and(is_stale) && !self.lasting.stale_files.swap(true, Ordering::Relaxed)
    }

    /// Whether to tell that its mounts are unknown: not for every file that has no place in any, as those in memory only.
    #[must_use]
    pub fn tells_unknown_mounts(&self, now_ns: u64) -> bool {
        const AGAIN_NS: u64 = 10_000_000_000;
        let last = self.lasting.unknown_mounts_ns.load(Ordering::Relaxed);
        // Or the calendar was set back.
        let is_due = now_ns.checked_sub(last).is_none_or(|age| age >= AGAIN_NS);
        if is_due {
            self.lasting.unknown_mounts_ns.store(now_ns, Ordering::Relaxed);
        }
        is_due
    }

    /// The number of the next event of this container, from 1.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.lasting.accesses.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Notes that it sends so many accesses in this window (a number that goes up), and returns how many that are by now.
    /// For one thread.
    #[must_use]
    pub fn sends(&self, window: u64, count: u64) -> u64 {
        let Lasting { window: last, sent, .. } = &*self.lasting;
        let before = if last.swap(window, Ordering::Relaxed) == window { sent.load(Ordering::Relaxed) } else { 0 };
        let now = before.saturating_add(count);
        sent.store(now, Ordering::Relaxed);
        now
    }

    /// The number of the next loss of this container, from 1.
    #[must_use]
    pub fn next_loss_sequence(&self) -> u64 {
        self.lasting.losses.fetch_add(1, Ordering::Relaxed) + 1
    }
}
