//! A node in a machine: a kernel of its own, cgroups of version 2, and hooks that this system may refuse.

use std::env::consts::ARCH;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use inotrail::event::Backend;

use super::network::{Network, cni};
use super::settings::{MANIFESTS, Settings};
use crate::daemon::Daemon;
use crate::exporter::{self, Events};
use crate::image;
use crate::kernels::Line;
use crate::kubernetes::ApiServer;
use crate::vm::{console_lines, qemu};

mod archive;
mod steps;

pub use steps::{STEPS, Step};

/// Debian 13's kernel: fexit and kprobe both work on it.
const KERNEL: &str = "6.12";
/// MiB; half of it may be files.
const MEMORY: &str = "3072";
/// Until the node of one that runs is ready.
const BOOTED: Duration = Duration::from_secs(600);

/// An exporter in a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watcher {
    /// How it hooks the kernel.
    pub backend: Backend,
    /// Whether it asks containerd, or the API alone.
    pub asks_runtime: bool,
}

/// One that runs, and what it tells.
type Exporting = (Watcher, Events);

/// A running machine; dropping this ends it.
pub struct Machine {
    /// The node's name in the cluster.
    pub name: String,
    /// The cgroup that its kubelet makes for pods.
    pub pods: String,
    /// What the exporters in it tell.
    pub exporters: Vec<Exporting>,
    /// Its log is the machine's console.
    _qemu: Daemon,
    folder: PathBuf,
}

impl Machine {
    /// Boots it, and returns when its node is ready and all watch. Without watchers the chart's images are there.
    pub(super) fn start(
        number: u8,
        api: &ApiServer,
        network: &Network,
        folder: &Path,
        watchers: &[Watcher],
    ) -> Result<Self> {
        let name = format!("vm-{number}");
        let folder = folder.join(&name);
        fs::create_dir_all(folder.join(MANIFESTS)).with_context(|| format!("create {}", folder.display()))?;
        let device = network.join_machine(number)?;
        let containerd = crate::containerd::configure_node(&folder, &cni(number))?;
        let (socket, images) = (crate::containerd::usual_socket(), images(&folder, watchers.is_empty())?);
        // As of other nodes.
        let cgroup = PathBuf::from(format!("/{}", network.cgroup(&name)));
        let (address, pods) = (network.node(number), format!("{}/{}", cgroup.display(), steps::PODS));
        let settings = Settings {
            name: &name,
            address,
            names: network.control(),
            folder: &folder,
            socket: &socket,
            cgroup: &cgroup,
        };
        let plan = steps::Plan {
            address,
            gateway: network.control(),
            containerd: &containerd,
            socket: &socket,
            images: &images,
            cgroup: &cgroup,
            kubelet: settings.kubelet(api)?,
            proxy: settings.proxy(api)?,
            exporters: watchers.iter().map(|it| it.command(&name, &pods, &socket, &api.kubeconfig)).collect(),
        };
        let kernel = Line::named(KERNEL, ARCH)?.fetch(false)?;
        let steps = plan.steps();
        let initramfs = archive::write(&folder, &kernel, api, &steps)?;

        let outputs: Vec<_> = steps::outputs(&steps).map(|name| folder.join(format!("{name}.log"))).collect();
        let hardware = hardware(&device, &outputs);
        let hardware: Vec<_> = hardware.iter().map(String::as_str).collect();
        let command = qemu::command(&kernel, &initramfs, &hardware, Some("mitigations=off"));
        let boot = |log| {
            let console = Daemon::start(log, &mut network.place().instead(&command), &folder, None)?;
            let log = |watcher: &Watcher| Events::of(folder.join(format!("{}.log", watcher.name())));
            up(console, api, &name, watchers.iter().map(|watcher| (*watcher, log(watcher))).collect())
        };
        // As for test machines: emulation fails now and then. A kernel that changes its own code, as it does to attach programs and for the first
        // connection, may panic where each CPU has a thread.
        let (qemu, exporters) = boot("console").or_else(|error| {
            eprintln!("{name} did not come up, once more: {error:#}");
            // It would be as ready as the last one was.
            super::forget_node(api, &name);
            boot("console-again")
        })?;
        Ok(Self { name, pods, exporters, _qemu: qemu, folder })
    }

    /// Where its console and the logs of its programs are.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.folder
    }
}

/// Writes the images that it imports: the demo's, and the chart's for any node.
fn images(folder: &Path, chart: bool) -> Result<Vec<PathBuf>> {
    let mut images = vec![folder.join("image.tar")];
    image::write(&images[0])?;
    if chart {
        images.push(folder.join("chart.tar"));
        image::write_exporter(&images[1])?;
    }
    Ok(images)
}

/// Waits until the machine's first program runs, its node is ready, and all exporters watch.
fn up(mut console: Daemon, api: &ApiServer, node: &str, exporters: Vec<Exporting>) -> Result<(Daemon, Vec<Exporting>)> {
    console.wait_logged(qemu::BOOT, console_lines::UP)?;
    let watch = || exporters.iter().all(|(watcher, events)| watcher.is_ready(events));
    console.wait_ready(BOOTED, || super::is_ready_node(api, node) && watch())?;
    Ok((console, exporters))
}

impl Watcher {
    /// Of its log.
    #[must_use]
    pub fn name(self) -> String {
        let by = if self.asks_runtime { "containerd" } else { "API" };
        format!("{}-{by}", self.backend.as_str())
    }

    /// Name of its log, and its command.
    fn command(self, node: &str, pods: &str, socket: &Path, kubeconfig: &Path) -> (String, Vec<String>) {
        let (socket, kubeconfig) = (socket.to_string_lossy(), kubeconfig.to_string_lossy());
        let own = ["--backend", self.backend.as_str(), "--cgroup-root", pods, "--node-name", node];
        let runtime = if self.asks_runtime { ["--runtime-socket", &socket] } else { ["--runtime", "none"] };
        // Where everything is emulated, names take longer too.
        let asks = ["--kubeconfig", &kubeconfig, "--resolve-timeout", "10s"];
        let command = ["inotrail"].iter().chain(&exporter::ARGUMENTS).chain(&own).chain(&runtime).chain(&asks);
        (self.name(), command.map(|&word| word.to_owned()).collect())
    }

    /// Whether it watches, and has met whom it asks.
    fn is_ready(self, events: &Events) -> bool {
        events.says("watching by") && (!self.asks_runtime || events.says("connected to containerd"))
    }
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
