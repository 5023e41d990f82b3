//! Decoys: files that are put into containers for nobody to touch, and taken out again. One thread does all of it, in order;
//! nothing waits for it.
//!
//! A container is hostile: its folders may be links that lead anywhere, and its processes may have any root. Only its own root
//! file system is written to, and only where nothing is yet.

mod file;
mod kept;
mod planter;
mod root;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::time::{sleep, timeout};

use crate::container::cgroup::Hierarchy;
use crate::metrics::Metrics;
use crate::policy::decoy::Decoy;
use kept::Kept;
use planter::Planter;
use root::Roots;

/// How long taking all decoys out may hold up the end of the exporter.
const REMOVE_WITHIN: Duration = Duration::from_secs(5);
/// How long after the start what an earlier run has left may wait for its container's name, before it is taken out.
const ADOPT_WITHIN: Duration = Duration::from_secs(30);

/// Containers that are to have decoys, by the ids of their cgroups. Whoever is not among them is to have none.
pub type Wanted = BTreeMap<u64, Site>;

/// A container that is to have decoys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// The runtime's id of it.
    pub container: String,
    /// Path of its cgroup, inside the hierarchy.
    pub cgroup: Arc<[u8]>,
    /// What it is to have; of two at one path, the first.
    pub decoys: Vec<Arc<Decoy>>,
}

/// What [`spawn`] needs to know.
#[derive(Clone, Debug)]
pub struct DecoyConfig {
    /// Where containers live.
    pub hierarchy: Hierarchy,
    /// Device and inode of the host's root: what has that is no container yet.
    pub host: (u64, u64),
    /// Folder that says which decoys are where, for a next run when this one is killed; nothing: it is not told.
    pub state: Option<PathBuf>,
}

/// Why a decoy is not put where it is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Whatever it is, it stays as it is.
    #[error("there is a file already, which stays as it is")]
    Exists,
    /// A volume may be another pod's, or the node's.
    #[error("its folder is in a volume or in another mount")]
    OtherMount,
    /// What is read by the link's target would not be known by the decoy's path.
    #[error("there is a link on the way to it: name the folder that it leads to")]
    Link,
    /// Folders are never made.
    #[error("its folder does not exist")]
    NoFolder,
    /// It cannot be written to.
    #[error("the container's root is read-only")]
    ReadOnly,
    /// Another file system may be shared with the node.
    #[error("no process of the container has an overlay of its own as its root")]
    NoRoot,
    /// The kernel refuses.
    #[error("the exporter may not: give it CAP_DAC_OVERRIDE and CAP_SYS_PTRACE")]
    Denied,
    /// Anything else.
    #[error("it cannot be written: {0}")]
    Io(rustix::io::Errno),
}

impl Refused {
    /// Every reason, as metrics name them.
    pub const NAMES: [&str; 8] = ["exists", "other_mount", "link", "no_folder", "read_only", "no_root", "denied", "io"];

    /// The place of its name in [`Self::NAMES`].
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Exists => 0,
            Self::OtherMount => 1,
            Self::Link => 2,
            Self::NoFolder => 3,
            Self::ReadOnly => 4,
            Self::NoRoot => 5,
            Self::Denied => 6,
            Self::Io(_) => 7,
        }
    }
}

/// Why no decoy can be put anywhere.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Processes of containers are not seen.
    #[error(
        "decoys need the host's processes: {0}; give the exporter hostPID and CAP_SYS_PTRACE, or leave --decoys out"
    )]
    Processes(io::Error),
    /// The folder of `--state`.
    #[error("cannot keep in {} where decoys are: {cause}; name another folder by --state", path.display())]
    State {
        /// Which one.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// There is no thread for it.
    #[error("cannot start: {0}")]
    Thread(io::Error),
}

/// The thread that puts decoys into containers.
#[derive(Debug)]
pub struct Planting {
    stop: oneshot::Sender<()>,
    done: oneshot::Receiver<()>,
}

/// Starts the thread, which does what `wanted` says until [`Planting::stop`].
///
/// # Errors
/// [`Error`]
pub fn spawn(
    config: DecoyConfig,
    wanted: watch::Receiver<Wanted>,
    metrics: Arc<Metrics>,
    runtime: &Handle,
) -> Result<Planting, Error> {
    let DecoyConfig { hierarchy, host, state } = config;
    let kept = state.as_deref().map(Kept::open).transpose()?;
    let planter = Planter::new(Roots::new(hierarchy, host), kept, Instant::now() + ADOPT_WITHIN, metrics);
    let (stop, stopped) = oneshot::channel();
    let (finished, done) = oneshot::channel();
    let runtime = runtime.clone();
    let work = move || {
        follow(planter, wanted, stopped, &runtime);
        // Whoever waited may have gone.
        let _unheard = finished.send(());
    };
    thread::Builder::new().name("decoys".to_owned()).spawn(work).map_err(Error::Thread)?;
    Ok(Planting { stop, done })
}

impl Planting {
    /// Takes all decoys out, as far as that takes no longer than a few seconds.
    pub async fn stop(self) {
        let _ended = self.stop.send(());
        if timeout(REMOVE_WITHIN, self.done).await.is_err() {
            tracing::error!("decoys are left in containers: taking them out takes too long");
        }
    }
}

fn follow(
    mut planter: Planter,
    mut wanted: watch::Receiver<Wanted>,
    mut stopped: oneshot::Receiver<()>,
    runtime: &Handle,
) {
    loop {
        let now_wanted = wanted.borrow_and_update().clone();
        let again = planter.step(&now_wanted, Instant::now());
        let is_over = runtime.block_on(async {
            tokio::select! {
                _ = &mut stopped => true,
                () = changed(&mut wanted) => false,
                () = sleep(again) => false,
            }
        });
        if is_over {
            return planter.remove_all();
        }
    }
}

async fn changed(wanted: &mut watch::Receiver<Wanted>) {
    // Nobody will say more: what is wanted stays until the end.
    if wanted.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}
