//! Pods and their containers, made as a kubelet makes them: by CRI.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use containerd_client::tonic::transport::Channel;
use containerd_client::tonic::{Response, Status};
use k8s_cri::v1::runtime_service_client::RuntimeServiceClient;
use k8s_cri::v1::{
    ContainerConfig, ContainerMetadata, ContainerState, ContainerStatusRequest, CreateContainerRequest, ImageSpec,
    LinuxContainerConfig, LinuxContainerSecurityContext, LinuxPodSandboxConfig, LinuxSandboxSecurityContext,
    ListPodSandboxRequest, NamespaceMode, NamespaceOption, PodSandboxConfig, PodSandboxMetadata,
    RemoveContainerRequest, RemovePodSandboxRequest, RunPodSandboxRequest, StartContainerRequest,
    StopPodSandboxRequest,
};
use tokio::runtime::{Builder, Runtime};

use super::Containerd;
use crate::{image, interrupt};

/// Makes pods on a containerd [with CRI](Containerd::with_cri).
pub struct Pods<'a> {
    containerd: &'a Containerd,
    client: RuntimeServiceClient<Channel>,
    runtime: Runtime,
}

/// A pod without containers but the one that holds its namespaces.
pub struct Sandbox<'a> {
    /// The id of that container.
    pub id: String,
    /// The pod's uid.
    pub uid: String,
    pods: &'a Pods<'a>,
    config: PodSandboxConfig,
}

impl<'a> Pods<'a> {
    /// Connects.
    ///
    /// # Errors
    /// containerd does not listen.
    pub fn new(containerd: &'a Containerd) -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let channel = runtime.block_on(containerd_client::connect(&containerd.socket)).context("connect to CRI")?;
        Ok(Self { containerd, client: RuntimeServiceClient::new(channel), runtime })
    }

    /// Runs a pod in the host's network.
    ///
    /// # Errors
    /// containerd refuses; so do the others here.
    pub fn pod(&self, namespace: &str, name: &str, uid: &str) -> Result<Sandbox<'_>> {
        let mut labels = HashMap::new();
        for (key, value) in [("namespace", namespace), ("name", name), ("uid", uid)] {
            labels.insert(format!("io.kubernetes.pod.{key}"), value.to_owned());
        }
        let parent = self.containerd.cgroup().join(format!("pod{uid}"));
        let security = LinuxSandboxSecurityContext { namespace_options: Some(host_network()), ..Default::default() };
        let (namespace, name, uid) = (namespace.to_owned(), name.to_owned(), uid.to_owned());
        let config = PodSandboxConfig {
            metadata: Some(PodSandboxMetadata { name, uid: uid.clone(), namespace, attempt: 0 }),
            labels,
            linux: Some(LinuxPodSandboxConfig {
                cgroup_parent: parent.to_string_lossy().into_owned(),
                security_context: Some(security),
                ..Default::default()
            }),
            ..Default::default()
        };
        let request = RunPodSandboxRequest { config: Some(config.clone()), runtime_handler: String::new() };
        let id = self.call("RunPodSandbox", self.client.clone().run_pod_sandbox(request))?.pod_sandbox_id;
        Ok(Sandbox { id, uid, pods: self, config })
    }

    /// Starts a container that was made.
    ///
    /// # Errors
    /// See [`Self::pod`].
    pub fn start(&self, id: &str) -> Result<()> {
        let request = StartContainerRequest { container_id: id.to_owned() };
        self.call("StartContainer", self.client.clone().start_container(request)).map(drop)
    }

    /// Waits until a container has ended. Returns its exit code.
    ///
    /// # Errors
    /// See [`Self::pod`]; or it does not end in time.
    pub fn wait(&self, id: &str, limit: Duration) -> Result<i32> {
        interrupt::wait_for("end of a container", limit, || {
            let request = ContainerStatusRequest { container_id: id.to_owned(), verbose: false };
            let answer = self.call("ContainerStatus", self.client.clone().container_status(request))?;
            let status = answer.status.context("no status")?;
            Ok((status.state == ContainerState::ContainerExited as i32).then_some(status.exit_code))
        })
    }

    /// Removes a container, running or not.
    ///
    /// # Errors
    /// See [`Self::pod`].
    pub fn remove(&self, id: &str) -> Result<()> {
        let request = RemoveContainerRequest { container_id: id.to_owned() };
        self.call("RemoveContainer", self.client.clone().remove_container(request)).map(drop)
    }

    /// Ids of the containers that hold the namespaces of pods, and the names of these pods.
    ///
    /// # Errors
    /// See [`Self::pod`].
    pub fn sandboxes(&self) -> Result<Vec<(String, String)>> {
        let request = ListPodSandboxRequest { filter: None };
        let list = self.call("ListPodSandbox", self.client.clone().list_pod_sandbox(request))?;
        let name = |metadata: Option<PodSandboxMetadata>| metadata.unwrap_or_default().name;
        Ok(list.items.into_iter().map(|sandbox| (sandbox.id, name(sandbox.metadata))).collect())
    }

    fn call<T>(&self, what: &str, call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T> {
        Ok(self.runtime.block_on(call).with_context(|| what.to_owned())?.into_inner())
    }
}

