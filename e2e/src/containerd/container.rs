//! A container with the labels that kubelet's containers have.

use std::fs;
use std::process::Output;

use anyhow::{Context as _, Result};

use super::Containerd;
use crate::digest::sha256;
use crate::image;

/// What to run.
#[derive(Clone, Debug)]
pub struct Spec {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The container's name in the pod.
    pub container: String,
    /// The user's id.
    pub user: u32,
    /// Program and arguments.
    pub command: Vec<String>,
}

/// A container that was started.
#[derive(Debug)]
pub struct Container<'a> {
    /// Its id: 64 hexadecimal digits.
    pub id: String,
    /// Its pod's uid.
    pub pod_uid: String,
    containerd: &'a Containerd,
}

impl Spec {
    /// A container that runs a shell script.
    #[must_use]
    pub fn script(namespace: &str, pod: &str, container: &str, user: u32, script: &str) -> Self {
        let command = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        Self { namespace: namespace.into(), pod: pod.into(), container: container.into(), user, command }
    }
}

impl<'a> Container<'a> {
    pub(super) fn start(containerd: &'a Containerd, spec: &Spec) -> Result<Self> {
        let pod_uid =
            fs::read_to_string("/proc/sys/kernel/random/uuid").context("read a random uuid")?.trim().to_owned();
        let id = sha256(pod_uid.as_bytes());
        let labels = [
            ("io.cri-containerd.kind", "container"),
            ("io.kubernetes.pod.namespace", &spec.namespace),
            ("io.kubernetes.pod.name", &spec.pod),
            ("io.kubernetes.pod.uid", &pod_uid),
            ("io.kubernetes.container.name", &spec.container),
        ]
        .map(|(name, value)| format!("--label={name}={value}"));
        let cgroup = format!("--cgroup={}", containerd.cgroup().join(&id).display());
        let runc = format!("--runc-root={}", containerd.path().join("runc").display());
        let user = format!("--user={}", spec.user);
        let mut arguments = vec!["run", "--detach", "--null-io", &cgroup, &runc, &user];
        arguments.extend(labels.iter().map(String::as_str));
        arguments.extend([image::NAME, &id]);
        arguments.extend(spec.command.iter().map(String::as_str));
        containerd.ctr(&arguments)?;
        Ok(Self { id, pod_uid, containerd })
    }

    /// Runs a program in it, as a user.
    ///
    /// # Errors
    /// It cannot be started, or fails.
    pub fn exec(&self, user: u32, command: &[&str]) -> Result<Output> {
        let (user, id) =
            (user.to_string(), format!("exec-{}", fs::read_to_string("/proc/sys/kernel/random/uuid")?.trim()));
        let fifos = self.containerd.path().join("fifo");
        let fifos = fifos.to_string_lossy();
        let mut arguments = vec!["tasks", "exec", "--exec-id", &id, "--user", &user, "--fifo-dir", &fifos, &self.id];
        arguments.extend(command);
        self.containerd.ctr(&arguments)
    }

    /// Sends a signal to its first process: `SIGUSR1`.
    ///
    /// # Errors
    /// That process has ended.
    pub fn signal(&self, signal: &str) -> Result<()> {
        self.containerd.ctr(&["tasks", "kill", "--signal", signal, &self.id]).map(drop)
    }

    /// Kills it and removes it.
    ///
    /// # Errors
    /// containerd refuses.
    pub fn remove(self) -> Result<()> {
        self.containerd.ctr(&["tasks", "delete", "--force", &self.id])?;
        self.containerd.ctr(&["containers", "delete", &self.id])?;
        Ok(())
    }
}
