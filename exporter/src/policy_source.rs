//! Where policies come from: files, and the Kubernetes API. What is wrong with one is said, and the others are in force.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::container::kube::{self, KubeConfig};
use crate::event::Backend;
use crate::policy::document::{self, Problem};
use crate::policy::{Policy, PolicySet};
use files::Files;
use last::Last;
use resources::Resources;
use status::Reporter;

mod files;
mod last;
mod resources;
mod status;

/// What [`spawn`] needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyConfig {
    /// YAML files, and folders of such.
    pub files: Vec<PathBuf>,
    /// How the cluster's policies are reached; nothing: they are not asked for.
    pub kube: Option<KubeConfig>,
    /// The cluster's policies are told what becomes of them on this node.
    pub reports: bool,
    /// Their decoys are made.
    pub decoys: bool,
    /// Folder for the policies that the API server told last, and for what decoys are where; nothing: neither is kept.
    pub state: Option<PathBuf>,
}

/// How well this node sees, as policies' status tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeHealth {
    /// What reports accesses.
    pub backend: Backend,
    /// Why that may miss accesses on this kernel, where it may.
    pub may_miss: Option<&'static str>,
    /// The programs report: they were tested lately.
    pub reports: bool,
    /// Calls of the programs that the kernel has skipped.
    pub missed: u64,
    /// Times that the kernel's filter had no room for what policies ask for.
    pub filter_full: u64,
}

/// Why there are no policies.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder that the user named.
    #[error("cannot read policies from {}: {cause}", path.display())]
    Files {
        /// Which one.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The folder of `--state`.
    #[error("cannot keep policies in {}: {cause}; name another folder by --state", path.display())]
    State {
        /// Which one.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The Kubernetes API cannot be asked.
    #[error(transparent)]
    Kube(#[from] kube::Error),
}

impl Error {
    fn files(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self::Files { path: path.to_owned(), cause }
    }
}

/// Reads all files, and starts the tasks that follow changes of theirs and of the cluster's. The receiver has the policies
/// that are in force, at once and from then on; when it is dropped, nothing is told of them any more. `health` is asked every
/// second.
///
/// # Errors
///
/// [`Error`]. A policy that is wrong is none: it is logged.
pub fn spawn<H>(config: PolicyConfig, runtime: &Handle, health: H) -> Result<watch::Receiver<Arc<PolicySet>>, Error>
where
    H: Fn() -> NodeHealth + Send + Sync + 'static,
{
    let _entered = runtime.enter();
    let (in_force, receiver) = InForce::new();
    if !config.files.is_empty() {
        let files = Files::open(config.files)?;
        in_force.replace(Source::Files, files.policies());
        runtime.spawn(files.follow(in_force.clone()));
    }
    if let Some(kube) = config.kube {
        let client = runtime.block_on(kube::client(kube.kubeconfig))?;
        let last = config.state.as_deref().map(Last::open).transpose()?;
        let resources = Resources::new(kube.node.clone(), last, in_force.clone());
        if config.reports {
            let reporter = Reporter::new(kube.node, resources.reported(), health).follow(client.clone());
            runtime.spawn(async move {
                // An exporter that stops sees nothing: that is not to be told.
                tokio::select! {
                    () = in_force.0.set.closed() => {}
                    () = reporter => {}
                }
            });
        }
        runtime.spawn(resources.follow(client));
    }
    Ok(receiver)
}

/// Policies of files and of folders' files, and what is wrong in which file.
///
/// # Errors
///
/// [`Error::Files`]
#[expect(clippy::type_complexity, reason = "both lists are what a caller asks for")]
pub fn read(paths: &[PathBuf]) -> Result<(Vec<Policy>, Vec<(PathBuf, Problem)>), Error> {
    let (mut policies, mut problems) = (Vec::new(), Vec::new());
    for path in paths {
        for file in files::list(path).map_err(Error::files(path))? {
            let text = fs::read_to_string(&file).map_err(Error::files(&file))?;
            let (right, wrong) = document::read(&text);
            policies.extend(right);
            problems.extend(wrong.into_iter().map(|problem| (file.clone(), problem)));
        }
    }
    Ok((policies, problems))
}

/// Who tells of policies.
#[derive(Clone, Copy, Debug)]
enum Source {
    Files,
    Resources,
}

/// The policies of all sources.
#[derive(Clone, Debug)]
struct InForce(Arc<Joined>);

#[derive(Debug)]
struct Joined {
    of_sources: Mutex<[Vec<Arc<Policy>>; 2]>,
    set: watch::Sender<Arc<PolicySet>>,
}

impl InForce {
    fn new() -> (Self, watch::Receiver<Arc<PolicySet>>) {
        let (set, receiver) = watch::channel(Arc::default());
        (Self(Arc::new(Joined { of_sources: Mutex::default(), set })), receiver)
    }

    /// From now on a source has these.
    fn replace(&self, source: Source, policies: Vec<Arc<Policy>>) {
        let mut of_sources = self.0.of_sources.lock().unwrap_or_else(PoisonError::into_inner);
        of_sources[source as usize] = policies;
        let set = PolicySet::new(of_sources.iter().flatten().cloned());
        tracing::info!(policies = set.len(), "policies are in force");
        self.0.set.send_replace(Arc::new(set));
    }
}
