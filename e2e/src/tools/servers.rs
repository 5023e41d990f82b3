//! The servers that the exporter is tested with, and the programs that run its containers.

use std::path::PathBuf;

use anyhow::Result;

use super::Tool;

const LOKI: Tool = Tool {
    name: "loki",
    module: "github.com/grafana/loki/v3",
    packages: &["cmd/loki"],
    tags: "",
    stamp: None,
    cgo: false,
    takes: "5 minutes",
};

const CONTAINERD: Tool = Tool {
    name: "containerd",
    module: "github.com/containerd/containerd/v2",
    packages: &["cmd/containerd", "cmd/ctr", "cmd/containerd-shim-runc-v2"],
    // Snapshotters that need C libraries or kernel parts, and that nothing here uses.
    tags: "no_btrfs,no_devmapper,no_zfs",
    stamp: None,
    cgo: false,
    takes: "2 minutes",
};

const RUNC: Tool = Tool {
    name: "runc",
    module: "github.com/opencontainers/runc",
    packages: &[""],
    tags: "seccomp",
    stamp: None,
    cgo: true,
    takes: "20 seconds",
};

const KUBERNETES: Tool = Tool {
    name: "kubernetes",
    module: "k8s.io/kubernetes",
    packages: &[
        "cmd/kube-apiserver",
        "cmd/kube-controller-manager",
        "cmd/kube-scheduler",
        "cmd/kubelet",
        "cmd/kube-proxy",
        "cmd/kubectl",
    ],
    tags: "",
    // Without it they call themselves v0.0.0, and refuse each other.
    stamp: Some("k8s.io/component-base/version.gitVersion"),
    cgo: false,
    takes: "6 minutes",
};

const PROMETHEUS: Tool = Tool {
    name: "prometheus",
    module: "github.com/prometheus/prometheus",
    packages: &["cmd/prometheus", "cmd/promtool"],
    tags: "remove_all_sd", // without the libraries of every cloud
    stamp: None,
    cgo: false,
    takes: "2 minutes",
};

/// `loki`: the folder that holds it.
///
/// # Errors
/// Where it is not in the cache and cannot be built; so do the others here.
pub fn loki() -> Result<PathBuf> {
    LOKI.folder()
}

/// `containerd`, `ctr` and `containerd-shim-runc-v2`: the folder that holds them.
///
/// # Errors
/// See [`loki`].
pub fn containerd() -> Result<PathBuf> {
    CONTAINERD.folder()
}

/// `kube-apiserver`, `kube-controller-manager`, `kube-scheduler`, `kubelet`, `kube-proxy` and `kubectl`: the folder that holds them.
///
/// # Errors
/// See [`loki`].
pub fn kubernetes() -> Result<PathBuf> {
    KUBERNETES.folder()
}

/// `prometheus` and `promtool`: the folder that holds them.
///
/// # Errors
/// See [`loki`].
pub fn prometheus() -> Result<PathBuf> {
    PROMETHEUS.folder()
}

/// `runc`: the folder that holds it.
///
/// # Errors
/// See [`loki`].
pub fn runc() -> Result<PathBuf> {
    RUNC.folder()
}
