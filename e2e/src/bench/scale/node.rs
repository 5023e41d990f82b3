//! What a node's exporter takes, and what it asks of the API server, by how many pods the node has. The pods are objects of a real API
//! server and empty cgroups: there is no kubelet.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result};
use inotrail::policy::crd::{ClusterFileAccessPolicy, definitions};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::bench::usage::{cpu_seconds, peak_bytes};
use crate::cgroup::Cgroup;
use crate::exporter::Exporter;
use crate::interrupt;
use crate::kubernetes::ApiServer;

/// As policies of a cluster are called here.
pub(super) const POLICY: &str = "everything";
/// The resource that these are.
const POLICIES: &str = "clusterfileaccesspolicies";
const NODE: &str = "node-1";
const NAMESPACE: &str = "scale";
const LIMIT: Duration = Duration::from_secs(120);
/// How long is watched what an exporter takes for nothing.
const IDLE: Duration = Duration::from_secs(10);

/// One exporter, as built for release, where nothing is accessed.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Node {
    pub(super) pods: usize,
    /// Most memory, in bytes.
    pub(super) peak_bytes: u64,
    /// Of one processor.
    pub(super) idle_percent: f64,
    /// Watches of the API server that are its, by resource.
    pub(super) watches: BTreeMap<String, u64>,
}

/// An API server that has a policy, and pods of one node.
pub(super) struct Cluster {
    pub(super) api: ApiServer,
    cgroup: Cgroup,
    pods: usize,
}

impl Cluster {
    /// Starts one without pods.
    ///
    /// # Errors
    /// The API server does not start, or refuses something.
    pub(super) fn start() -> Result<Self> {
        let this = Self { api: ApiServer::start()?, cgroup: Cgroup::create_top("inotrail-scale")?, pods: 0 };
        let client = &this.api.client;
        this.create(&Api::<Namespace>::all(client.clone()), &json!({"metadata": {"name": NAMESPACE}}).to_string())?;
        for document in definitions().split("---\n").filter(|text| text.contains("kind: CustomResourceDefinition")) {
            this.create(&Api::<CustomResourceDefinition>::all(client.clone()), document)?;
        }
        let policy = json!({
            "apiVersion": "inotrail.dev/v1alpha1", "kind": "ClusterFileAccessPolicy", "metadata": {"name": POLICY},
            "spec": {"rules": [{"name": "all", "paths": ["/**"]}]},
        });
        let policies = Api::<ClusterFileAccessPolicy>::all(client.clone());
        // The API server takes a moment to serve the new kinds.
        let create = || Ok(this.create(&policies, &policy.to_string()).ok());
        interrupt::wait_for("resource definitions", LIMIT, create)?;
        Ok(this)
    }

    fn create<T>(&self, api: &Api<T>, document: &str) -> Result<T>
    where
        T: Clone + std::fmt::Debug + DeserializeOwned + Serialize,
    {
        let object = serde_saphyr::from_str(document).context("an object of ours")?;
        Ok(self.api.runtime.block_on(api.create(&PostParams::default(), &object))?)
    }

    /// Makes pods until there are so many, each with a container.
    fn grow(&mut self, pods: usize) -> Result<()> {
        let api = Api::<Pod>::namespaced(self.api.client.clone(), NAMESPACE);
        for number in self.pods..pods {
            let (name, id) = (format!("web-7f8d9c6b5-{number:05x}"), format!("{number:064x}"));
            let container = json!({"name": "app", "image": "docker.io/inotrail/demo:1"});
            let pod = json!({"metadata": {"name": name}, "spec": {"nodeName": NODE, "containers": [container]}});
            let uid = self.create(&api, &pod.to_string())?.uid().context("a pod without a uid")?;
            let status = json!({"status": {"phase": "Running", "containerStatuses": [{
                "name": "app", "containerID": format!("containerd://{id}"), "image": "docker.io/inotrail/demo:1",
                "imageID": "", "ready": true, "restartCount": 0, "state": {"running": {}},
            }]}});
            let patch = Patch::Merge(status);
            self.api.runtime.block_on(api.patch_status(&name, &PatchParams::default(), &patch))?;
            let folder = self.cgroup.add(&format!("pod{uid}"))?.join(id);
            fs::create_dir(&folder).with_context(|| format!("create {}", folder.display()))?;
        }
        self.pods = pods;
        Ok(())
    }

