//! The cluster's DNS: `CoreDNS` beside the API server, at the address that kubelets write into pods' `/etc/resolv.conf`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::network::Network;
use crate::daemon::Daemon;
use crate::kubernetes::ApiServer;
use crate::tools;

const READY: Duration = Duration::from_secs(60);

/// Starts it; returns when it answers.
pub(super) fn start(api: &ApiServer, network: &Network) -> Result<Daemon> {
    let (folder, address): (&Path, _) = (api.path(), network.control());
    let file = folder.join("Corefile");
    let kubeconfig = api.kubeconfig.display();
    let content = format!(
        ".:53 {{
    bind {address}
    errors
    ready {address}:8181
    kubernetes cluster.local {{
        kubeconfig {kubeconfig}
    }}
}}
"
    );
    fs::write(&file, content).with_context(|| format!("write {}", file.display()))?;
    let mut command = network.place().command(tools::coredns()?.join("coredns"));
    let mut daemon = Daemon::start("coredns", command.arg("-conf").arg(&file), folder, None)?;
    let url = format!("http://{address}:8181/ready");
    daemon.wait_ready(READY, || ureq::get(&url).call().is_ok())?;
    Ok(daemon)
}
