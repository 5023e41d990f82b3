//! What sources say of containers without being asked, before a container's first instruction where its runtime waits.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::Source;
use super::cgroup::Hierarchy;
use super::path::{self, Candidate};
use super::pods::PodNews;
use super::table::Metadata;
use crate::policy::scope::Labels;

/// How long a runtime that waits for us is kept: it holds up all new containers of the node meanwhile.
const SEEN_WITHIN: Duration = Duration::from_millis(5);
/// Announcements that may wait for the table's task.
pub(super) const WAITING_MAX: usize = 1024;

/// A container that is about to run, or runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Announced {
    /// Who says so.
    pub(super) source: Source,
    /// The runtime's id, as in the cgroup's name.
    pub(super) id: String,
    pub(super) metadata: Metadata,
    /// Id and path of its cgroup, as [`Announcer::cgroup_of`] finds them.
    pub(super) cgroup: Option<(u64, Box<[u8]>)>,
}

/// What the API server tells of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NamespaceNews {
    pub(super) name: String,
    /// `None`: it is no more.
    pub(super) labels: Option<Labels>,
    /// It was asked for, and may be older than what was told without being asked.
    pub(super) is_answer: bool,
}

/// What the table's task is told.
#[derive(Debug)]
pub(super) enum Said {
    /// Somebody may wait until readers of the table see it.
    Here(Box<Announced>, Option<oneshot::Sender<()>>),
    /// The runtime knows something new of this container.
    Changed(Candidate),
    /// The container with this id is no more.
    Gone(String),
    /// The API server tells of a pod.
    Pod(Box<PodNews>),
    /// The pod that is called so in cgroups is no more.
    PodGone(String),
    /// There are no pods but these.
    OnlyPods(HashSet<String>),
    /// Something is known of a namespace.
    Namespace(NamespaceNews),
}

/// The sources' end.
#[derive(Clone, Debug)]
pub(super) struct Announcer {
    hierarchy: Arc<Hierarchy>,
    said: mpsc::Sender<Said>,
}

impl Announcer {
    pub(super) fn new(hierarchy: Arc<Hierarchy>) -> (Self, mpsc::Receiver<Said>) {
        let (said, receiver) = mpsc::channel(WAITING_MAX);
        (Self { hierarchy, said }, receiver)
    }

    /// Tells of a container and returns when readers of the table see it; false: not within 5 ms, or too much waits.
    pub(super) async fn here(&self, announced: Announced) -> bool {
        let (done, seen) = oneshot::channel();
        if self.said.try_send(Said::Here(Box::new(announced), Some(done))).is_err() {
            return false;
        }
        matches!(timeout(SEEN_WITHIN, seen).await, Ok(Ok(())))
    }

    /// Tells of a container that nobody waits for; waits for room.
    pub(super) async fn found(&self, announced: Announced) {
        // Nobody listens any more: the exporter ends.
        let _ended = self.said.send(Said::Here(Box::new(announced), None)).await;
    }

    /// Tells that the runtime is to be asked again; waits for room.
    pub(super) async fn changed(&self, container: Candidate) {
        let _ended = self.said.send(Said::Changed(container)).await;
    }

    /// Tells that a container is no more. What finds no room is forgotten later, as the oldest.
    pub(super) fn gone(&self, id: &str) {
        let _full = self.said.try_send(Said::Gone(id.to_owned()));
    }

    /// Tells of a pod; waits for room.
    pub(super) async fn pod(&self, news: PodNews) {
        let _ended = self.said.send(Said::Pod(Box::new(news))).await;
    }

    /// Tells that a pod is no more; waits for room.
    pub(super) async fn pod_gone(&self, uid: String) {
        let _ended = self.said.send(Said::PodGone(uid)).await;
    }

    /// Tells which pods there are; waits for room.
    pub(super) async fn only_pods(&self, uids: HashSet<String>) {
        let _ended = self.said.send(Said::OnlyPods(uids)).await;
    }

    /// Tells of a namespace; waits for room.
    pub(super) async fn namespace(&self, news: NamespaceNews) {
        let _ended = self.said.send(Said::Namespace(news)).await;
    }

    /// The cgroup of a process of container `id`, for [`Announced::cgroup`]. A cgroup that is not named after the
    /// container is not taken: the process may be on its way there, or not the container's at all.
    ///
    /// # Errors
    ///
    /// The process has ended, or its cgroup lies outside of what is mounted.
    pub(super) fn cgroup_of(&self, pid: u32, id: &str) -> io::Result<Option<(u64, Box<[u8]>)>> {
        let path = self.hierarchy.cgroup_of_process(pid)?;
        if path::outermost(&path::candidates(&path)) != Some(id) {
            return Ok(None);
        }
        let cgroup = self.hierarchy.id_of(path::as_path(&path))?;
        Ok(Some((cgroup, path)))
    }
}
