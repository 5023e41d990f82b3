//! What a node's exporter needs in memory for many policies about many pods of a real cluster.

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::build;
use crate::cluster::Cluster;
use crate::exporter::Exporter;
use crate::{image, interrupt};

/// What an exporter may take in all, the ring buffer's 16 MiB with it, for a thousand policies about a hundred pods.
const BUDGET: u64 = 80 << 20;
/// Until every policy is in force for every pod, and the API server was told so.
const LIMIT: Duration = Duration::from_secs(300);
const NAMESPACE: &str = "bench";
const LABEL: &str = "app=idle";
pub(super) const MIB: f64 = 1_048_576.0;

/// `e2e bench policies`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Running pods, each of which every policy is about
    #[arg(long, default_value_t = 100)]
    pods: usize,
    /// Policies of one rule with three paths of different shapes
    #[arg(long, default_value_t = 1_000)]
    policies: usize,
}

impl Args {
    /// Prints the memory of an exporter, as built for release, on a node of a real cluster: with pods alone, and with
    /// policies in force for all of them.
    ///
    /// # Errors
    /// A cluster cannot be started here, a policy does not come into force, or the default numbers need more than
    /// [`BUDGET`].
    #[expect(clippy::print_stdout, reason = "the figures are what was asked for")]
    pub fn run(&self) -> Result<()> {
        let exporter = build("release", &["inotrail"])?.join("inotrail");
        let cluster = Cluster::start(1, None)?;
        define(&cluster, &exporter)?;
        cluster.create_namespace(NAMESPACE)?;
        cluster.create(self.deployment())?;
        cluster.ready_pods(NAMESPACE, LABEL, self.pods)?;
        eprintln!("{} pods are ready", self.pods);
        let folder = tempfile::tempdir()?;
        let node = &cluster.nodes[0];
        let mut command = Command::new(&exporter);
        command.args(["run", "--kubernetes-policies", "--endpoint", "http://127.0.0.1:1"]).args(["--runtime-socket"]);
        command.arg(&node.containerd.socket).args(node.arguments(&cluster.api.kubeconfig));
        let running = Exporter::start(command, folder.path(), "/livez")?;
        let resolved = || Ok((running.metric("inotrail_containers_resolved_total")? >= self.pods as u64).then_some(()));
        interrupt::wait_for("names of all containers", LIMIT, resolved)?;
        let before = Memory::of(&running)?;
        let start = Instant::now();
        for number in 0..self.policies {
            cluster.create(policy(number))?;
        }
        eprintln!("{} policies were made in {:.0} s", self.policies, start.elapsed().as_secs_f32());
        self.wait_in_force(&cluster, &running)?;
        let after = Memory::of(&running)?;
        println!("memory of the exporter on a node with {} pods, MiB", self.pods);
        println!("  {:<34}{:>9}{:>9}{:>9}{:>9}", "", "total", "heap", "buffers", "program");
        println!("  {:<34}{before}", "no policy");
        println!("  {:<34}{after}", format!("{} policies about each pod", self.policies));
        println!("  {:<34}{:>9.1}", "budget", BUDGET as f64 / MIB);
        let is_default = self.pods <= 100 && self.policies <= 1_000;
        ensure!(!is_default || after.total() <= BUDGET, "more than the budget");
        Ok(())
    }

    fn wait_in_force(&self, cluster: &Cluster, running: &Exporter) -> Result<()> {
        // Of each policy three names, and all pods have the same ones.
        let names = 3 * self.policies as u64;
        let is_in_kernel = || Ok((running.metric("inotrail_filter_entries")? >= names).then_some(()));
        interrupt::wait_for("rules in the kernel", LIMIT, is_in_kernel)?;
        for number in 0..self.policies {
            let is_told = || {
                let status = cluster.get(&policy(number))?.data["status"]["nodes"][0].clone();
                Ok((status["state"] == "Active" && status["containers"] == self.pods).then_some(()))
            };
            interrupt::wait_for("word of a policy in force", LIMIT, is_told)?;
        }
        Ok(())
    }

    fn deployment(&self) -> Value {
        let labels = json!({"app": "idle"});
        let container = json!({
            "name": "app", "image": image::NAME, "imagePullPolicy": "Never", "command": ["/bin/sleep", "100000"],
        });
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "idle", "namespace": NAMESPACE},
            "spec": {
                "replicas": self.pods,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
                },
            },
        })
    }
}

fn define(cluster: &Cluster, exporter: &Path) -> Result<()> {
    let output = Command::new(exporter).arg("crd").output().context("run inotrail crd")?;
    ensure!(output.status.success(), "inotrail crd: {}", output.status);
    let text = String::from_utf8(output.stdout)?;
    for part in text.split("---\n").filter(|part| !part.is_empty()) {
        cluster.create(serde_saphyr::from_str(part)?)?;
    }
    // The API server takes a moment to serve the new kinds.
    let first = policy(0);
    interrupt::wait_for("resource definition", LIMIT, || Ok(cluster.create(first.clone()).ok()))?;
    cluster.delete(&first)
}

/// The same shapes as in [`super::memory::policies`].
fn policy(number: usize) -> Value {
    json!({
        "apiVersion": "inotrail.dev/v1alpha1", "kind": "ClusterFileAccessPolicy",
        "metadata": {"name": format!("policy-{number}")},
        "spec": {"rules": [{
            "name": "files",
            "paths": [format!("/data/{number}/**"), format!("**/secret-{number}"), format!("/home/*/.key-{number}")],
        }]},
    })
}

/// Bytes that a process has in memory.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Memory {
    /// What the programs in the kernel share with it: a ring that is mapped twice counts once.
    pub(super) buffers: u64,
    pub(super) heap: u64,
    pub(super) program: u64,
}

impl Memory {
    pub(super) fn of(exporter: &Exporter) -> Result<Self> {
        let maps = fs::read_to_string(format!("/proc/{}/smaps", exporter.daemon.pid()))?;
        let (mut this, mut name) = (Self::default(), "");
        for line in maps.lines() {
            let mut words = line.split_whitespace();
            let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            if !first.ends_with(':') {
                name = words.nth(3).unwrap_or_default();
            } else if first == "Pss:" {
                let bytes = second.parse::<u64>()? * 1024;
                match name {
                    "anon_inode:bpf-map" => this.buffers += bytes,
                    file if file.starts_with('/') => this.program += bytes,
                    _ => this.heap += bytes,
                }
            }
        }
        Ok(this)
    }

    const fn total(self) -> u64 {
        self.buffers + self.heap + self.program
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [self.total(), self.heap, self.buffers, self.program].map(|bytes| bytes as f64 / MIB);
        parts.into_iter().try_for_each(|part| write!(f, "{part:>9.1}"))
    }
}
