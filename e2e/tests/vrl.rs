//! `vector/inotrail.vrl`, run by the crate that Vector is built with, on events of the real encoder in the shape of Vector's source.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use e2e::tools;
use inotrail::config::choice::TraceOutput;
use inotrail::container::{Container, File, Origin, Pod};
use inotrail::event::{Access, Backend, Event, Node};
use inotrail::loss::{Counts, Loss};
use inotrail::metrics::Dropped;
use inotrail::policy::rule::Action;
use inotrail::policy::scope::Subject;
use inotrail::policy::{Judgement, PolicySet, document};
use inotrail::process::Process;
use inotrail::sink::Sink;
use inotrail::stopped::Stopped;
use inotrail_ebpf::{Header, kind, mask};
use serde_json::{Value, json};
use zerocopy::FromZeros as _;

const POLICY: &str = "apiVersion: inotrail.dev/v1alpha1\nkind: ClusterFileAccessPolicy\nmetadata: {name: shadow}\n\
    spec: {rules: [{name: read, paths: ['/**'], severity: high, action: violation}]}\n";

fn vector(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../vector").join(name)
}

fn sink(out: &mut Vec<u8>) -> Sink<&mut Vec<u8>> {
    let node = Node { name: "node-1".into(), cluster: "prod".into(), host: "h".into(), stream_id: "run-1".into() };
    Sink::new(out, TraceOutput::Vector, node, false, None)
}

fn pod() -> Arc<Container> {
    let origin = Origin::Container { id: "c1".into(), name: "web".into(), runtime: "containerd", resolved: true };
    let pod = Pod { namespace: "shop".into(), name: "web-7d4b9".into(), uid: "u".into(), details: None };
    Arc::new(Container::default().update(origin, Some(pod), None))
}

/// The event of an access, or of a violation, as Vector's source would give it.
fn access(container: &Arc<Container>, result: i32, judgement: Option<Judgement<'_>>) -> Value {
    let header = Header { kind: kind::ACCESS, mask: mask::OPEN | mask::READ, tgid: 7, result, ..Header::new_zeroed() };
    let process = Process { executable: b"/bin/cat".as_slice().into(), ..Process::default() };
    let access = Access { path: b"/etc/shadow", ..Access::of(&header) };
    let event = Event {
        time_ns: 1_795_260_645_123_456_789,
        observed_ns: 1_795_260_645_128_000_000,
        access,
        process: &process,
        process_start_ns: 0,
        container,
        file: File::default(),
        judgement,
        backend: Backend::Fexit,
        sequence: 7,
        count: 3,
        processes: 0,
        last_ns: 0,
    };
    let mut out = Vec::new();
    sink(&mut out).write(&event).unwrap();
    serde_json::from_slice(&out).unwrap()
}

fn violation(container: &Arc<Container>) -> Value {
    let set = PolicySet::new(document::read(POLICY).0.into_iter().map(Arc::new));
    let matched: Vec<_> = set.select(&Subject::Container { name: "", image: "", pod: None }).indexes().collect();
    access(container, 0, Some(Judgement { set: &set, rule: matched[0], action: Action::Violation, matched: &matched }))
}

fn loss(container: &Arc<Container>, reason: Dropped, counts: Option<Counts>) -> Value {
    let (start_ns, end_ns) = (1_795_260_635_000_000_000, 1_795_260_645_000_000_000);
    let mut out = Vec::new();
    let loss = Loss {
        reason,
        container,
        destination: None,
        run: None,
        owed: 0,
        counts,
        start_ns,
        end_ns,
        observed_ns: end_ns,
        sequence: 2,
    };
    sink(&mut out).write_loss(&loss).unwrap();
    serde_json::from_slice(&out).unwrap()
}

fn stopped(container: &Arc<Container>) -> Value {
    let mut out = Vec::new();
    sink(&mut out).write_stopped(&Stopped { container, events: 7, losses: 2, time_ns: 1 }).unwrap();
    serde_json::from_slice(&out).unwrap()
}

