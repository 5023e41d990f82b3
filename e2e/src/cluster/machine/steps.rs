//! What the first program of a node's machine does.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::containerd::NAMESPACE;

/// Where the first program finds its steps, as JSON.
pub const STEPS: &str = "/steps.json";

/// What its kubelet calls pods' cgroup, in its own.
pub(super) const PODS: &str = "kubepods";
/// Makes the kubelet's cgroup `$0`, and that of pods, `$1`, which exporters watch before the kubelet makes it. A kubelet takes no cgroup
/// that lacks one of the kernel's controllers.
const CGROUPS: &str = r#"
cd /sys/fs/cgroup
busybox mkdir -p .$0/$1
for cgroup in . .$0; do
    busybox sed "s/[^ ]*/+&/g" $cgroup/cgroup.controllers > $cgroup/cgroup.subtree_control || exit
done
"#;

/// One of them. Each is over before the next one, but for servers, which go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Program and arguments. It is run again until it succeeds, unless it is a server.
    pub command: Vec<String>,
    /// Of a server: name and device of its output.
    pub output: Option<(String, String)>,
}

/// What they are made of.
pub(super) struct Plan<'a> {
    pub(super) address: Ipv4Addr,
    pub(super) gateway: Ipv4Addr,
    /// Its configuration.
    pub(super) containerd: &'a Path,
    pub(super) socket: &'a Path,
    pub(super) images: &'a [PathBuf],
    /// The kubelet's.
    pub(super) cgroup: &'a Path,
    /// Its arguments.
    pub(super) kubelet: Vec<String>,
    /// Its arguments.
    pub(super) proxy: Vec<String>,
    /// Names and commands.
    pub(super) exporters: Vec<(String, Vec<String>)>,
}

impl Plan<'_> {
    pub(super) fn steps(self) -> Vec<Step> {
        let Self { address, gateway, containerd, socket, images, cgroup, kubelet, proxy, exporters } = self;
        let mut steps: Vec<_> = [
            "ip link set lo up".to_owned(),
            format!("ip addr add {address}/24 dev eth0"),
            "ip link set eth0 up".to_owned(),
            format!("ip route add default via {gateway}"),
            "sysctl -w net.ipv4.ip_forward=1".to_owned(),
        ]
        .map(|command| step(&format!("busybox {command}")))
        .to_vec();
        let cgroup = cgroup.to_string_lossy();
        steps.push(Step {
            command: ["busybox", "sh", "-c", CGROUPS, &cgroup, PODS].map(str::to_owned).to_vec(),
            output: None,
        });
        let ctr = format!("ctr --address {} --namespace {NAMESPACE}", socket.display());
        let mut port = 0;
        let mut server = |name: &str, command: Vec<String>| {
            port += 1;
            Step { command, output: Some((name.to_owned(), format!("/dev/vport0p{port}"))) }
        };
        let containerd = ["containerd".to_owned(), "--config".to_owned(), containerd.display().to_string()];
        steps.push(server("containerd", containerd.to_vec()));
        steps.push(step(&format!("{ctr} version")));
        steps.extend(images.iter().map(|image| step(&format!("{ctr} images import --local {}", image.display()))));
        // Before there are pods.
        steps.extend(exporters.into_iter().map(|(name, command)| server(&name, command)));
        for (name, arguments) in [("kubelet", kubelet), ("kube-proxy", proxy)] {
            steps.push(server(name, [name.to_owned()].into_iter().chain(arguments).collect()));
        }
        steps
    }
}

/// Names of the servers, in the order of their ports.
pub(super) fn outputs(steps: &[Step]) -> impl Iterator<Item = &str> {
    steps.iter().filter_map(|step| Some(step.output.as_ref()?.0.as_str()))
}

fn step(words: &str) -> Step {
    Step { command: words.split(' ').map(str::to_owned).collect(), output: None }
}
