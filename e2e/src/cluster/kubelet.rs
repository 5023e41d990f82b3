//! What a kubelet and a kube-proxy are told.

use std::path::Path;

use serde_json::{Value, json};

use crate::kubernetes::Identity;

/// The file in a node's folder that pods' `/etc/resolv.conf` is made of.
pub(super) const RESOLVER: &str = "resolv.conf";

/// What differs between kubelets.
pub(super) struct Settings<'a> {
    pub(super) folder: &'a Path,
    pub(super) authority: &'a Path,
    pub(super) server: &'a Identity,
    /// containerd's.
    pub(super) socket: &'a Path,
    /// Below which its pods' cgroups are.
    pub(super) cgroup: &'a Path,
}

impl Settings<'_> {
    /// A `KubeletConfiguration`.
    pub(super) fn configuration(&self) -> Value {
        json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
            "containerRuntimeEndpoint": format!("unix://{}", self.socket.display()),
            "staticPodPath": self.folder.join("manifests"),
            "cgroupDriver": "cgroupfs", "cgroupRoot": self.cgroup, "failCgroupV1": false,
            "authentication": {
                "anonymous": {"enabled": false}, "webhook": {"enabled": true},
                "x509": {"clientCAFile": self.authority},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": self.server.certificate, "tlsPrivateKeyFile": self.server.key,
            "clusterDomain": "cluster.local", "resolvConf": self.folder.join(RESOLVER),
            // What this system has besides is not the node's: nothing is reserved, evicted or collected.
            "failSwapOn": false, "evictionHard": {}, "enforceNodeAllocatable": [],
            "imageGCHighThresholdPercent": 100, "localStorageCapacityIsolation": false,
            "makeIPTablesUtilChains": false,
            // A change of an object is in its volumes soon.
            "syncFrequency": "2s",
            // Pods of tests are many and small.
            "registryPullQPS": 0, "eventRecordQPS": 0, "kubeAPIQPS": 100, "kubeAPIBurst": 200,
        })
    }
}

/// A `KubeProxyConfiguration` that leaves this system's connection tracking as it is.
pub(super) fn proxy(node: &str, kubeconfig: &Path) -> Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration", "mode": "nftables",
        "clientConnection": {"kubeconfig": kubeconfig}, "hostnameOverride": node, "clusterCIDR": "10.88.0.0/16",
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    })
}
