//! The request that a batch should be, built from opentelemetry-proto's structures.

use std::sync::Arc;

use inotrail::container::{Container, Origin};
use inotrail::event::{Event, Node};
use inotrail::loss::Loss;
use inotrail::stopped::Stopped;
use inotrail_ebpf::{kind, mask};
use jiff::Timestamp;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use prost::Message;

const SCHEMA: &str = "https://opentelemetry.io/schemas/1.42.0";

mod file;
mod policy;
mod resource;

use policy::severity;
use resource::resource;

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
}

#[derive(Default)]
struct Attributes(Vec<KeyValue>);

impl Attributes {
    /// Adds a string unless it is empty.
    fn string(&mut self, key: &str, value: impl Into<String>) {
        let value = value.into();
        if !value.is_empty() {
            self.0.push(attribute(key, Value::StringValue(value)));
        }
    }

    fn int(&mut self, key: &str, value: impl TryInto<i64>) {
        self.0.push(attribute(key, Value::IntValue(value.try_into().ok().unwrap())));
    }

    fn strings(&mut self, key: &str, values: &[String]) {
        if !values.is_empty() {
            let values = values.iter().map(|value| AnyValue { value: Some(Value::StringValue(value.clone())) });
            self.0.push(attribute(key, Value::ArrayValue(ArrayValue { values: values.collect() })));
        }
    }
}

/// The message that these bytes hold.
pub(crate) fn decode(body: &[u8]) -> ExportLogsServiceRequest {
    ExportLogsServiceRequest::decode(body).unwrap()
}

/// One request for these events, containers in order of their first event.
pub(crate) fn request(node: &Node, events: &[Event<'_>]) -> ExportLogsServiceRequest {
    let mut groups: Vec<(&Arc<Container>, Vec<LogRecord>)> = Vec::new();
    for event in events {
        match groups.iter_mut().find(|(container, _)| Arc::ptr_eq(container, event.container)) {
            Some((_, records)) => records.push(record(node, event)),
            None => groups.push((event.container, vec![record(node, event)])),
        }
    }
    let groups = groups.into_iter().map(|(container, records)| resource_logs(node, container, records));
    ExportLogsServiceRequest { resource_logs: groups.collect() }
}

fn resource_logs(node: &Node, container: &Container, log_records: Vec<LogRecord>) -> ResourceLogs {
    ResourceLogs {
        resource: Some(resource(node, container)),
        scope_logs: vec![ScopeLogs {
            scope: Some(InstrumentationScope {
                name: "inotrail".into(),
                version: env!("CARGO_PKG_VERSION").into(),
                ..Default::default()
            }),
            log_records,
            schema_url: SCHEMA.into(),
        }],
        schema_url: SCHEMA.into(),
    }
}

/// The event's names as text.
struct Names {
    path: String,
    target: String,
    requested: String,
    comm: String,
    executable: String,
    ancestors: String,
    arguments: String,
    escaped: bool,
}

fn names(event: &Event<'_>) -> Names {
    let comm = event.access.header.comm.split(|byte| *byte == 0).next().unwrap();
    let process = event.process;
    let ancestors = process.ancestors.iter().map(|one| [format!("{}:", one.tgid).as_bytes(), &one.executable].concat());
    let ancestors = ancestors.collect::<Vec<_>>().join(&b" // "[..]);
    let access = event.access;
    let raw = [access.path, access.target, access.requested, comm, &process.executable, &ancestors, &process.arguments];
    let escaped = raw.iter().any(|raw| str::from_utf8(raw).is_err());
    let [path, target, requested, comm, executable, ancestors, arguments] = raw.map(|raw| {
        if !escaped {
            return String::from_utf8(raw.to_vec()).unwrap();
        }
        let piece = |chunk: std::str::Utf8Chunk<'_>| {
            let invalid: Vec<_> = chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")).collect();
            chunk.valid().replace('\\', "\\\\") + &invalid.concat()
        };
        raw.utf8_chunks().map(piece).collect()
    });
    Names { path, target, requested, comm, executable, ancestors, arguments, escaped }
}

