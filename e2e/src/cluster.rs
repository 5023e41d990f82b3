//! A Kubernetes cluster of our own: the control plane and one node or two, with real kubelets, on this system's kernel.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use inotrail::event::Backend;
use k8s_openapi::api::core::v1 as core;
use kube::Api;
use kube::api::DeleteParams;

use crate::daemon::Daemon;
use crate::folder::Folder;
use crate::interrupt;
use crate::kubernetes::{ApiServer, Controllers};

mod machine;
mod names;
mod network;
mod node;
mod objects;
mod release;
mod script;
mod settings;

pub use machine::{Machine, STEPS, Step, Watcher};
use network::Network;
pub use node::Node;
pub use objects::{containers, is_ready_pod};
pub use release::{RELEASE, Release};

/// A kubelet has registered, and its network is up.
const READY: Duration = Duration::from_secs(120);

/// Run a Kubernetes cluster on this machine until Ctrl-C
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Nodes on this machine; each has a containerd and a kubelet of its own
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
    nodes: u8,
    /// One more node, in a machine with a kernel of its own (QEMU); an exporter runs in it, the chart's with --chart
    #[arg(long)]
    vm_node: bool,
    /// Install the chart on it, with its Collector and its Loki
    #[arg(long)]
    chart: bool,
    /// Empty folder for all state and logs, which stay [default: a temporary one, which goes]
    #[arg(long, value_name = "PATH")]
    dir: Option<PathBuf>,
}

impl Args {
    /// Starts it, says how to use it, and waits for a signal.
    ///
    /// # Errors
    /// See [`Cluster::start`].
    #[expect(clippy::print_stdout, reason = "the answer of this subcommand")]
    pub fn run(self) -> Result<()> {
        let mut cluster = Cluster::start(self.nodes, self.dir.as_deref())?;
        if self.vm_node {
            let own = [Watcher { backend: Backend::Kprobe, asks_runtime: true }];
            cluster.add_machine(if self.chart { &[] } else { &own })?;
        }
        println!("export KUBECONFIG={}", cluster.api.kubeconfig.display());
        for node in &cluster.nodes {
            println!("\n{}: state and logs in {}", node.name, node.path().display());
            println!("  static pods  {}", node.manifests().display());
            println!("  containerd   {}", node.containerd.socket.display());
            println!("  NRI          {}", node.containerd.nri_socket().display());
            let (own, socket) = (node.arguments(&cluster.api.kubeconfig).join(" "), node.containerd.socket.display());
            println!("  watch it     inotrail trace {own} --runtime-socket {socket}");
        }
        for machine in &cluster.machines {
            println!("\n{}: console, logs and events in {}", machine.name, machine.path().display());
        }
        println!("\nImages: {}; imagePullPolicy: Never", crate::image::NAME);
        if self.chart {
            let release = cluster.for_chart()?;
            release.create_namespace()?;
            eprintln!("installing the chart");
            eprintln!("it is ready after {} s", release.install(&[])?.as_secs());
            println!("\nLoki: {}; nothing but what policies are about is recorded", release.loki()?.url);
        } else {
            println!("There is no cluster DNS.");
        }
        println!("Ctrl-C stops everything.");
        interrupt::wait();
        Ok(())
    }
}

/// A running cluster; dropping this ends its pods, stops it and removes what it left.
pub struct Cluster {
    /// Its nodes, which are ready.
    pub nodes: Vec<Node>,
    /// Nodes in machines.
    pub machines: Vec<Machine>,
    /// Its DNS, where it has one.
    names: Option<Daemon>,
    _controllers: Controllers,
    /// Its API server, which may be stopped and started again.
    pub api: ApiServer,
    network: Network,
    folder: Folder,
}

impl Cluster {
    /// Starts it with its state in `folder` (or in a temporary one); returns when all nodes are ready.
    ///
    /// # Errors
    /// This is not root, or the folder is not empty, or a program cannot be built, does not start, or is not ready in
    /// time.
    pub fn start(nodes: u8, folder: Option<&Path>) -> Result<Self> {
        ensure!(rustix::process::geteuid().is_root(), "a cluster needs root: run this as root");
        interrupt::defer();
        let started = Instant::now();
        let say = |what: &str| eprintln!("{:>4.1} s  {what}", started.elapsed().as_secs_f32());
        let folder = Folder::new(folder)?;
        let path: &Path = folder.as_ref();
        ensure!(path.read_dir()?.next().is_none(), "{} is not empty: name another folder by --dir", path.display());
        let control = path.join("control");
        let network = Network::new(&control)?;
        say("etcd and the API server");
        let api = ApiServer::for_nodes(network.place(), network.control(), &control)?;
        say("controller manager and scheduler");
        let controllers = Controllers::start(&api)?;
        let mut this = Self {
            nodes: Vec::new(),
            machines: Vec::new(),
            names: None,
            _controllers: controllers,
            api,
            network,
            folder,
        };
        for number in 1..=nodes {
            say(&format!("node {number}: containerd, kubelet and kube-proxy"));
            let node = Node::start(number, &this.api, &this.network, this.folder.as_ref())?;
            this.nodes.push(node);
        }
        for node in &mut this.nodes {
            node.kubelet.wait_ready(READY, || is_ready_node(&this.api, &node.name))?;
            say(&format!("{} is ready", node.name));
        }
        Ok(this)
    }

    /// Adds a node in a machine, where these exporters watch its pods; returns when all are ready. Without any, it is one for the chart.
    ///
    /// # Errors
    /// QEMU is missing, or the node is not ready in time.
    pub fn add_machine(&mut self, watchers: &[Watcher]) -> Result<()> {
        // Numbers of the others are below.
        let number = 11 + self.machines.len() as u8;
        eprintln!("a node in a machine");
        let started = Instant::now();
        let machine = Machine::start(number, &self.api, &self.network, self.folder.as_ref(), watchers)?;
        eprintln!("{} is ready after {} s", machine.name, started.elapsed().as_secs());
        self.machines.push(machine);
        Ok(())
    }
}

fn is_ready_node(api: &ApiServer, name: &str) -> bool {
    let nodes: Api<core::Node> = Api::all(api.client.clone());
    api.runtime.block_on(nodes.get(name)).is_ok_and(|node| node::is_ready(&node))
}

/// Deletes it, if there is one.
fn forget_node(api: &ApiServer, name: &str) {
    let nodes: Api<core::Node> = Api::all(api.client.clone());
    // It may not have come to that.
    drop(api.runtime.block_on(nodes.delete(name, &DeleteParams::default())));
}
