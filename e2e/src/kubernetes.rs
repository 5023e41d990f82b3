//! A Kubernetes API server of our own, with etcd, and without nodes.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use rcgen::KeyPair;
use serde_json::json;
use tokio::runtime::{Builder, Runtime};

use crate::daemon::Daemon;
use crate::folder::Folder;
use crate::{interrupt, tools};

const READY: Duration = Duration::from_secs(120);
/// Of the only user, who may do everything.
const TOKEN: &str = "inotrail-test";

/// A running API server; dropping this stops it and etcd.
pub struct ApiServer {
    /// How to reach it.
    pub kubeconfig: PathBuf,
    /// A client of it.
    pub client: Client,
    /// Where the client runs.
    pub runtime: Runtime,
    /// The API server itself: it may be stopped and started again.
    pub daemon: Option<Daemon>,
    port: u16,
    etcd_port: u16,
    _etcd: Daemon,
    folder: Folder,
}

impl ApiServer {
    /// Starts both on loopback; returns when the API server is ready.
    ///
    /// # Errors
    /// It cannot be built, or does not start.
    pub fn start() -> Result<Self> {
        interrupt::defer();
        let folder = Folder::new(None)?;
        let path: &Path = folder.as_ref();
        let [etcd_port, peer_port, port] = free_ports()?;
        let client_url = format!("http://127.0.0.1:{etcd_port}");
        let peer_url = format!("http://127.0.0.1:{peer_port}");
        let mut etcd = Command::new("etcd");
        etcd.arg("--data-dir").arg(path.join("etcd"));
        etcd.args(["--listen-client-urls", &client_url, "--advertise-client-urls", &client_url]);
        etcd.args(["--listen-peer-urls", &peer_url, "--initial-advertise-peer-urls", &peer_url]);
        etcd.args(["--initial-cluster", &format!("default={peer_url}"), "--unsafe-no-fsync"]);
        let etcd = Daemon::start("etcd", &mut etcd, path, None).context("`make setup` installs etcd")?;
        fs::write(path.join("tokens.csv"), format!("{TOKEN},admin,admin,system:masters\n"))?;
        let account = KeyPair::generate()?;
        fs::write(path.join("account.key"), account.serialize_pem())?;
        fs::write(path.join("account.pub"), account.public_key_pem())?;
        let kubeconfig = path.join("kubeconfig");
        fs::write(&kubeconfig, serde_json::to_vec(&configuration(port))?)?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let client = runtime.block_on(client(&kubeconfig))?;
        let mut this = Self { kubeconfig, client, runtime, daemon: None, port, etcd_port, _etcd: etcd, folder };
        this.run()?;
        Ok(this)
    }

    /// Starts the API server where it was stopped.
    ///
    /// # Errors
    /// It does not start.
    pub fn run(&mut self) -> Result<()> {
        let path: &Path = self.folder.as_ref();
        let mut server = Command::new(tools::kubernetes()?.join("kube-apiserver"));
        server.args([&format!("--etcd-servers=http://127.0.0.1:{}", self.etcd_port), "--bind-address=127.0.0.1"]);
        server.args([&format!("--secure-port={}", self.port), "--service-cluster-ip-range=10.96.0.0/16"]);
        server.arg("--cert-dir").arg(path.join("certificates"));
        server.arg("--token-auth-file").arg(path.join("tokens.csv"));
        server.arg("--service-account-issuer=https://kubernetes.default.svc");
        server.arg("--service-account-key-file").arg(path.join("account.pub"));
        server.arg("--service-account-signing-key-file").arg(path.join("account.key"));
        // There is no controller that makes service accounts.
        server.arg("--disable-admission-plugins=ServiceAccount");
        let mut daemon = Daemon::start("kube-apiserver", &mut server, path, None)?;
        let ready = || self.runtime.block_on(self.client.request_text(ready_request())).is_ok();
        daemon.wait_ready(READY, ready)?;
        self.daemon = Some(daemon);
        Ok(())
    }
}

fn ready_request() -> http::Request<Vec<u8>> {
    let mut request = http::Request::new(Vec::new());
    *request.uri_mut() = http::Uri::from_static("/readyz");
    request
}

async fn client(kubeconfig: &Path) -> Result<Client> {
    let config = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

/// The server makes its certificate itself.
fn configuration(port: u16) -> serde_json::Value {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{"name": "test", "cluster": {
            "server": format!("https://127.0.0.1:{port}"), "insecure-skip-tls-verify": true,
        }}],
        "users": [{"name": "admin", "user": {"token": TOKEN}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
    })
}

/// Free at least now.
fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let mut ports = [0; N];
    let mut listeners = Vec::new();
    for port in &mut ports {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        *port = listener.local_addr()?.port();
        listeners.push(listener);
    }
    Ok(ports)
}
