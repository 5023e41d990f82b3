//! A node: containerd, kubelet and kube-proxy in namespaces of their own, and a cgroup that holds its pods.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1 as core;

use super::network::{Network, cni};
use super::settings::{MANIFESTS, Settings};
use crate::cgroup::Cgroup;
use crate::containerd::Containerd;
use crate::daemon::Daemon;
use crate::kubernetes::ApiServer;
use crate::namespaces::{Namespaces, Place};
use crate::tools;

/// A running node; dropping this ends its pods, stops it and removes what it left.
pub struct Node {
    /// Its name in the cluster.
    pub name: String,
    // In this order they go: who starts containers before who runs them.
    _proxy: Daemon,
    /// Its kubelet.
    pub kubelet: Daemon,
    /// Its containerd, which may be restarted.
    pub containerd: Containerd,
    namespaces: Namespaces,
    folder: PathBuf,
}

impl Node {
    pub(super) fn start(number: u8, api: &ApiServer, network: &Network, folder: &Path) -> Result<Self> {
        let name = format!("node-{number}");
        let folder = folder.join(&name);
        fs::create_dir_all(folder.join(MANIFESTS)).with_context(|| format!("create {}", folder.display()))?;
        let namespaces = Namespaces::new(&name, &folder)?;
        network.join(number, &namespaces)?;
        let place = namespaces.place();
        let cgroup = Cgroup::for_kubelet(&network.cgroup(&name))?;
        let containerd = Containerd::for_node(&folder, place, cgroup, &cni(number))?;

        let settings = Settings {
            name: &name,
            address: network.node(number),
            names: network.control(),
            folder: &folder,
            socket: &containerd.socket,
            cgroup: containerd.cgroup(),
        };
        let programs = tools::kubernetes()?;
        let mut command = place.command(programs.join("kubelet"));
        let kubelet = Daemon::start("kubelet", command.args(settings.kubelet(api)?), &folder, None)?;
        let mut command = place.command(programs.join("kube-proxy"));
        let proxy = Daemon::start("kube-proxy", command.args(settings.proxy(api)?), &folder, None)?;
        Ok(Self { name, _proxy: proxy, kubelet, containerd, namespaces, folder })
    }

    /// Where its state and its logs are.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// Where programs see what its kubelet mounts.
    #[must_use]
    pub fn place(&self) -> Place {
        self.namespaces.place()
    }

    /// The folder in which its kubelet looks for static pods.
    #[must_use]
    pub fn manifests(&self) -> PathBuf {
        self.folder.join(MANIFESTS)
    }

    /// What an exporter for this node alone is started with, but for whom it asks besides the API.
    #[must_use]
    pub fn arguments(&self, kubeconfig: &Path) -> Vec<String> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let pairs = [
            ("--cgroup-root", text(self.containerd.cgroup())),
            ("--kubeconfig", text(kubeconfig)),
            ("--node-name", self.name.clone()),
        ];
        pairs.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect()
    }
}

/// Whether pods may be put on a node: it is ready, and the controllers have noted that.
pub(super) fn is_ready(node: &core::Node) -> bool {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let tainted = node.spec.as_ref().is_some_and(|spec| spec.taints.iter().flatten().next().is_some());
    !tainted && conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