fn error(errno: u32) -> String {
    let symbols = [(1, "EPERM"), (2, "ENOENT"), (13, "EACCES"), (20, "ENOTDIR"), (40, "ELOOP"), (116, "ESTALE")];
    symbols.iter().find(|(number, _)| *number == errno).map_or(errno.to_string(), |(_, name)| (*name).into())
}

fn body(event: &Event<'_>, names: &Names, operation: &str, mode: &str) -> String {
    let header = event.access.header;
    let (before, errno) = match header.result {
        1 => ("asked to ", None),
        errno if errno < 0 => ("failed to ", Some(errno.unsigned_abs())),
        _ => ("", None),
    };
    let exchanged = header.flags & 2048 != 0;
    let (done, to_do, and) = match operation {
        "open" => ("opened", "open", "to"),
        "create" => ("created", "create", "to"),
        "execute" => ("executed", "execute", "to"),
        "delete" => ("deleted", "delete", "to"),
        "rename" if exchanged => ("exchanged", "exchange", "with"),
        "rename" => ("renamed", "rename", "to"),
        "link" => ("linked", "link", "as"),
        "symlink" => ("made the symbolic link", "make the symbolic link", "to"),
        "mkdir" => ("made the directory", "make the directory", "to"),
        "rmdir" => ("removed the directory", "remove the directory", "to"),
        "truncate" => ("truncated", "truncate", "to"),
        "chmod" => ("changed the mode of", "change the mode of", "to"),
        "chown" => ("changed the owner of", "change the owner of", "to"),
        "setxattr" => ("set an attribute of", "set an attribute of", "to"),
        "mmap_execute" => ("mapped", "map", "to"),
        other => panic!("{other}"),
    };
    let and = if exchanged && operation != "link" { "with" } else { and };
    let target = if names.target.is_empty() { String::new() } else { format!(" {and} {}", names.target) };
    let file = match (&*names.path, &*names.requested, header.inode) {
        ("", "", 0) => "an unknown file".to_owned(),
        ("", "", inode) => {
            format!("inode {inode} of device {}:{}", header.device / 1_048_576, header.device % 1_048_576)
        }
        ("", requested, _) => requested.to_owned(),
        (path, ..) => path.to_owned(),
    };
    let mode = match mode {
        "read" => " for reading",
        "write" => " for writing",
        "read_write" => " for reading and writing",
        _ if operation == "mmap_execute" => " for execution",
        _ => "",
    };
    let verb = if before.is_empty() { done } else { to_do };
    let errno = errno.map_or(String::new(), |errno| format!(": {}", error(errno)));
    let count = if event.count > 1 { format!(" x{}", event.count) } else { String::new() };
    let who = if header.tgid == 0 { String::new() } else { format!("{}[{}] ", names.comm, header.tgid) };
    format!("{who}{before}{verb} {file}{mode}{target}{errno}{count}")
}

fn flags(bits: u32, escaped: bool) -> String {
    let names = [
        (2, "raced"),
        (1, "truncated"),
        (4, "detached"),
        (8, "unlinked"),
        (16, "compat"),
        (128, "path_unknown"),
        (256, "io_uring"),
        (512, "o_path"),
        (1024, "mount_unknown"),
        (2048, "exchanged"),
        (2 << 16, "target_raced"),
        (1 << 16, "target_truncated"),
        (4 << 16, "target_detached"),
    ];
    let mut set: Vec<_> = names.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name).collect();
    if escaped {
        set.push("escaped");
    }
    set.join(",")
}

