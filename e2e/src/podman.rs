//! podman with a storage, a cgroup and hooks of its own, and our runc.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::cgroup::Cgroup;
use crate::folder::{Folder, unmount_below};
use crate::{image, interrupt, tools};

/// Limits that a machine without `CAP_SYS_RESOURCE` can grant, and no network, which would need a bridge.
const NEW: [&str; 5] =
    ["--network=none", "--ulimit=nofile=1024:1024", "--ulimit=nproc=4096:4096", "--log-driver=none", "--quiet"];

/// podman's storage; dropping this removes its containers and everything else.
#[derive(Debug)]
pub struct Podman {
    /// Where it looks for OCI hooks.
    pub hooks: PathBuf,
    cgroup: Cgroup,
    folder: Folder,
}

impl Podman {
    /// Makes an empty storage and imports the image.
    ///
    /// # Errors
    /// podman is not installed, or refuses.
    pub fn start() -> Result<Self> {
        ensure!(rustix::process::geteuid().is_root(), "containers need root: run this as root");
        interrupt::defer();
        let runc = tools::runc()?.join("runc");
        let folder = Folder::new(None)?;
        let path: &Path = folder.as_ref();
        let hooks = path.join("hooks.d");
        fs::create_dir(&hooks)?;
        let storage = format!(
            "[storage]\ndriver = \"overlay\"\nrunroot = \"{0}/run\"\ngraphroot = \"{0}/root\"\n",
            path.display()
        );
        fs::write(path.join("storage.conf"), storage)?;
        let engine = format!(
            "[containers]\ndefault_sysctls = []\n[engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"none\"\n\
             runtime = \"runc\"\nhooks_dir = [\"{}\"]\ntmp_dir = \"{}/tmp\"\n[engine.runtimes]\nrunc = [\"{}\"]\n",
            hooks.display(),
            path.display(),
            runc.display()
        );
        fs::write(path.join("containers.conf"), engine)?;
        let this = Self { hooks, cgroup: Cgroup::create_top("inotrail-podman")?, folder };
        let archive = this.path().join("image.tar");
        image::write(&archive)?;
        let source = format!("oci-archive:{}:1", archive.display());
        let pulled = this.podman(&["pull", "--quiet", &source])?;
        let id = String::from_utf8_lossy(&pulled.stdout).trim().to_owned();
        this.podman(&["tag", &id, image::NAME])?;
        fs::remove_file(archive)?;
        Ok(this)
    }

    /// The cgroup below which its containers are, as `--cgroup-root` takes it.
    #[must_use]
    pub fn cgroup(&self) -> &Path {
        self.cgroup.path()
    }

    /// A folder of its own, for sockets and the like.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.as_ref()
    }

    /// Runs a container to its end; its output is the container's. `arguments` go before the image.
    #[must_use]
    pub fn run(&self, name: &str, arguments: &[&str], command: &[&str]) -> Command {
        self.new_container("run", name, &[&["--rm"], arguments].concat(), command)
    }

    /// Makes a container that can be started.
    ///
    /// # Errors
    /// It fails.
    pub fn create(&self, name: &str, command: &[&str]) -> Result<()> {
        succeed(&mut self.new_container("create", name, &[], command)).map(drop)
    }

    fn new_container(&self, how: &str, name: &str, arguments: &[&str], command: &[&str]) -> Command {
        let mut new = self.command();
        new.arg(how).args(NEW).args(["--name", name, "--cgroup-parent"]).arg(self.cgroup());
        new.args(arguments).arg(image::NAME).args(command);
        new
    }

    /// Runs a container to its end and returns its id.
    ///
    /// # Errors
    /// It fails.
    pub fn run_to_end(&self, name: &str, command: &[&str]) -> Result<String> {
        let file = self.path().join(format!("{name}.id"));
        let id = format!("--cidfile={}", file.display());
        succeed(&mut self.run(name, &[&id], command))?;
        Ok(fs::read_to_string(file)?)
    }

    /// Has it run `inotrail oci-hook`, which tells the exporter at `socket`.
    ///
    /// # Errors
    /// It cannot be installed.
    pub fn install_hook(&self, inotrail: &Path, socket: &Path) -> Result<()> {
        let mut install = Command::new(inotrail);
        install.args(["oci-hook", "install", "--socket"]).arg(socket).arg("--hooks-dir").arg(&self.hooks);
        let status = install.arg("--bin-dir").arg(self.path().join("bin")).status()?;
        ensure!(status.success(), "{install:?}: {status}");
        Ok(())
    }

    /// Runs podman itself.
    ///
    /// # Errors
    /// It fails.
    pub fn podman(&self, arguments: &[&str]) -> Result<Output> {
        succeed(self.command().args(arguments))
    }

    fn command(&self) -> Command {
        let mut command = Command::new("podman");
        command.stdin(Stdio::null());
        command.env("CONTAINERS_STORAGE_CONF", self.path().join("storage.conf"));
        command.env("CONTAINERS_CONF", self.path().join("containers.conf"));
        command
    }
}

fn succeed(command: &mut Command) -> Result<Output> {
    let output = command.output().context("run podman: `make setup` installs it")?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}\n{error}", output.status);
    Ok(output)
}

impl Drop for Podman {
    fn drop(&mut self) {
        for arguments in [&["rm", "--force", "--all", "--time", "0"][..], &["rmi", "--force", "--all"]] {
            if let Err(error) = self.podman(arguments) {
                eprintln!("cannot remove podman's containers: {error:#}");
            }
        }
        unmount_below(self.path());
    }
}
