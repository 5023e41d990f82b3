//! The segment that this system, the control plane and the nodes of a cluster are on.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use crate::namespaces::{Namespaces, Place};

/// Clusters that may run at once on this system.
const CLUSTERS: u8 = 100;
/// The control plane's part of its cluster's addresses, and this system's.
const CONTROL: u8 = 1;
const HERE: u8 = 254;

/// A bridge in network namespaces of its own, where the control plane is too. It goes with them.
#[derive(Debug)]
pub(super) struct Network {
    /// Which cluster of this system it is.
    number: u8,
    control: Namespaces,
}

impl Network {
    /// Makes the bridge and joins this system to it; `folder` is the control plane's.
    ///
    /// # Errors
    /// iproute2 is missing, or there are too many clusters.
    pub(super) fn new(folder: &Path) -> Result<Self> {
        let control = Namespaces::new("control", folder)?;
        let pid = control.pid().to_string();
        let join = |number: &u8| {
            let name = format!("inotrail{number}");
            ip(Place::Here, &format!("link add {name} type veth peer name here netns {pid}"))
        };
        // Whoever makes the device of that name has the number.
        let Some(number) = (0..CLUSTERS).find(|number| join(number).is_ok()) else {
            bail!("no network for a cluster: {}", join(&0).err().map(|error| format!("{error:#}")).unwrap_or_default())
        };
        let this = Self { number, control };
        let (own, here) = (this.control(), this.address(HERE));
        for command in ["link add nodes type bridge", "link set here master nodes", "link set here up"] {
            ip(this.place(), command)?;
        }
        ip(this.place(), &format!("addr add {own}/24 dev nodes"))?;
        ip(this.place(), "link set nodes up")?;
        ip(Place::Here, &format!("addr add {here}/24 dev inotrail{number}"))?;
        ip(Place::Here, &format!("link set inotrail{number} up"))?;
        Ok(this)
    }

    /// The name of a node's cgroup: no other cluster of this system has it.
    pub(super) fn cgroup(&self, node: &str) -> String {
        format!("inotrail-{}-{node}", self.number)
    }

    /// Has this system reach a pod, as programs in the cluster do; of two clusters with such a pod, the last one's.
    ///
    /// # Errors
    /// iproute2 is missing.
    pub(super) fn reach(&self, pod: IpAddr) -> Result<()> {
        let (control, number) = (self.control(), self.number);
        ip(Place::Here, &format!("route replace {pod} via {control} dev inotrail{number}"))
    }

    /// Where the control plane runs.
    pub(super) fn place(&self) -> Place {
        self.control.place()
    }

    /// The control plane's address.
    pub(super) fn control(&self) -> Ipv4Addr {
        self.address(CONTROL)
    }

    /// A node's address.
    pub(super) fn node(&self, number: u8) -> Ipv4Addr {
        self.address(10 + number)
    }

    /// Joins a node by its `eth0`.
    ///
    /// # Errors
    /// It was joined already.
    pub(super) fn join(&self, number: u8, node: &Namespaces) -> Result<()> {
        let (pid, control) = (node.pid(), self.control.pid());
        let link = format!("link add eth0 netns {pid} type veth peer name node{number} netns {control}");
        ip(Place::Here, &link)?;
        ip(self.place(), &format!("link set node{number} master nodes up"))?;
        ip(node.place(), &format!("addr add {}/24 dev eth0", self.node(number)))?;
        ip(node.place(), "link set eth0 up")?;
        ip(node.place(), &format!("route add default via {}", self.control()))?;
        self.route(number)
    }

    /// Makes a device for a machine that is to be a node; returns its name.
    ///
    /// # Errors
    /// There is one already, or this system has no TAP devices.
    pub(super) fn join_machine(&self, number: u8) -> Result<String> {
        let name = format!("node{number}");
        ip(self.place(), &format!("tuntap add {name} mode tap"))?;
        ip(self.place(), &format!("link set {name} master nodes up"))?;
        self.route(number)?;
        Ok(name)
    }

    /// All others reach a node's pods through the control plane.
    fn route(&self, number: u8) -> Result<()> {
        ip(self.place(), &format!("route add {} via {}", pods(number), self.node(number)))
    }

    fn address(&self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 222, self.number, host)
    }
}

/// The addresses of a node's pods.
fn pods(node: u8) -> String {
    format!("10.88.{node}.0/24")
}

/// What a node's containerd tells CNI plugins.
pub(super) fn cni(node: u8) -> Value {
    let addresses = json!({
        "type": "host-local", "ranges": [[{"subnet": pods(node)}]], "routes": [{"dst": "0.0.0.0/0"}],
    });
    let bridge = json!({"type": "bridge", "bridge": "pods", "isGateway": true, "ipMasq": false, "ipam": addresses});
    json!({"cniVersion": "1.0.0", "name": "pods", "plugins": [bridge]})
}

fn ip(place: Place, arguments: &str) -> Result<()> {
    let output = place.command("ip").args(arguments.split(' ')).output().context("run ip: `make setup` installs it")?;
    ensure!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}
