//! A containerd of our own, with runc, on a private socket.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::cgroup::Cgroup;
use crate::daemon::Daemon;
use crate::folder::{Folder, unmount_below};
use crate::namespaces::Place;
use crate::tools::{self, OldContainerd};
use crate::{image, interrupt};

mod container;
mod pod;

pub use container::{Container, Spec};
pub use pod::{Pods, Sandbox};

/// Where kubelet's containers are, so that ours look like those.
pub const NAMESPACE: &str = "k8s.io";

const READY: Duration = Duration::from_secs(30);
const CONFIGURATION: &str = "containerd.toml";
const SOCKET: &str = "containerd.sock";
/// Where a node's containerd has its socket and what runs, as the node sees it.
const RUN: &str = "/run/containerd";

/// Where Debian puts CNI plugins.
pub(crate) const CNI: &str = "/usr/lib/cni";

/// Shims put their sockets here whatever the configuration says.
const SHIMS: [&str; 2] = ["/run/containerd/s", "/run/containerd"];

/// A running containerd; dropping this ends its containers, stops it and removes what it left.
#[derive(Debug)]
pub struct Containerd {
    /// Its socket.
    pub socket: PathBuf,
    daemon: Daemon,
    place: Place,
    /// Where its programs are.
    programs: PathBuf,
    /// Of the image [`image::NAME`].
    digest: String,
    /// Folders of [`SHIMS`] that were there before.
    shims: usize,
    cgroup: Cgroup,
    folder: Folder,
}

impl Containerd {
    /// Starts it with its state in `folder` (or in a temporary one) and imports [`image::NAME`].
    ///
    /// # Errors
    /// A program cannot be built, containerd does not start, or refuses the image.
    pub fn start(folder: Option<&Path>) -> Result<Self> {
        let cgroup = Cgroup::for_containers("inotrail-demo")?;
        Self::configured(folder, &tools::containerd()?, WITHOUT_CRI, Place::Here, cgroup)
    }

    /// The same with the interfaces that a Kubernetes node has: [`Pods`], and [`Self::nri_socket`].
    ///
    /// # Errors
    /// See [`Self::start`].
    pub fn with_cri(folder: Option<&Path>) -> Result<Self> {
        let cgroup = Cgroup::for_containers("inotrail-demo")?;
        Self::configured(folder, &tools::containerd()?, CRI, Place::Here, cgroup)
    }

    /// An older one, with the same interfaces, of which 1.6 has no NRI.
    ///
    /// # Errors
    /// See [`Self::start`].
    pub fn old_with_cri(which: OldContainerd) -> Result<Self> {
        let cgroup = Cgroup::for_containers("inotrail-old")?;
        Self::configured(None, &tools::old_containerd(which)?, OLD_CRI, Place::Here, cgroup)
    }

    /// The same for a kubelet, whose root is `cgroup`, among the namespaces of a node. `network` is what CNI is told.
    ///
    /// # Errors
    /// See [`Self::start`].
    pub fn for_node(folder: &Path, place: Place, cgroup: Cgroup, network: &Value) -> Result<Self> {
        configure_network(folder, network)?;
        Self::configured(Some(folder), &tools::containerd()?, CRI, place, cgroup)
    }

    /// Where plugins connect, with CRI.
    #[must_use]
    pub fn nri_socket(&self) -> PathBuf {
        self.path().join("nri.sock")
    }

    fn configured(folder: Option<&Path>, programs: &Path, plugins: &str, place: Place, cgroup: Cgroup) -> Result<Self> {
        ensure!(rustix::process::geteuid().is_root(), "containers need root: run this as root");
        interrupt::defer();
        let folder = Folder::new(folder)?;
        let path: &Path = folder.as_ref();
        let config = path.join(CONFIGURATION);
        let (socket, written) = match place {
            Place::Here => (path.join(SOCKET), configuration(path, &path.join("state"), path, plugins)),
            // Those have a folder of that name for themselves: sockets and roots of containers are where any node has them.
            Place::With(_) => {
                (path.join(&RUN[1..]).join(SOCKET), configuration(path, RUN.as_ref(), RUN.as_ref(), plugins))
            }
        };
        fs::write(&config, written).with_context(|| format!("write {}", config.display()))?;
        let shims = SHIMS.iter().filter(|folder| Path::new(folder).exists()).count();
        let daemon = launch(path, programs, place)?;
        let programs = programs.to_owned();
        let mut this = Self { socket, daemon, place, programs, digest: String::new(), shims, cgroup, folder };
        this.wait_ready()?;

        let archive = this.path().join("image.tar");
        this.digest = image::write(&archive)?;
        // 1.6 knows no other way, and no flag for this one.
        let local: &[_] = if plugins == OLD_CRI { &[] } else { &["--local"] };
        this.ctr(&[&["images", "import"], local, &[&archive.to_string_lossy()]].concat())?;
        fs::remove_file(archive)?;
        Ok(this)
    }

    /// Stops it, and starts it again; its containers go on meanwhile.
    ///
    /// # Errors
    /// It does not start.
    pub fn restart(&mut self) -> Result<()> {
        self.daemon.stop();
        self.daemon = launch(self.path(), &self.programs, self.place)?;
        self.wait_ready()
    }

    fn wait_ready(&mut self) -> Result<()> {
        let mut probe = self.command(&["version"]);
        probe.stdout(Stdio::null()).stderr(Stdio::null());
        self.daemon.wait_ready(READY, || probe.status().is_ok_and(|status| status.success()))
    }

    /// Names the image [`image::NAME`] by its digest too, and returns that name.
    ///
    /// # Errors
    /// containerd refuses.
    pub fn image_by_digest(&self) -> Result<String> {
        let name = format!("{}@{}", image::NAME.trim_end_matches(":1"), self.digest);
        self.ctr(&["images", "tag", "--force", image::NAME, &name])?;
        Ok(name)
    }