/// What the program makes of an event.
fn run(event: &Value) -> Value {
    let mut command = Command::new(tools::vrl().unwrap().join("vrl-events"));
    command.arg(vector("inotrail.vrl")).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    writeln!(child.stdin.take().unwrap(), "{event}").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The program adds these members, and neither changes nor takes anything.
#[track_caller]
fn check(event: &Value, added: &Value) {
    let mut expected = event.as_object().unwrap().clone();
    expected.extend(added.as_object().unwrap().clone());
    let found = run(event);
    assert_eq!(found, Value::Object(expected), "left: of {event:#}");
}

#[test]
fn accesses_and_violations() {
    let pod = pod();
    let mut expected = json!({
        "event_name": "inotrail.file.access",
        "kind": "access",
        "severity_text": "INFO",
        "count": 3,
        "node": "node-1",
        "namespace": "shop",
        "pod": "web-7d4b9",
        "container": "web",
        "path": "/etc/shadow",
        "operation": "open",
        "outcome": "success",
        "executable": "/bin/cat",
        "id": "run-1/c1/inotrail.file.access/7",
    });
    check(&access(&pod, 0, None), &expected);
    expected["outcome"] = "failure".into();
    check(&access(&pod, -13, None), &expected);
    let judged = json!({ "kind": "violation", "severity_text": "ERROR", "policy": "shadow", "rule": "read", "outcome": "success" });
    expected.as_object_mut().unwrap().extend(judged.as_object().unwrap().clone());
    check(&violation(&pod), &expected);
}

#[test]
fn the_host_has_no_pod() {
    let found = run(&access(&Arc::new(Container::new(Origin::Unit("sshd.service".into()))), 0, None));
    assert_eq!((&found["id"], &found["node"]), (&"run-1/sshd.service/inotrail.file.access/7".into(), &"node-1".into()));
    for absent in ["namespace", "pod", "container", "policy", "reason"] {
        assert!(found.get(absent).is_none(), "{absent} in {found:#}");
    }
}

#[test]
fn losses_and_ends() {
    let told = |reason: &str, who: &str| {
        json!({
            "event_name": "inotrail.exporter.loss",
            "kind": "loss",
            "severity_text": "WARN",
            "node": "node-1",
            "reason": reason,
            "id": format!("run-1/{who}/inotrail.exporter.loss/2"),
        })
    };
    let mut expected = told("ring_full", "c1");
    let of_pod = json!({ "count": 12, "namespace": "shop", "pod": "web-7d4b9", "container": "web" });
    expected.as_object_mut().unwrap().extend(of_pod.as_object().unwrap().clone());
    check(&loss(&pod(), Dropped::RingFull, Some(Counts { count: 12, total: 30, records: 0 })), &expected);
    // Of what nobody could count there is no number.
    let exporter = Arc::new(Container::new(Origin::Exporter));
    check(&loss(&exporter, Dropped::Detached, None), &told("detached", "inotrail"));
    let end = json!({
        "event_name": "inotrail.exporter.stopped",
        "kind": "stopped",
        "severity_text": "INFO",
        "node": "node-1",
        "id": "run-1/inotrail/inotrail.exporter.stopped/1",
    });
    check(&stopped(&exporter), &end);
}

#[test]
fn events_of_others_pass_as_they_are() {
    for other in [
        json!({ "message": "x", "source_type": "opentelemetry" }),
        json!({ "message": null, "attributes": { "otel.event.name": "other.event", "path": null } }),
        json!({ "attributes": 7, "resources": [] }),
        json!({ "attributes": { "otel.event.name": 7 } }),
    ] {
        check(&other, &json!({}));
    }
}

/// Vector itself is not run: inputs are there, outputs are used, and the program is the one that was tested.
#[test]
fn the_configuration_fits_together() {
    let text = fs::read_to_string(vector("vector.yaml")).unwrap();
    let config: Value = serde_saphyr::from_str(&text).unwrap();
    let keys = |part: &str| -> Vec<String> { config[part].as_object().unwrap().keys().cloned().collect() };
    assert_eq!(
        (keys("sources"), config["sources"]["inotrail"]["type"].as_str()),
        (vec!["inotrail".into()], Some("opentelemetry"))
    );
    assert!(config["sources"]["inotrail"]["use_otlp_decoding"].is_null(), "another shape");
    assert_eq!(config["transforms"]["events"]["file"], "${INOTRAIL_VRL:-inotrail.vrl}");
    let routes = config["transforms"]["by_kind"]["route"].as_object().unwrap();
    let outputs: Vec<String> = ["inotrail.logs".to_owned(), "events".to_owned()]
        .into_iter()
        .chain(routes.keys().map(|name| format!("by_kind.{name}")))
        .collect();
    let mut used = Vec::new();
    for (part, name) in
        ["transforms", "sinks"].into_iter().flat_map(|part| keys(part).into_iter().map(move |name| (part, name)))
    {
        let it = &config[part][&name];
        used.extend(it["inputs"].as_array().unwrap().iter().map(|input| input.as_str().unwrap().to_owned()));
        if part == "sinks" {
            assert_eq!(it["acknowledgements"]["enabled"], true, "{name}: or exporters forget what is not written yet");
        }
    }
    assert!(used.iter().all(|input| outputs.contains(input)), "{used:?} of {outputs:?}");
    assert!(outputs.iter().all(|output| used.contains(output)), "{outputs:?} by {used:?}");
    let readme = fs::read_to_string(vector("README.md")).unwrap();
    let variables: Vec<&str> = text.split("${").skip(1).map(|rest| rest.split(":-").next().unwrap()).collect();
    assert!(variables.len() == 5 && variables.iter().all(|name| readme.contains(name)), "{variables:?}");
}