    /// Starts an exporter on a node of so many pods, and looks at what it takes.
    ///
    /// # Errors
    /// It does not know all pods in time.
    pub(super) fn measure(&mut self, exporter: &Path, pods: usize) -> Result<Node> {
        self.grow(pods)?;
        let folder = tempfile::tempdir()?;
        let before = interrupt::wait_for("end of an earlier exporter's watches", LIMIT, || {
            let watches = self.watches()?;
            Ok((!watches.contains_key(POLICIES)).then_some(watches))
        })?;
        let mut command = Command::new(exporter);
        command.args(["run", "--runtime", "none", "--kubernetes-policies", "--node-name", NODE]);
        command.args(["--endpoint", "http://127.0.0.1:1", "--kubeconfig"]).arg(&self.api.kubeconfig);
        command.arg("--cgroup-root").arg(self.cgroup.path());
        let mut running = Exporter::start(command, folder.path(), "/livez")?;
        interrupt::wait_for("names of all containers", LIMIT, || {
            Ok((running.metric("inotrail_containers_resolved_total")? >= pods as u64).then_some(()))
        })?;
        let status = || Ok((!self.policy()?.status.unwrap_or_default().nodes.is_empty()).then_some(()));
        interrupt::wait_for("word of the policy", LIMIT, status)?;
        let watches = self.watches()?;
        let pid = running.daemon.pid();
        let start = cpu_seconds(pid)?;
        sleep(IDLE);
        let (peak_bytes, idle) = (peak_bytes(pid)?, cpu_seconds(pid)? - start);
        // Nobody takes what it would send at its end.
        running.daemon.kill()?;
        let (idle_percent, watches) = (idle / IDLE.as_secs_f64() * 100.0, difference(&before, &watches));
        Ok(Node { pods, peak_bytes, idle_percent, watches })
    }

    pub(super) fn policy(&self) -> Result<ClusterFileAccessPolicy> {
        let policies = Api::<ClusterFileAccessPolicy>::all(self.api.client.clone());
        Ok(self.api.runtime.block_on(policies.get(POLICY))?)
    }

    /// Watches of the API server, by resource.
    fn watches(&self) -> Result<BTreeMap<String, u64>> {
        let request = http::Request::get("/metrics").body(Vec::new())?;
        let text = self.api.runtime.block_on(self.api.client.request_text(request))?;
        Ok(watches(&text))
    }
}

/// Of all that the API server says of itself.
fn watches(text: &str) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("apiserver_longrunning_requests{")) {
        let label = |name: &str| Some(line.split_once(&format!("{name}=\""))?.1.split_once('"')?.0);
        let value = line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok());
        if let (Some("WATCH"), Some(resource), Some(value)) = (label("verb"), label("resource"), value) {
            *sums.entry(resource.to_owned()).or_default() += value as u64;
        }
    }
    sums.retain(|_, count| *count > 0);
    sums
}

fn difference(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let more = |(resource, count): (&String, &u64)| {
        let more = count.saturating_sub(before.get(resource).copied().unwrap_or_default());
        (more > 0).then(|| (resource.clone(), more))
    };
    after.iter().filter_map(more).collect()
}

/// The exporter as built for release.
///
/// # Errors
/// It cannot be built.
pub(super) fn exporter() -> Result<PathBuf> {
    Ok(crate::bench::build("release", &["inotrail"])?.join("inotrail"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watches_are_counted_by_resource() {
        let line = |verb: &str, resource: &str, count: &str| {
            format!(
                "apiserver_longrunning_requests{{component=\"apiserver\",group=\"\",resource=\"{resource}\",verb=\"{verb}\"}} {count}\n"
            )
        };
        let before = watches(&line("WATCH", "pods", "3"));
        let after = [line("WATCH", "pods", "4"), line("WATCH", "namespaces", "1"), line("CONNECT", "pods", "9")];
        let more = difference(&before, &watches(&after.concat()));
        assert_eq!(more, [("namespaces".to_owned(), 1), ("pods".to_owned(), 1)].into());
    }
}
