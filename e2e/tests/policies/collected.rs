//! What a Collector is given, as Loki has it from there.

use std::thread;
use std::time::{Duration, SystemTime};

use e2e::exporter::{self, Exporter};
use e2e::interrupt;
use e2e::stack::{Ports, Stack};

use super::{Bench, LIMIT, QUIET};

/// `inotrail run` on the node of the bench, and the Collector and the Loki behind it.
pub(super) struct Collected {
    // In this order they go: who writes before who is written to.
    exporter: Exporter,
    stack: Stack,
    _folder: tempfile::TempDir,
}

impl Collected {
    pub(super) fn start(bench: &Bench) -> Self {
        let stack = Stack::start(None, Ports::Free).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let node = &bench.cluster.nodes[0];
        let arguments = node.arguments(&bench.cluster.api.kubeconfig);
        let arguments: Vec<_> = arguments.iter().map(String::as_str).chain(["--kubernetes-policies"]).collect();
        let exporter = exporter::run(&node.containerd, &stack, folder.path(), &arguments).unwrap();
        Self { exporter, stack, _folder: folder }
    }

    /// Namespaces and paths of all records of the next [`QUIET`].
    pub(super) fn told(&self) -> Vec<(String, String)> {
        let start = SystemTime::now();
        thread::sleep(QUIET);
        let end = SystemTime::now();
        // A record may lie in the ring buffer for some milliseconds.
        thread::sleep(Duration::from_millis(200));
        let emitted = self.exporter.metric("inotrail_events_total").unwrap();
        interrupt::wait_for("delivery", LIMIT, || {
            Ok((self.exporter.metric("inotrail_events_delivered_total")? >= emitted).then_some(()))
        })
        .unwrap();
        let entries = self.stack.loki.query_range(r#"{service_name=~".+"}"#, start, end).unwrap();
        let text = |entry: &e2e::loki::Entry, key| entry.get(key).unwrap_or("-").to_owned();
        entries.iter().map(|entry| (text(entry, "k8s_namespace_name"), text(entry, "file_path"))).collect()
    }
}
