//! What a kubelet and a kube-proxy are told.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::kubernetes::{ApiServer, Identity};

/// The folder of static pods, in a node's folder.
pub(super) const MANIFESTS: &str = "manifests";

/// What differs between nodes.
pub(super) struct Settings<'a> {
    pub(super) name: &'a str,
    pub(super) address: Ipv4Addr,
    /// Who knows the names of services.
    pub(super) names: Ipv4Addr,
    /// Where the node's files are.
    pub(super) folder: &'a Path,
    /// containerd's.
    pub(super) socket: &'a Path,
    /// Below which its pods' cgroups are.
    pub(super) cgroup: &'a Path,
}

impl Settings<'_> {
    /// Makes a kubelet's user and files. Returns its arguments.
    ///
    /// # Errors
    /// The files cannot be written; so does the other.
    pub(super) fn kubelet(&self, api: &ApiServer) -> Result<Vec<String>> {
        let (name, address) = (self.name, self.address.to_string());
        let group = Some("system:nodes");
        let user = api.authority.kubeconfig(&api.url, name, &format!("system:node:{name}"), group)?;
        let server = api.authority.issue(&format!("{name}-server"), name, None, &[name, &address])?;
        fs::write(self.resolver(), "")?;
        let config = self.write("kubelet.json", &self.configuration(&api.authority.certificate, &server))?;
        let arguments = [
            ("--config", config.display().to_string()),
            ("--kubeconfig", user.display().to_string()),
            ("--hostname-override", name.to_owned()),
            ("--node-ip", address),
        ];
        Ok(arguments.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect())
    }

    /// Makes a kube-proxy's user and file. Returns its arguments.
    pub(super) fn proxy(&self, api: &ApiServer) -> Result<Vec<String>> {
        let user = api.authority.kubeconfig(&api.url, &format!("{}-proxy", self.name), "system:kube-proxy", None)?;
        let config = self.write("kube-proxy.json", &self.proxy_configuration(&user))?;
        Ok(vec!["--config".to_owned(), config.display().to_string()])
    }

    /// A `KubeletConfiguration`.
    fn configuration(&self, authority: &Path, server: &Identity) -> Value {
        json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
            "containerRuntimeEndpoint": format!("unix://{}", self.socket.display()),
            "staticPodPath": self.folder.join(MANIFESTS),
            "cgroupDriver": "cgroupfs", "cgroupRoot": self.cgroup, "failCgroupV1": false,
            "authentication": {
                "anonymous": {"enabled": false}, "webhook": {"enabled": true}, "x509": {"clientCAFile": authority},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": server.certificate, "tlsPrivateKeyFile": server.key,
            "clusterDomain": "cluster.local", "clusterDNS": [self.names], "resolvConf": self.resolver(),
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

    /// A `KubeProxyConfiguration` that leaves this system's connection tracking as it is.
    fn proxy_configuration(&self, kubeconfig: &Path) -> Value {
        json!({
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration", "mode": "nftables",
            "clientConnection": {"kubeconfig": kubeconfig}, "hostnameOverride": self.name,
            "clusterCIDR": "10.88.0.0/16",
            "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        })
    }

    /// The file that `/etc/resolv.conf` of pods without the cluster's DNS is made of.
    fn resolver(&self) -> PathBuf {
        self.folder.join("resolv.conf")
    }

    fn write(&self, name: &str, content: &Value) -> Result<PathBuf> {
        let path = self.folder.join(name);
        fs::write(&path, serde_json::to_vec_pretty(content)?).with_context(|| format!("write {}", path.display()))?;
        Ok(path)
    }
}