    /// The cgroup below which its containers are, as `--cgroup-root` takes it.
    #[must_use]
    pub fn cgroup(&self) -> &Path {
        self.cgroup.path()
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.daemon.pid()
    }

    /// Starts a container; returns as soon as its process runs.
    ///
    /// # Errors
    /// containerd or runc refuse.
    pub fn run(&self, spec: &Spec) -> Result<Container<'_>> {
        Container::start(self, spec)
    }

    /// The processes of a container.
    ///
    /// # Errors
    /// It does not run.
    pub fn pids(&self, id: &str) -> Result<Vec<u32>> {
        let lines = list(&self.ctr(&["tasks", "ps", id])?);
        // Under a heading.
        Ok(lines.iter().skip(1).filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect())
    }

    /// Runs `ctr`, in the namespace of kubelet's containers.
    ///
    /// # Errors
    /// It fails.
    pub fn ctr(&self, arguments: &[&str]) -> Result<Output> {
        let output = self.command(arguments).stdin(Stdio::null()).output().context("run ctr")?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "ctr {}: {}\n{error}", arguments.join(" "), output.status);
        Ok(output)
    }

    fn path(&self) -> &Path {
        self.folder.as_ref()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.programs.join("ctr"));
        command.arg("--address").arg(&self.socket).args(["--namespace", NAMESPACE]).args(arguments);
        command
    }

    fn remove_containers(&self) -> Result<()> {
        let delete = |what: &str, more: &[&str]| -> Result<()> {
            let ids = list(&self.ctr(&[what, "list", "--quiet"])?);
            let ids: Vec<_> = ids.iter().map(String::as_str).collect();
            if ids.is_empty() { Ok(()) } else { self.ctr(&[&[what, "delete"], more, &ids].concat()).map(drop) }
        };
        // It kills the processes first, and fails where one had ended already. Of one that runs on, its container tells.
        let _ended = delete("tasks", &["--force"]);
        delete("containers", &[])
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        if let Err(error) = self.remove_containers() {
            eprintln!("cannot remove containers: {error:#}");
        }
        self.daemon.stop();
        unmount_below(self.path());
        // Only where no containerd was here before, and only when empty.
        for folder in &SHIMS[..SHIMS.len() - self.shims] {
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
    }
}

/// Where a containerd listens that is the only one of its system, as that sees it.
pub(crate) fn usual_socket() -> PathBuf {
    Path::new(RUN).join(SOCKET)
}

/// Writes the configuration of the only containerd of a system, which will find `folder` where it is here. Returns its file.
///
/// # Errors
/// The folder cannot be written.
pub(crate) fn configure_node(folder: &Path, network: &Value) -> Result<PathBuf> {
    configure_network(folder, network)?;
    let file = folder.join(CONFIGURATION);
    fs::write(&file, configuration(folder, RUN.as_ref(), RUN.as_ref(), CRI))
        .with_context(|| format!("write {}", file.display()))?;
    Ok(file)
}

fn configure_network(folder: &Path, network: &Value) -> Result<()> {
    let conf = folder.join("cni/conf");
    fs::create_dir_all(&conf).with_context(|| format!("create {}", conf.display()))?;
    Ok(fs::write(conf.join("pods.conflist"), serde_json::to_vec_pretty(network)?)?)
}

fn launch(folder: &Path, programs: &Path, place: Place) -> Result<Daemon> {
    let runc = tools::runc()?;
    let mut command = place.command(programs.join("containerd"));
    // The shim, and runc by the shim, are looked up there.
    let search = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{}:{search}", programs.display(), runc.display()));
    Daemon::start("containerd", command.arg("--config").arg(folder.join(CONFIGURATION)), folder, None)
}

fn list(output: &Output) -> Vec<String> {
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

/// No Kubernetes interface.
const WITHOUT_CRI: &str = r#"
version = 3
disabled_plugins = [
  "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri",
  "io.containerd.nri.v1.nri", "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp",
]
"#;

/// CNI plugins are needed by pods with a network of their own only. OOM scores stay as they are, which takes no privilege.
const CRI: &str = r#"
version = 3
disabled_plugins = ["io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp"]
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "{pause}"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["{cni}"]
    conf_dir = "{folder}/cni/conf"
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
      Root = "{folder}/runc"
"#;

/// NRI with no plugins but those that connect. 1.6 does not know it.
const NRI: &str = r#"
[plugins."io.containerd.nri.v1.nri"]
  disable = false
  socket_path = "{folder}/nri.sock"
  plugin_path = "{folder}/nri"
  plugin_config_path = "{folder}/nri"
"#;

/// [`CRI`] for containerd 1.6 and 1.7.
const OLD_CRI: &str = r#"
version = 2
disabled_plugins = ["io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp"]
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni}"
    conf_dir = "{folder}/cni/conf"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      Root = "{folder}/runc"
"#;

/// Nothing outside of these folders, and no plugins that would listen at a fixed place.
fn configuration(folder: &Path, state: &Path, sockets: &Path, plugins: &str) -> String {
    let (folder, state, socket) = (folder.display().to_string(), state.display(), sockets.join(SOCKET));
    let socket = socket.display();
    let plugins =
        [plugins, NRI].concat().replace("{folder}", &folder).replace("{pause}", image::PAUSE).replace("{cni}", CNI);
    format!(
        r#"root = "{folder}/root"
state = "{state}"
{plugins}
[grpc]
  address = "{socket}"
[ttrpc]
  address = "{socket}.ttrpc"
[plugins."io.containerd.internal.v1.opt"]
  path = "{folder}/opt"
"#
    )
}