fn operation_and_mode(event: &Event<'_>) -> (&'static str, &'static str) {
    let header = event.access.header;
    let mutations = [
        "delete",
        "rename",
        "link",
        "symlink",
        "mkdir",
        "rmdir",
        "create",
        "chmod",
        "chown",
        "truncate",
        "setxattr",
        "mmap_execute",
    ];
    let mutation = (header.mask >> 16 & 0xff) as usize;
    if (1..=mutations.len()).contains(&mutation) {
        return (mutations[mutation - 1], "");
    }
    if header.kind == kind::EXEC || header.mask & mask::EXEC != 0 {
        return ("execute", "execute");
    }
    let mode = match (header.mask & mask::READ, header.mask & (mask::WRITE | mask::APPEND)) {
        (0, 0) => "",
        (0, _) => "write",
        (_, 0) => "read",
        _ => "read_write",
    };
    (if header.mask & mask::CREATED != 0 { "create" } else { "open" }, mode)
}

fn record(node: &Node, event: &Event<'_>) -> LogRecord {
    let header = event.access.header;
    let names = names(event);
    let (operation, mode) = operation_and_mode(event);
    let mut out = Attributes::default();
    out.string("otel.event.name", "inotrail.file.access");
    out.string("inotrail.stream.id", &node.stream_id);
    out.string("inotrail.file.operation", operation);
    out.string("inotrail.file.access_mode", mode);
    match header.result {
        1 => out.string("inotrail.file.outcome", "unknown"),
        errno if errno < 0 => {
            out.string("inotrail.file.outcome", "failure");
            out.string("error.type", error(errno.unsigned_abs()));
        }
        _ => out.string("inotrail.file.outcome", "success"),
    }
    if header.open_flags != u32::MAX {
        out.int("inotrail.file.open_flags", header.open_flags);
    }
    if !(names.path.is_empty() && names.requested.is_empty()) {
        let confidence = ["confirmed", "unconfirmed", "requested"].get(header.confidence as usize);
        out.string("inotrail.file.confidence", *confidence.unwrap_or(&"descriptor_gone"));
    }
    out.string("file.path", &names.path);
    out.string("inotrail.file.target_path", &names.target);
    if header.inode != 0 {
        out.string("file.inode", header.inode.to_string());
        out.string("inotrail.file.device", format!("{}:{}", header.device >> 20, header.device & 0xf_ffff));
    }
    if names.requested != names.path {
        out.string("inotrail.file.requested_path", &names.requested);
    }
    out.string("inotrail.file.flags", flags(header.flags, names.escaped));
    file::place(&mut out, &event.file);
    out.string("inotrail.backend", event.backend.as_str());
    if header.tgid > 0 {
        process(&mut out, event, &names);
    }
    if let Some(judgement) = &event.judgement {
        policy::push(&mut out, judgement);
    }
    out.int("inotrail.aggregation.count", event.count);
    if event.processes > 0 {
        out.int("inotrail.aggregation.processes", event.processes);
    }
    if event.last_ns > 0 {
        out.string("inotrail.aggregation.last_time", iso8601(event.last_ns));
    }
    out.int("inotrail.stream.sequence", event.sequence);
    LogRecord {
        time_unix_nano: event.time_ns,
        observed_time_unix_nano: event.observed_ns,
        severity_number: event.judgement.map_or(if header.result < 0 { 10 } else { 9 }, severity),
        body: Some(AnyValue { value: Some(Value::StringValue(body(event, &names, operation, mode))) }),
        attributes: out.0,
        event_name: "inotrail.file.access".into(),
        ..Default::default()
    }
}

