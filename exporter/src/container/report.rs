//! Whether the sources of names work on this node, for `inotrail check`.

use std::io;
use std::path::Path;

use serde::Serialize;
use tokio::net::UnixStream;

use super::runtime::Runtime;
use super::source::is_socket;
use super::{ContainerConfig, MountReader, RuntimeConfig, Source};

/// What became of one source of names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SourceReport {
    /// Which, as metrics name it.
    pub source: &'static str,
    /// Its socket; empty where none was found.
    pub socket: String,
    /// It answers, or would be heard.
    pub works: bool,
    /// Why not, or what was not tried; empty when there is nothing to say.
    pub reason: String,
}

impl SourceReport {
    fn new(source: Source, socket: &Path, problem: Option<String>) -> Self {
        let (source, socket) = (source.as_str(), socket.display().to_string());
        Self { source, socket, works: problem.is_none(), reason: problem.unwrap_or_default() }
    }
}

/// Asks every configured source. Must be called inside a tokio runtime.
pub async fn check(config: &ContainerConfig) -> Vec<SourceReport> {
    let mut reports = Vec::new();
    match &config.runtime {
        Some(RuntimeConfig { api, socket, .. }) => {
            let problem = Runtime::connect(*api, socket).await.err().map(|error| error.to_string());
            reports.push(SourceReport::new(api.source(), socket, problem));
        }
        None if config.nri.is_none() && config.hook.is_none() => {
            let reason = "no runtime is asked, or none was found: name its socket with --runtime-socket".to_owned();
            reports.push(SourceReport { source: "none", socket: String::new(), works: false, reason });
        }
        None => {}
    }
    if let Some(socket) = &config.nri {
        let mut report = SourceReport::new(Source::Nri, socket, problem(socket));
        if report.works {
            "not tried: who connects and does not register holds others up".clone_into(&mut report.reason);
        }
        reports.push(report);
    }
    if let Some(socket) = &config.hook {
        let nobody = |error: io::Error| format!("no exporter listens there ({error}): start one with --hook-socket");
        reports.push(SourceReport::new(Source::Hook, socket, UnixStream::connect(socket).await.err().map(nobody)));
    }
    reports.push(mounts());
    reports
}

/// Whether volumes and owners of files can be told.
fn mounts() -> SourceReport {
    let problem = MountReader::new().err().map(|error| error.to_string());
    let (works, reason) = (problem.is_none(), problem.unwrap_or_default());
    SourceReport { source: "mounts", socket: String::new(), works, reason }
}

/// What is wrong with the socket, as far as it is seen without connecting.
fn problem(socket: &Path) -> Option<String> {
    let is_there = is_socket(socket);
    (!is_there).then(|| "no socket is there: enable NRI in the runtime's configuration".to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::cgroup::Hierarchy;
    use super::super::source::Api;
    use super::*;

    #[tokio::test]
    async fn what_is_missing_is_named() {
        let nowhere = Path::new("/no/such.sock");
        let runtime = RuntimeConfig { api: Api::Cri, socket: nowhere.to_owned(), required: false };
        let mut config = ContainerConfig {
            hierarchy: Hierarchy::at(Path::new("/")),
            runtime: Some(runtime),
            hook: Some(nowhere.to_owned()),
            kube: None,
            nri: Some(nowhere.to_owned()),
            mounts: None,
            policies: None,
            filter: None,
            decoys: None,
            resolve_within: Duration::ZERO,
        };
        let shown = |mut reports: Vec<SourceReport>| {
            assert_eq!(reports.pop().map(|report| report.source), Some("mounts"));
            assert!(reports.iter().all(|report| !report.works && !report.reason.is_empty()), "{reports:?}");
            reports.iter().map(|report| report.source).collect::<Vec<_>>()
        };
        assert_eq!(shown(check(&config).await), ["cri", "nri", "oci-hook"]);
        (config.runtime, config.nri) = (None, None);
        assert_eq!(shown(check(&config).await), ["oci-hook"]);
        config.hook = None;
        assert_eq!(shown(check(&config).await), ["none"]);
    }
}
