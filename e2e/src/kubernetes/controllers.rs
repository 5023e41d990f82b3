//! What makes pods and puts them on nodes: the controller manager and the scheduler.

use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;

use super::ApiServer;
use crate::daemon::Daemon;
use crate::tools;

const READY: Duration = Duration::from_secs(120);

/// The running controller manager and scheduler; dropping this stops both.
pub struct Controllers {
    _manager: Daemon,
    _scheduler: Daemon,
}

impl Controllers {
    /// Starts both beside an API server; returns when the first service account was made.
    ///
    /// # Errors
    /// One of them does not start.
    pub fn start(api: &ApiServer) -> Result<Self> {
        let (path, programs, place) = (api.path(), tools::kubernetes()?, api.serves.place);
        let user = |name: &str| api.authority.kubeconfig(&api.url, name, &format!("system:{name}"), None);
        let mut manager = place.command(programs.join("kube-controller-manager"));
        manager.arg("--kubeconfig").arg(user("kube-controller-manager")?).arg("--root-ca-file");
        manager.arg(&api.authority.certificate).arg("--service-account-private-key-file").arg(path.join("account.key"));
        manager.args(["--use-service-account-credentials=true", "--leader-elect=false", "--bind-address=127.0.0.1"]);
        let mut manager = Daemon::start("kube-controller-manager", &mut manager, path, None)?;
        let mut scheduler = place.command(programs.join("kube-scheduler"));
        scheduler.arg("--kubeconfig").arg(user("kube-scheduler")?);
        scheduler.args(["--leader-elect=false", "--bind-address=127.0.0.1"]);
        let scheduler = Daemon::start("kube-scheduler", &mut scheduler, path, None)?;
        // Without it no pod is admitted.
        let accounts: Api<ServiceAccount> = Api::namespaced(api.client.clone(), "default");
        manager.wait_ready(READY, || api.runtime.block_on(accounts.get("default")).is_ok())?;
        Ok(Self { _manager: manager, _scheduler: scheduler })
    }
}