/// The record of a loss, with its Resource.
pub(crate) fn loss(node: &Node, loss: &Loss<'_>) -> ExportLogsServiceRequest {
    let mut out = Attributes::default();
    out.string("otel.event.name", "inotrail.exporter.loss");
    out.string("inotrail.stream.id", &node.stream_id);
    let reason = loss.reason.as_str();
    out.string("inotrail.loss.reason", reason);
    out.string("inotrail.loss.stage", loss.reason.stage());
    if let Some(run) = loss.run {
        out.string("inotrail.loss.stream.id", run.to_string());
    }
    if let Some(destination) = loss.destination {
        out.string("inotrail.destination.name", destination);
    }
    let body = match loss.counts {
        None => format!("accesses may be lost: {reason}"),
        Some(counts) => {
            let most = reason == "hook_missed";
            out.int("inotrail.loss.count", counts.count);
            out.int("inotrail.loss.total", counts.total);
            out.int("inotrail.loss.events", counts.records);
            out.0.push(attribute("inotrail.loss.upper_bound", Value::BoolValue(most)));
            let (most, plural) = (if most { "at most " } else { "" }, if counts.count == 1 { "" } else { "es" });
            format!("{most}{} access{plural} lost: {reason}", counts.count)
        }
    };
    out.string("inotrail.loss.start_time", iso8601(loss.start_ns));
    if loss.end_ns > 0 {
        out.string("inotrail.loss.end_time", iso8601(loss.end_ns));
    }
    out.int("inotrail.stream.sequence", loss.sequence);
    let record = LogRecord {
        time_unix_nano: if loss.end_ns > 0 { loss.end_ns } else { loss.start_ns },
        observed_time_unix_nano: loss.observed_ns,
        severity_number: 13,
        body: Some(AnyValue { value: Some(Value::StringValue(body)) }),
        attributes: out.0,
        event_name: "inotrail.exporter.loss".into(),
        ..Default::default()
    };
    ExportLogsServiceRequest { resource_logs: vec![resource_logs(node, loss.container, vec![record])] }
}

/// The record of a run's end, with the exporter's Resource.
pub(crate) fn stopped(node: &Node, stopped: &Stopped<'_>) -> ExportLogsServiceRequest {
    let Stopped { events, losses, time_ns, .. } = *stopped;
    let mut out = Attributes::default();
    out.string("otel.event.name", "inotrail.exporter.stopped");
    out.string("inotrail.stream.id", &node.stream_id);
    out.int("inotrail.exporter.events", events);
    out.int("inotrail.exporter.losses", losses);
    out.int("inotrail.stream.sequence", 1);
    let body = format!("stopped after {events} events and {losses} losses");
    let record = LogRecord {
        time_unix_nano: time_ns,
        observed_time_unix_nano: time_ns,
        severity_number: 9,
        body: Some(AnyValue { value: Some(Value::StringValue(body)) }),
        attributes: out.0,
        event_name: "inotrail.exporter.stopped".into(),
        ..Default::default()
    };
    ExportLogsServiceRequest { resource_logs: vec![resource_logs(node, stopped.container, vec![record])] }
}

fn iso8601(unix_ns: u64) -> String {
    Timestamp::from_nanosecond(unix_ns.into()).unwrap().strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

fn process(out: &mut Attributes, event: &Event<'_>, names: &Names) {
    let header = event.access.header;
    out.int("process.pid", header.tgid);
    if event.process.vpid > 0 {
        out.int("process.vpid", event.process.vpid);
    }
    out.int("process.parent_pid", header.ppid);
    out.string("inotrail.process.ancestors", &names.ancestors);
    if event.process.session && matches!(&event.container.origin, Origin::Container { id, .. } if !id.is_empty()) {
        out.string("inotrail.process.session", "exec");
    }
    out.int("thread.id", header.tid);
    out.string("thread.name", &names.comm);
    out.string("process.executable.path", &names.executable);
    if !names.arguments.is_empty() {
        let mut arguments: Vec<_> = names.arguments.split('\0').map(str::to_owned).collect();
        let whole = arguments.pop_if(|last| last.is_empty()).is_some();
        out.strings("process.command_args", &arguments);
        if !whole {
            out.0.push(attribute("inotrail.process.arguments_truncated", Value::BoolValue(true)));
        }
    }
    out.int("process.user.id", header.euid);
    out.int("process.real_user.id", header.uid);
    if event.process_start_ns != 0 {
        out.string("process.creation.time", iso8601(event.process_start_ns));
    }
}
