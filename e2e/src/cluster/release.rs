//! The chart as a release on a cluster: the exporter on all nodes, with the bundled Collector and Loki.

use std::fs;
use std::path::PathBuf;
use std::process::Output;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use serde_json::{Value, json};

use super::Cluster;
use crate::chart::{self, Helm};
use crate::image;
use crate::loki::Loki;

/// The release's namespace, and its name.
pub const RELEASE: &str = "inotrail";
/// Its claims, and how much they ask for: on the first node there are volumes for them.
const VOLUMES: [(&str, &str); 2] = [("collector", "2Gi"), ("loki", "20Gi")];
/// What Helm waits for at most.
const TIMEOUT: &str = "300s";

/// The chart on a cluster.
pub struct Release<'a> {
    /// Where it is.
    pub cluster: &'a Cluster,
    helm: Helm,
    /// What the release takes to run here.
    pub(super) values: PathBuf,
}

impl Cluster {
    /// Makes ready what the chart expects of a cluster: names of services, volumes, images on the nodes.
    ///
    /// # Errors
    /// A program is missing and cannot be built, or the cluster refuses something.
    pub fn for_chart(&mut self) -> Result<Release<'_>> {
        self.names = Some(super::names::start(&self.api, &self.network)?);
        let archive = self.api.path().join("images.tar");
        image::write_chart(&archive)?;
        for node in &self.nodes {
            node.containerd.ctr(&["images", "import", "--local", &archive.to_string_lossy()])?;
        }
        fs::remove_file(archive)?;
        for (name, size) in VOLUMES {
            self.add_volume(name, size)?;
        }
        let values = self.api.path().join("values.json");
        fs::write(&values, self.values().to_string()).with_context(|| format!("write {}", values.display()))?;
        Ok(Release { cluster: self, helm: Helm::new()?, values })
    }

    /// Grafana's image cannot be had. Nodes on this system share its kernel: each exporter watches its own node's pods.
    fn values(&self) -> Value {
        let root = format!("/{}", self.network.cgroup("$(INOTRAIL_NODE_NAME)"));
        json!({
            "clusterName": "e2e",
            "grafana": {"enabled": false},
            "exporter": {"env": [{"name": "INOTRAIL_CGROUP_ROOT", "value": root}]},
        })
    }

    /// A volume on the first node.
    fn add_volume(&self, name: &str, size: &str) -> Result<()> {
        let node = self.nodes.first().context("a volume is on a node")?;
        let folder = node.path().join("var/lib/volumes").join(name);
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        let on = json!({"key": "kubernetes.io/hostname", "operator": "In", "values": [node.name]});
        self.create(json!({
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
            "spec": {
                "capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "volumeMode": "Filesystem",
                "local": {"path": format!("/var/lib/volumes/{name}")},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [on]}]}},
            },
        }))
        .map(drop)
    }
}

impl Release<'_> {
    /// Makes the namespace that it goes to.
    ///
    /// # Errors
    /// There is one.
    pub fn create_namespace(&self) -> Result<()> {
        let labels = json!({"pod-security.kubernetes.io/enforce": "privileged"});
        let metadata = json!({"name": RELEASE, "labels": labels});
        self.cluster.create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})).map(drop)
    }

    /// Installs it; returns how long that took until all of it was ready.
    ///
    /// # Errors
    /// Helm refuses, or something does not become ready; so do the others here.
    pub fn install(&self, more: &[&str]) -> Result<Duration> {
        self.timed(&[&["install", RELEASE, "CHART", "--values", "VALUES"], more].concat())
    }

    /// Changes values of it, and keeps the others.
    ///
    /// # Errors
    /// See [`Self::install`].
    pub fn upgrade(&self, more: &[&str]) -> Result<Duration> {
        self.timed(&[&["upgrade", RELEASE, "CHART", "--reset-then-reuse-values"], more].concat())
    }

    /// Goes back to a revision.
    ///
    /// # Errors
    /// See [`Self::install`].
    pub fn roll_back(&self, revision: &str) -> Result<Duration> {
        self.timed(&["rollback", RELEASE, revision])
    }

    /// Uninstalls it.
    ///
    /// # Errors
    /// See [`Self::install`].
    pub fn uninstall(&self) -> Result<Duration> {
        self.timed(&["uninstall", RELEASE])
    }

    /// Runs Helm, whatever comes of it; `CHART` and `VALUES` stand for their paths.
    ///
    /// # Errors
    /// It cannot be run.
    pub fn helm(&self, arguments: &[&str]) -> Result<Output> {
        let [chart, values, kubeconfig] = [&chart::folder(), &self.values, &self.cluster.api.kubeconfig]
            .map(|path| path.to_string_lossy().into_owned());
        let replaced = arguments.iter().map(|&word| match word {
            "CHART" => &*chart,
            "VALUES" => &values,
            _ => word,
        });
        let all: Vec<_> = replaced.chain(["--namespace", RELEASE, "--kubeconfig", &kubeconfig]).collect();
        self.helm.run(&all)
    }

    fn timed(&self, arguments: &[&str]) -> Result<Duration> {
        let started = Instant::now();
        let output = self.helm(&[arguments, &["--wait", "--timeout", TIMEOUT]].concat())?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "helm {}: {said}\n{}", arguments.join(" "), self.states()?);
        Ok(started.elapsed())
    }

    /// What kubelets say of its containers.
    fn states(&self) -> Result<String> {
        let pods = self.cluster.call(self.cluster.pods(RELEASE).list(&ListParams::default()))?;
        let line = |pod: Pod| {
            let status = pod.status.unwrap_or_default();
            let containers = status.init_container_statuses.into_iter().flatten();
            let containers: Vec<_> = containers.chain(status.container_statuses.into_iter().flatten()).collect();
            format!("{}: {}\n", pod.metadata.name.unwrap_or_default(), json!(containers))
        };
        Ok(pods.items.into_iter().map(line).collect())
    }

    /// Pods of a part of it: `exporter`, `collector` or `loki`.
    ///
    /// # Errors
    /// The API server does not answer.
    pub fn pods(&self, part: &str) -> Result<Vec<Pod>> {
        let labels = format!("app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component={part}");
        Ok(self.cluster.call(self.cluster.pods(RELEASE).list(&ListParams::default().labels(&labels)))?.items)
    }

    /// Loki, at its pod's address.
    ///
    /// # Errors
    /// It does not run.
    pub fn loki(&self) -> Result<Loki> {
        let pods = self.pods("loki")?;
        let address = pods.first().and_then(|pod| pod.status.as_ref()?.pod_ip.clone());
        let address = address.context("Loki has no pod with an address")?;
        self.cluster.network.reach(address.parse()?)?;
        Ok(Loki { url: format!("http://{address}:3100") })
    }
}
