//! What the installed Collector and Loki do makes no records, each of which would make more.

use std::time::SystemTime;

use e2e::cluster::Release;
use e2e::interrupt;

use super::{LIMIT, NAMESPACE};

/// Everything is to be recorded, and nothing was but what workloads did: not of a pod of the release, and not of one whose name
/// had not come. Of an exporter's pod there is how its container started, and what was run in it, while another one recorded.
pub(super) fn makes_no_records(release: &Release<'_>, since: SystemTime) {
    let (loki, accesses) =
        (release.loki().unwrap(), r#"{service_name=~".+"} | otel_event_name="inotrail.file.access""#);
    let of = |whose: &str| loki.query(&format!("{accesses} | {whose}"), since).unwrap();
    let of_workloads = || of(&format!(r#"k8s_namespace_name="{NAMESPACE}""#));
    interrupt::wait_for("records of workloads", LIMIT, || Ok((!of_workloads().is_empty()).then_some(()))).unwrap();
    let others = of(&format!(r#"k8s_namespace_name!="{NAMESPACE}" | k8s_daemonset_name!="inotrail""#));
    let some: Vec<_> = others.iter().take(3).collect();
    assert!(others.is_empty(), "{} records of others, as {some:#?}", others.len());
}
