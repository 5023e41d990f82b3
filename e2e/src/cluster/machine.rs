//! A node in a machine: a kernel of its own, cgroups of version 2, and hooks that this system may refuse.

use std::env::consts::ARCH;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use inotrail::event::Backend;

use super::network::{Network, cni};
use super::settings::{MANIFESTS, Settings};
use crate::daemon::Daemon;
use crate::exporter::{self, Events};
use crate::image;
use crate::kernels::Line;
use crate::kubernetes::ApiServer;
use crate::vm::qemu;

mod archive;
mod steps;

pub use steps::{STEPS, Step};

/// Debian 13's kernel: fexit and kprobe both work on it.
const KERNEL: &str = "6.12";
/// MiB; half of it may be files.
const MEMORY: &str = "3072";
/// The cgroup that its kubelet makes for pods.
pub const PODS: &str = "/kubepods";

/// A running machine; dropping this ends it.
pub struct Machine {
    /// The node's name in the cluster.
    pub name: String,
    /// What the exporters in it tell, each with another backend.
    pub exporters: Vec<(Backend, Events)>,
    /// Its log is the machine's console.
    pub(super) qemu: Daemon,
    folder: PathBuf,
}

impl Machine {
    /// Boots it; its kubelet registers when it is up.
    pub(super) fn start(
        number: u8,
        api: &ApiServer,
        network: &Network,
        folder: &Path,
        backends: &[Backend],
    ) -> Result<Self> {
        let name = format!("vm-{number}");
        let folder = folder.join(&name);
        fs::create_dir_all(folder.join(MANIFESTS)).with_context(|| format!("create {}", folder.display()))?;
        let device = network.join_machine(number)?;
        let containerd = crate::containerd::configure_node(&folder, &cni(number))?;
        image::write(&folder.join(archive::IMAGE))?;
        let socket = folder.join("containerd.sock");
        let address = network.node(number);
        let settings = Settings { name: &name, address, folder: &folder, socket: &socket, cgroup: Path::new("/") };
        let plan = steps::Plan {
            address,
            gateway: network.control(),
            containerd: &containerd,
            socket: &socket,
            image: &folder.join(archive::IMAGE),
            kubelet: settings.kubelet(api)?,
            exporters: backends.iter().map(|backend| exporter(*backend, &name, &socket, &api.kubeconfig)).collect(),
        };
        let kernel = Line::named(KERNEL, ARCH)?.fetch(false)?;
        let steps = plan.steps();
        let initramfs = archive::write(&folder, &kernel, api, &steps)?;

        let outputs: Vec<_> = steps::outputs(&steps).map(|name| folder.join(format!("{name}.log"))).collect();
        let hardware = hardware(&device, &outputs);
        let hardware: Vec<_> = hardware.iter().map(String::as_str).collect();
        let command = qemu::command(&kernel, &initramfs, &hardware, Some("mitigations=off"));
        let qemu = Daemon::start("console", &mut network.place().instead(&command), &folder, None)?;
        let log = |backend: &Backend| Events::of(folder.join(format!("{}.log", backend.as_str())));
        let exporters = backends.iter().map(|backend| (*backend, log(backend))).collect();
        Ok(Self { name, exporters, qemu, folder })
    }

    /// Where its console and the logs of its programs are.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.folder
    }
}

/// Name of its log, and its command.
fn exporter(backend: Backend, node: &str, socket: &Path, kubeconfig: &Path) -> (String, Vec<String>) {
    let (socket, kubeconfig) = (socket.to_string_lossy(), kubeconfig.to_string_lossy());
    let own = ["--backend", backend.as_str(), "--cgroup-root", PODS, "--node-name", node];
    // Where everything is emulated, names take longer too.
    let asks = ["--runtime-socket", &socket, "--kubeconfig", &kubeconfig, "--resolve-timeout", "10s"];
    let command = ["inotrail"].iter().chain(&exporter::ARGUMENTS).chain(&own).chain(&asks);
    (backend.as_str().to_owned(), command.map(|&word| word.to_owned()).collect())
}

/// One port per program that has an output, in their order. The device that has the ports comes first: Linux names them
/// `/dev/vport0p1` and so on by that.
fn hardware(device: &str, outputs: &[PathBuf]) -> Vec<String> {
    let mut words = ["-accel", "tcg,thread=multi", "-smp", "2", "-m", MEMORY].map(str::to_owned).to_vec();
    // Without a program to boot from the network, which is not installed everywhere.
    let devices = ["-device", "virtio-serial-pci", "-device", "virtio-net-pci,netdev=network,romfile="];
    words.extend(devices.map(str::to_owned));
    words.extend(["-netdev".to_owned(), format!("tap,id=network,ifname={device},script=no,downscript=no")]);
    for (number, output) in (1..).zip(outputs) {
        words.extend(["-chardev".to_owned(), format!("file,id=output{number},path={}", output.display())]);
        words.extend(["-device".to_owned(), format!("virtserialport,chardev=output{number},nr={number}")]);
    }
    words
}
