//! A Kubernetes control plane of our own: the API server with etcd, and, where there are nodes, what runs pods on them.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use rcgen::KeyPair;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use crate::daemon::Daemon;
use crate::folder::Folder;
use crate::namespaces::Place;
use crate::{interrupt, tools};

mod certificates;
mod controllers;
mod lag;

pub use certificates::{Authority, Identity};
pub use controllers::Controllers;
pub use lag::Lag;

const READY: Duration = Duration::from_secs(120);
/// What [`ApiServer::calls`] reads.
const AUDIT: &str = "audit.log";
/// Of services; the first one is the API server's own.
const SERVICES: &str = "10.96.0.0/16";
const OWN_SERVICE: &str = "10.96.0.1";

/// A running API server; dropping this stops it and etcd.
pub struct ApiServer {
    /// How the user reaches it who may do everything.
    pub kubeconfig: PathBuf,
    /// A client of it.
    pub client: Client,
    /// Where the client runs.
    pub runtime: Runtime,
    /// The API server itself: it may be stopped and started again.
    pub daemon: Option<Daemon>,
    /// Who makes its users.
    pub authority: Authority,
    /// Its address: `https://…`.
    pub url: String,
    serves: Serves,
    _etcd: Daemon,
    folder: Folder,
}

/// Where an API server listens, and whom it is for.
#[derive(Clone, Copy, Debug)]
struct Serves {
    place: Place,
    address: Ipv4Addr,
    port: u16,
    etcd_port: u16,
    /// Whether there are kubelets, and controllers that make service accounts.
    nodes: bool,
}

impl ApiServer {
    /// Starts both on loopback, without nodes; returns when the API server is ready.
    ///
    /// # Errors
    /// It cannot be built, or does not start.
    pub fn start() -> Result<Self> {
        let [etcd_port, peer_port, port] = free_ports()?;
        let serves = Serves { place: Place::Here, address: Ipv4Addr::LOCALHOST, port, etcd_port, nodes: false };
        Self::serving(serves, peer_port, None)
    }

    /// Starts both where `place` says, at an address that nodes reach, with their files in `folder`.
    ///
    /// # Errors
    /// See [`Self::start`].
    pub fn for_nodes(place: Place, address: Ipv4Addr, folder: &Path) -> Result<Self> {
        Self::serving(Serves { place, address, port: 6443, etcd_port: 2379, nodes: true }, 2380, Some(folder))
    }

    fn serving(serves: Serves, peer_port: u16, folder: Option<&Path>) -> Result<Self> {
        interrupt::defer();
        let folder = Folder::new(folder)?;
        let path: &Path = folder.as_ref();
        let etcd = etcd(serves, peer_port, path)?;
        let account = KeyPair::generate()?;
        fs::write(path.join("account.key"), account.serialize_pem())?;
        fs::write(path.join("account.pub"), account.public_key_pem())?;
        let authority = Authority::new(&path.join("users"))?;
        let address = serves.address.to_string();
        // The second one is a proxy's.
        let names = [&address, "127.0.0.1", OWN_SERVICE, "kubernetes.default.svc"];
        authority.issue("server", "kube-apiserver", None, &names)?;
        let url = format!("https://{address}:{}", serves.port);
        let kubeconfig = authority.kubeconfig(&url, "admin", "admin", Some("system:masters"))?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let client = runtime.block_on(client(&kubeconfig))?;
        let mut this = Self { kubeconfig, client, runtime, daemon: None, authority, url, serves, _etcd: etcd, folder };
        this.run()?;
        Ok(this)
    }

    /// Starts the API server where it was stopped.
    ///
    /// # Errors
    /// It does not start.
    pub fn run(&mut self) -> Result<()> {
        let path: &Path = self.folder.as_ref();
        let Serves { place, address, port, etcd_port, nodes } = self.serves;
        let user = |name: &str| self.users().join(name);
        let mut server = place.command(tools::kubernetes()?.join("kube-apiserver"));
        server.arg(format!("--etcd-servers=http://127.0.0.1:{etcd_port}")).arg(format!("--bind-address={address}"));
        server.arg(format!("--secure-port={port}")).arg(format!("--service-cluster-ip-range={SERVICES}"));
        server.arg("--tls-cert-file").arg(user("server.crt")).arg("--tls-private-key-file").arg(user("server.key"));
        server.arg("--client-ca-file").arg(&self.authority.certificate);
        server.arg("--service-account-issuer=https://kubernetes.default.svc");
        server.arg("--service-account-key-file").arg(path.join("account.pub"));
        server.arg("--service-account-signing-key-file").arg(path.join("account.key"));
        if nodes {
            server.args(["--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction"]);
            server.args(["--allow-privileged=true", "--kubelet-preferred-address-types=InternalIP"]);
            server.arg("--audit-policy-file").arg(audit_policy(path)?).arg("--audit-log-path").arg(path.join(AUDIT));
            server.arg("--kubelet-certificate-authority").arg(&self.authority.certificate);
            server.arg("--kubelet-client-certificate").arg(user("admin.crt"));
            server.arg("--kubelet-client-key").arg(user("admin.key"));
        } else {
            // There is no controller that makes service accounts.
            server.arg("--disable-admission-plugins=ServiceAccount");
        }
        let mut daemon = Daemon::start("kube-apiserver", &mut server, path, None)?;
        let ready = || self.runtime.block_on(self.client.request_text(ready_request())).is_ok();
        daemon.wait_ready(READY, ready)?;
        self.daemon = Some(daemon);
        Ok(())
    }

    /// Calls of a service account (`NAMESPACE:NAME`) that it has answered, where it has nodes: each as the audit log has it.
    ///
    /// # Errors
    /// There is no such log.
    pub fn calls(&self, account: &str) -> Result<Vec<Value>> {
        let path = self.path().join(AUDIT);
        let log = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        // The last line may be half written.
        let calls = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let user = format!("system:serviceaccount:{account}");
        Ok(calls.filter(|call| call["user"]["username"] == *user).collect())
    }

    /// The folder of its users' files.
    #[must_use]
    pub fn users(&self) -> PathBuf {
        self.path().join("users")
    }

    /// Where it keeps its files and its log.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.as_ref()
    }
}

/// Who called what, of all that run as a service account.
fn audit_policy(folder: &Path) -> Result<PathBuf> {
    let rules = [
        json!({"level": "Metadata", "userGroups": ["system:serviceaccounts"], "omitStages": ["RequestReceived"]}),
        json!({"level": "None"}),
    ];
    let path = folder.join("audit.json");
    let policy = json!({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": rules});
    fs::write(&path, policy.to_string()).with_context(|| format!("write {}", path.display()))?;
    Ok(path)
}

fn etcd(serves: Serves, peer_port: u16, folder: &Path) -> Result<Daemon> {
    let (client_url, peer_url) =
        (format!("http://127.0.0.1:{}", serves.etcd_port), format!("http://127.0.0.1:{peer_port}"));
    let mut etcd = serves.place.command("etcd");
    etcd.arg("--data-dir").arg(folder.join("etcd"));
    etcd.args(["--listen-client-urls", &client_url, "--advertise-client-urls", &client_url]);
    etcd.args(["--listen-peer-urls", &peer_url, "--initial-advertise-peer-urls", &peer_url]);
    etcd.args(["--initial-cluster", &format!("default={peer_url}"), "--unsafe-no-fsync"]);
    Daemon::start("etcd", &mut etcd, folder, None).context("`make setup` installs etcd")
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
