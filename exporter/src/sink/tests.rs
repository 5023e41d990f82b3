use std::sync::Arc;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use prost::Message as _;
use serde_json::{Value, json};

use super::*;
use crate::container::{Container, Origin};
use crate::event::Event;
use crate::otlp::Encoder;
use crate::process::Process;
use crate::sink::sample::{self, Judged, Sample};

fn written(output: TraceOutput, sample: &Sample) -> String {
    let mut out = Vec::new();
    let mut sink = Sink::new(&mut out, output, sample::node(), false, None);
    sample.with(|event| sink.write(event)).expect("write");
    String::from_utf8(out).expect("UTF-8")
}

fn object(output: TraceOutput, sample: &Sample) -> Value {
    let text = written(output, sample);
    assert_eq!(text.matches('\n').count(), 1, "one line: {text}");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn json_is_flat_and_named_as_otlp_names_it() {
    let value = object(TraceOutput::Json, &Sample { result: -13, ..Sample::default() });
    for (name, expected) in [
        ("time", json!("2026-11-21T11:30:45.123456789Z")),
        ("observed_time", json!("2026-11-21T11:30:45.128Z")),
        ("severity_number", json!(10)),
        ("body", json!("python3[1234] failed to open /etc/passwd for reading: EACCES")),
        ("otel.event.name", json!("inotrail.file.access")),
        ("file.path", json!("/etc/passwd")),
        ("inotrail.file.operation", json!("open")),
        ("error.type", json!("EACCES")),
        ("process.pid", json!(1234)),
        ("process.vpid", json!(12)),
        ("inotrail.process.ancestors", json!("1200:/bin/sh // 7:/usr/bin/containerd-shim-runc-v2")),
        ("inotrail.process.session", json!("exec")),
        ("process.command_args", json!(["python3", "-c", ""])),
        ("inotrail.process.arguments_truncated", Value::Null),
        ("inotrail.stream.sequence", json!(7)),
        ("k8s.namespace.name", json!("shop")),
        ("k8s.node.name", json!("node-1")),
        ("container.image.tags", json!(["3.14"])),
    ] {
        assert_eq!(value[name], expected, "{name} in {value}");
    }
    assert!(value.as_object().expect("object").values().all(|member| !member.is_object() && !member.is_null()));
    let cut = Process { arguments: b"sh\0-".as_slice().into(), ..Sample::default().process };
    let value = object(TraceOutput::Json, &Sample { process: cut, ..Sample::default() });
    assert_eq!(value["process.command_args"], json!(["sh", "-"]));
    assert_eq!(value["inotrail.process.arguments_truncated"], json!(true));
}

#[test]
fn no_session_outside_of_containers() {
    let origin = |id: &str| Origin::Container { id: id.into(), name: String::new(), runtime: "", resolved: false };
    for (origin, expected) in [(Origin::Host, Value::Null), (origin(""), Value::Null), (origin("0"), json!("exec"))] {
        let sample = Sample { container: Arc::new(Container::new(origin)), ..Sample::default() };
        assert_eq!(object(TraceOutput::Json, &sample)["inotrail.process.session"], expected);
    }
}

#[test]
fn otlp_json_follows_the_rules_of_its_encoding() {
    let value = object(TraceOutput::OtlpJson, &Sample::default());
    let logs = &value["resourceLogs"][0];
    let record = &logs["scopeLogs"][0]["logRecords"][0];
    assert_eq!(record["timeUnixNano"], "1795260645123456789");
    assert_eq!(record["severityNumber"], 9);
    assert_eq!(record["eventName"], "inotrail.file.access");
    assert_eq!(record["body"]["stringValue"], "python3[1234] opened /etc/passwd for reading");
    let find = |list: &Value, key| {
        list.as_array().expect("list").iter().find(|pair| pair["key"] == key).map(|pair| pair["value"].clone())
    };
    assert_eq!(find(&record["attributes"], "process.pid"), Some(json!({ "intValue": "1234" })));
    let tags = json!({ "arrayValue": { "values": [{ "stringValue": "3.14" }] } });
    assert_eq!(find(&logs["resource"]["attributes"], "container.image.tags"), Some(tags));
    assert_eq!(logs["scopeLogs"][0]["scope"]["name"], "inotrail");
    // Read back by the crate's own reader of OTLP/JSON, it is the message that would be sent.
    let read: ExportLogsServiceRequest = serde_json::from_value(value).expect("OTLP/JSON");
    let one = batch::Limits { records: 1, bytes: batch::REQUEST_MAX, age: Duration::ZERO, interval: Duration::ZERO };
    let sent = Sample::default()
        .with(|event| Batch::new(one, sample::node()).push(&mut Encoder::new(&sample::node()), event, 0))
        .expect("request");
    assert_eq!(read.encode_to_vec(), sent.body);
}

#[test]
fn vector_has_the_legacy_shape() {
    let value = object(TraceOutput::Vector, &Sample::default());
    let names: Vec<&str> = value.as_object().expect("object").keys().map(String::as_str).collect();
    let expected = [
        "attributes",
        "message",
        "observed_timestamp",
        "resources",
        "scope",
        "severity_number",
        "source_type",
        "timestamp",
    ];
    assert_eq!(names, expected);
    assert_eq!(value["message"], "python3[1234] opened /etc/passwd for reading");
    assert_eq!(value["attributes"]["otel.event.name"], "inotrail.file.access");
    assert_eq!(value["attributes"]["process.pid"], 1234);
    assert_eq!(value["attributes"]["process.command_args"], json!(["python3", "-c", ""]));
    assert_eq!(value["resources"]["k8s.pod.name"], "web-7d4b9");
    assert_eq!(value["scope"], json!({ "name": "inotrail", "version": env!("CARGO_PKG_VERSION") }));
    assert_eq!(value["timestamp"], "2026-11-21T11:30:45.123456789Z");
    assert_eq!(value["observed_timestamp"], "2026-11-21T11:30:45.128Z");
    assert_eq!(value["source_type"], "opentelemetry");
}

#[test]
fn json_to_a_terminal_is_harmless() {
    let sample = Sample { path: "/tmp/\u{1b}]0;x\u{7}\u{9b}\u{202e}\n".as_bytes().to_vec(), ..Sample::default() };
    for output in [TraceOutput::Json, TraceOutput::OtlpJson, TraceOutput::Vector] {
        let text = written(output, &sample);
        assert!(!text.trim_end().chars().any(|c| c.is_control() || c == '\u{202e}'), "{text:?}");
    }
    let value = object(TraceOutput::Json, &sample);
    assert_eq!(value["file.path"], "/tmp/\u{1b}]0;x\u{7}\u{9b}\u{202e}\n");
}

#[test]
fn events_do_not_mix() {
    let mut out = Vec::new();
    let mut sink = Sink::new(&mut out, TraceOutput::Json, sample::node(), false, None);
    for sample in [Sample::default(), Sample::host(), Sample::default()] {
        sample.with(|event| sink.write(event)).expect("write");
    }
    let lines: Vec<Value> =
        out.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    let pods: Vec<&Value> = lines.iter().map(|line| &line["k8s.pod.name"]).collect();
    assert_eq!(pods, [&json!("web-7d4b9"), &Value::Null, &json!("web-7d4b9")]);
}

#[test]
fn losses_go_everywhere() {
    let written = |output| {
        let mut out = Vec::new();
        let mut sink = Sink::new(&mut out, output, sample::node(), false, None);
        sink.write_loss(&sample::loss(&Sample::default().container)).expect("write");
        String::from_utf8(out).expect("UTF-8")
    };
    let flat: Value = serde_json::from_str(&written(TraceOutput::Json)).expect("JSON");
    assert_eq!((&flat["body"], &flat["severity_number"]), (&json!("12 accesses lost: ring_full"), &json!(13)));
    assert_eq!((&flat["inotrail.loss.count"], &flat["inotrail.loss.upper_bound"]), (&json!(12), &json!(false)));
    assert_eq!(flat["k8s.pod.name"], "web-7d4b9");
    let otlp: Value = serde_json::from_str(&written(TraceOutput::OtlpJson)).expect("JSON");
    assert_eq!(otlp["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["eventName"], "inotrail.exporter.loss");
    let vector: Value = serde_json::from_str(&written(TraceOutput::Vector)).expect("JSON");
    assert_eq!(vector["attributes"]["otel.event.name"], "inotrail.exporter.loss");
    let table = written(TraceOutput::Table);
    let line = table.lines().nth(1).expect("line");
    assert!(
        line.contains("shop/web-7d4b9/web") && line.ends_with("lost             12 accesses lost: ring_full"),
        "{line}"
    );
}

#[test]
fn counted_accesses_have_no_process() {
    let counted = Sample {
        path: vec![],
        requested: vec![],
        tgid: 0,
        count: 12,
        last_ns: 1_795_260_646_000_000_000,
        ..Sample::default()
    };
    let value = object(TraceOutput::Json, &counted);
    assert_eq!(value["body"], "opened an unknown file for reading x12");
    assert_eq!(value["inotrail.aggregation.last_time"], "2026-11-21T11:30:46.000Z");
    for absent in [
        "process.pid",
        "process.vpid",
        "inotrail.process.ancestors",
        "process.command_args",
        "process.user.id",
        "file.path",
        "inotrail.file.confidence",
    ] {
        assert!(value[absent].is_null(), "{absent}");
    }
}

#[test]
fn labels_of_rules_go_everywhere() {
    let judged = Judged::new();
    let written = |output| {
        let mut out = Vec::new();
        let mut sink = Sink::new(&mut out, output, sample::node(), false, None);
        let judgement = Some(judged.judgement());
        Sample::default().with(|event| sink.write(&Event { judgement, ..*event })).expect("write");
        serde_json::from_slice::<Value>(&out).expect("JSON")
    };
    let label = "inotrail.policy.label.team";
    assert_eq!(written(TraceOutput::Json)[label], "shop");
    assert_eq!(written(TraceOutput::Vector)["attributes"][label], "shop");
    let otlp = written(TraceOutput::OtlpJson);
    let attributes = &otlp["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["attributes"];
    let expected = json!({"key": label, "value": {"stringValue": "shop"}});
    assert!(attributes.as_array().expect("a list").contains(&expected), "{attributes}");
}

#[test]
fn the_end_of_a_run_is_where_receivers_see_it() {
    let written = |output| {
        let mut out = Vec::new();
        let mut sink = Sink::new(&mut out, output, sample::node(), false, None);
        let container = Arc::new(Container::new(Origin::Exporter));
        sink.write_stopped(&Stopped { container: &container, events: 7, losses: 2, time_ns: 1 }).expect("write");
        String::from_utf8(out).expect("UTF-8")
    };
    let otlp: Value = serde_json::from_str(&written(TraceOutput::OtlpJson)).expect("JSON");
    let record = &otlp["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0];
    assert_eq!(record["eventName"], "inotrail.exporter.stopped");
    assert_eq!(record["body"]["stringValue"], "stopped after 7 events and 2 losses");
    let vector: Value = serde_json::from_str(&written(TraceOutput::Vector)).expect("JSON");
    assert_eq!(vector["attributes"]["inotrail.exporter.events"], 7);
    for output in [TraceOutput::Table, TraceOutput::Json] {
        assert_eq!(written(output), "");
    }
}

/// What a destination is given, in one request, is written as `trace` prints it.
#[test]
fn requests_are_the_same_lines() {
    let judged = Judged::new();
    let limits = batch::Limits { records: 100, bytes: batch::REQUEST_MAX, age: Duration::MAX, interval: Duration::MAX };
    for (output, form) in [
        (TraceOutput::Json, choice::Form::Json),
        (TraceOutput::OtlpJson, choice::Form::OtlpJson),
        (TraceOutput::Vector, choice::Form::Vector),
    ] {
        // Of one container: a request has them by container.
        let cut = Process { arguments: b"sh\0-".as_slice().into(), ..Sample::default().process };
        let container = Sample::default().container;
        let samples = [
            Sample::default(),
            Sample { result: -13, container: Arc::clone(&container), ..Sample::default() },
            Sample { path: "/tmp/\u{1b}\u{202e}\n".into(), container: Arc::clone(&container), ..Sample::default() },
            Sample { process: cut, container: Arc::clone(&container), ..Sample::default() },
            Sample { tgid: 0, count: 12, last_ns: 1_795_260_646_000_000_000, container, ..Sample::default() },
            Sample::host(),
        ];
        let (mut printed, mut written) = (Vec::new(), Vec::new());
        let mut sink = Sink::new(&mut printed, output, sample::node(), false, None);
        let (mut batch, mut encoder) = (Batch::new(limits, sample::node()), Encoder::new(&sample::node()));
        let mut one = |event: &Event<'_>| {
            sink.write(event).expect("print");
            assert_eq!(batch.push(&mut encoder, event, 0), None);
        };
        samples[0].with(|event| one(&Event { judgement: Some(judged.judgement()), ..*event }));
        for sample in &samples {
            sample.with(&mut one);
        }
        let loss = sample::loss(&samples[5].container);
        sink.write_loss(&loss).expect("print");
        assert_eq!(batch.push_loss(&encoder, &loss, 0), None);
        let request = batch.take().expect("a request").body;
        lines::write(form, &request, &mut written).expect("write");
        let (printed, written) = [printed, written].map(|text| String::from_utf8(text).expect("UTF-8")).into();
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let (mut printed, mut written) = (lines(&printed), lines(&written));
        if form == choice::Form::OtlpJson {
            // All of a request is one line: taken apart, those of one record each.
            assert_eq!(written.len(), 1);
            written = apart(&written[0]);
        }
        assert_eq!(printed.len(), 8);
        printed.sort();
        written.sort();
        assert_eq!(printed, written);
    }
}

/// The lines of a request of several records, one each.
fn apart(line: &str) -> Vec<String> {
    let request: Value = serde_json::from_str(line).expect("JSON");
    let mut lines = Vec::new();
    for logs in request["resourceLogs"].as_array().expect("a list") {
        for record in logs["scopeLogs"][0]["logRecords"].as_array().expect("a list") {
            let mut logs = logs.clone();
            logs["scopeLogs"][0]["logRecords"] = json!([record]);
            let mut line = Vec::new();
            let request = json!({ "resourceLogs": [logs] });
            serde::Serialize::serialize(&request, &mut serde_json::Serializer::with_formatter(&mut line, Escape))
                .expect("JSON");
            lines.push(String::from_utf8(line).expect("UTF-8"));
        }
    }
    lines
}