impl Sandbox<'_> {
    /// Makes a container with the image [`image::NAME`]. Returns its id.
    ///
    /// # Errors
    /// See [`Pods::pod`].
    pub fn container(&self, name: &str, command: &[&str]) -> Result<String> {
        let mut labels = self.config.labels.clone();
        labels.insert("io.kubernetes.container.name".to_owned(), name.to_owned());
        let security = LinuxContainerSecurityContext { namespace_options: Some(host_network()), ..Default::default() };
        let image = image::NAME.to_owned();
        let config = ContainerConfig {
            metadata: Some(ContainerMetadata { name: name.to_owned(), attempt: 0 }),
            image: Some(ImageSpec { user_specified_image: image.clone(), image, ..Default::default() }),
            command: command.iter().map(|&word| word.to_owned()).collect(),
            labels,
            linux: Some(LinuxContainerConfig { security_context: Some(security), ..Default::default() }),
            ..Default::default()
        };
        let request = CreateContainerRequest {
            pod_sandbox_id: self.id.clone(),
            config: Some(config),
            sandbox_config: Some(self.config.clone()),
        };
        Ok(self.pods.call("CreateContainer", self.pods.client.clone().create_container(request))?.container_id)
    }

    /// Makes a container, starts it, waits for its end and removes it. Returns its id.
    ///
    /// # Errors
    /// See [`Pods::pod`]; or it fails.
    pub fn run(&self, name: &str, command: &[&str], limit: Duration) -> Result<String> {
        let id = self.container(name, command)?;
        self.pods.start(&id)?;
        let code = self.pods.wait(&id, limit)?;
        ensure!(code == 0, "container {name} ended with {code}");
        self.pods.remove(&id)?;
        Ok(id)
    }

    /// Ends the pod and all that runs in it.
    ///
    /// # Errors
    /// See [`Pods::pod`].
    pub fn remove(self) -> Result<()> {
        let Self { id, pods, .. } = self;
        let request = StopPodSandboxRequest { pod_sandbox_id: id.clone() };
        pods.call("StopPodSandbox", pods.client.clone().stop_pod_sandbox(request))?;
        let request = RemovePodSandboxRequest { pod_sandbox_id: id };
        pods.call("RemovePodSandbox", pods.client.clone().remove_pod_sandbox(request)).map(drop)
    }
}

fn host_network() -> NamespaceOption {
    let (network, pid) = (NamespaceMode::Node as i32, NamespaceMode::Container as i32);
    NamespaceOption { network, pid, ..Default::default() }
}
