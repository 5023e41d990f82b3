//! What is known to be in Loki: `workload.json`, encoded as the exporter does.

use std::collections::BTreeMap;
use std::sync::Arc;

use e2e::stack::Stack;
use inotrail::batch::{Batch, Limits};
use inotrail::container::{Container, File, Object, Origin, Owner, OwnerKind, Pod, PodDetails};
use inotrail::event::{Access, Backend, Event, Node};
use inotrail::loss::{Counts, Loss};
use inotrail::metrics::Dropped;
use inotrail::otlp::Encoder;
use inotrail::policy::rule::Action;
use inotrail::policy::scope::Subject;
use inotrail::policy::{Judgement, PolicySet, document};
use inotrail::process::Process;
use inotrail_ebpf::{Header, RESULT_UNKNOWN, kind, mask};
use serde::Deserialize;
use zerocopy::FromZeros as _;

#[derive(Deserialize)]
struct Workload {
    pods: BTreeMap<String, PodOf>,
    accesses: Vec<Accesses>,
    losses: Vec<Lost>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PodOf {
    namespace: String,
    pod: String,
    container: String,
    node: String,
    deployment: Option<String>,
    statefulset: Option<String>,
    daemonset: Option<String>,
}

/// One record, or as many as there are `files`, whose numbers end their paths.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Accesses {
    /// Seconds since the start of the hour.
    at: u64,
    /// A pod, or `unit:` and a unit of the host.
    by: String,
    #[serde(default)]
    node: String,
    /// Without one, accesses that were only counted.
    #[serde(default)]
    path: String,
    #[serde(default)]
    executable: String,
    #[serde(default)]
    user: u32,
    #[serde(default)]
    operation: String,
    #[serde(default)]
    mode: String,
    #[serde(default)]
    errno: i32,
    #[serde(default)]
    result: String,
    #[serde(default = "one")]
    count: u64,
    #[serde(default)]
    session: bool,
    /// Kind, name, key.
    object: Option<(String, String, String)>,
    /// Policy, rule, severity, action.
    rule: Option<(String, String, String, String)>,
    #[serde(default = "one")]
    files: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lost {
    at: u64,
    by: String,
    #[serde(default)]
    node: String,
    reason: String,
    count: Option<u64>,
    destination: Option<String>,
}

fn one() -> u64 {
    1
}

/// Sends all of it to the Collector, as of the hour that starts then; how many records that were.
pub(crate) fn send(stack: &Stack, start_ns: u64) -> usize {
    let workload: Workload = serde_json::from_str(include_str!("workload.json")).unwrap();
    let pods = workload.pods.iter().map(|(name, pod)| (name.as_str(), (pod.node.as_str(), container(name, pod))));
    let mut who: BTreeMap<&str, (&str, Arc<Container>)> = pods.collect();
    let mut requests = Vec::new();
    for accesses in &workload.accesses {
        let (node, container) = actor(&mut who, &accesses.by, &accesses.node);
        let (mut batch, mut encoder) = batch(node);
        let time_ns = start_ns + accesses.at * 1_000_000_000;
        for file in 0..accesses.files {
            let path = if accesses.files > 1 { format!("{}{file}", accesses.path) } else { accesses.path.clone() };
            push((&mut batch, &mut encoder), accesses, &path, &container, time_ns + file * 1000);
        }
        requests.push((batch.take().unwrap(), accesses.files));
    }
    for (number, loss) in workload.losses.iter().enumerate() {
        let (node, container) = actor(&mut who, &loss.by, &loss.node);
        let (mut batch, encoder) = batch(node);
        let time_ns = start_ns + loss.at * 1_000_000_000;
        push_loss((&mut batch, &encoder), loss, &container, time_ns, number as u64 + 1);
        requests.push((batch.take().unwrap(), 1));
    }
    let url = format!("{}/v1/logs", stack.otlp_http_endpoint);
    for (request, _) in &requests {
        ureq::post(&url).header("content-type", "application/x-protobuf").send(&request.body[..]).unwrap();
    }
    requests.iter().map(|(_, records)| *records as usize).sum()
}

fn batch(node: &str) -> (Batch, Encoder) {
    let stream_id = format!("run-of-{node}");
    let node = Node { name: node.into(), cluster: "prod".into(), stream_id, ..Node::default() };
    let limits = Limits {
        records: 10_000,
        bytes: usize::MAX,
        age: std::time::Duration::MAX,
        interval: std::time::Duration::MAX,
    };
    let encoder = Encoder::new(&node);
    (Batch::new(limits, node), encoder)
}

fn container(name: &str, of: &PodOf) -> Arc<Container> {
    let owners = [
        (OwnerKind::Deployment, &of.deployment),
        (OwnerKind::StatefulSet, &of.statefulset),
        (OwnerKind::DaemonSet, &of.daemonset),
    ];
    let owners = owners.into_iter().filter_map(|(kind, name)| Some(Owner { kind, name: name.clone()? })).collect();
    let details = Some(Arc::new(PodDetails { owners, ..PodDetails::default() }));
    let pod = Pod { namespace: of.namespace.clone(), name: of.pod.clone(), uid: format!("{name}-uid"), details };
    let (id, name) = (format!("{name}-id"), of.container.clone());
    let origin = Origin::Container { id, name, runtime: "containerd", resolved: true };
    Arc::new(Container::default().update(origin, Some(pod), None))
}

/// A pod's container and its node; a unit, or the exporter, of the given node.
fn actor<'a>(
    who: &mut BTreeMap<&str, (&'a str, Arc<Container>)>,
    by: &str,
    node: &'a str,
) -> (&'a str, Arc<Container>) {
    if let Some((node, container)) = who.get(by) {
        return (node, Arc::clone(container));
    }
    let origin = by.strip_prefix("unit:").map_or(Origin::Exporter, |unit| Origin::Unit(unit.into()));
    (node, Arc::new(Container::new(origin)))
}

fn header(accesses: &Accesses) -> Header {
    let mode = match accesses.mode.as_str() {
        "" | "read" => mask::READ,
        "write" => mask::WRITE,
        "read_write" => mask::READ | mask::WRITE,
        other => panic!("mode {other}"),
    };
    let mask = match accesses.operation.as_str() {
        "" => mask::OPEN | mode,
        "create" => mask::OPEN | mask::CREATED | mode,
        "execute" => mask::EXEC,
        other => panic!("operation {other}"),
    };
    let mut header = Header { kind: kind::ACCESS, mask, ..Header::new_zeroed() };
    header.result = if accesses.result == "unknown" { RESULT_UNKNOWN } else { -accesses.errno };
    (header.uid, header.euid) = (accesses.user, accesses.user);
    if !accesses.path.is_empty() {
        header.tgid = 7;
        let name = accesses.executable.rsplit('/').next().unwrap().as_bytes();
        let length = name.len().min(15);
        header.comm[..length].copy_from_slice(&name[..length]);
    }
    header
}

fn push(
    (batch, encoder): (&mut Batch, &mut Encoder),
    accesses: &Accesses,
    path: &str,
    container: &Arc<Container>,
    time_ns: u64,
) {
    let header = header(accesses);
    let executable = accesses.executable.as_bytes().into();
    let process = Process { executable, session: accesses.session, ..Process::default() };
    let object = accesses.object.as_ref().map(|(kind, name, key)| Object {
        kind: ["Secret", "ServiceAccount"].into_iter().find(|known| known == kind).unwrap(),
        name,
        key: key.as_bytes(),
    });
    let set = accesses.rule.as_ref().map(|(policy, rule, severity, action)| {
        let text = format!(
            "apiVersion: inotrail.dev/v1alpha1\nkind: ClusterFileAccessPolicy\nmetadata: {{name: {policy}}}\nspec: {{rules: \
             [{{name: {rule}, paths: ['/**'], severity: {severity}, action: {action}}}]}}\n"
        );
        PolicySet::new(document::read(&text).0.into_iter().map(Arc::new))
    });
    let subject = Subject::Container { name: "", image: "", pod: None };
    let matched: Vec<_> = set.iter().flat_map(|set| set.select(&subject).indexes().collect::<Vec<_>>()).collect();
    let violates = accesses.rule.as_ref().is_some_and(|rule| rule.3 == "violation");
    let action = if violates { Action::Violation } else { Action::Record };
    let event = Event {
        time_ns,
        observed_ns: time_ns,
        access: Access { path: path.as_bytes(), ..Access::of(&header) },
        process: &process,
        process_start_ns: 0,
        container,
        file: File { object, ..File::default() },
        judgement: set.as_ref().map(|set| Judgement { set, rule: matched[0], action, matched: &matched }),
        backend: Backend::Fexit,
        sequence: container.next_sequence(),
        count: accesses.count,
        processes: 0,
        last_ns: if path.is_empty() { time_ns + 1_000_000_000 } else { 0 },
    };
    assert!(batch.push(encoder, &event, 0).is_none(), "a batch is full");
}

fn push_loss(
    (batch, encoder): (&mut Batch, &Encoder),
    loss: &Lost,
    container: &Arc<Container>,
    time_ns: u64,
    sequence: u64,
) {
    let loss = Loss {
        reason: Dropped::ALL.into_iter().find(|reason| reason.as_str() == loss.reason).unwrap(),
        container,
        destination: loss.destination.as_deref(),
        run: None,
        owed: 0,
        counts: loss.count.map(|count| Counts { count, total: count, records: 0 }),
        start_ns: time_ns - 10_000_000_000,
        end_ns: time_ns,
        observed_ns: time_ns,
        sequence,
    };
    assert!(batch.push_loss(encoder, &loss, 0).is_none(), "a batch is full");
}
