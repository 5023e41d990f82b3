//! The README says what the code says: flags, attributes, metrics, drop reasons, commands. Both ways.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::Command;
use inotrail::batch::{Batch, Limits, REQUEST_MAX};
use inotrail::config;
use inotrail::container::OwnerKind::{CronJob, DaemonSet, Deployment, Job, ReplicaSet, StatefulSet};
use inotrail::container::{Container, File, FileOwner, Image, Object, Origin, Owner, Pod, PodDetails, Volume};
use inotrail::decoy::Refused;
use inotrail::event::{Access, Backend, Event, Node};
use inotrail::loss::{Counts, Loss, Uuid};
use inotrail::metrics::{Dropped, Family, Kind, families};
use inotrail::otlp::Encoder;
use inotrail::otlp::attribute::POLICY_LABEL;
use inotrail::policy::document;
use inotrail::policy::replay::Expectations;
use inotrail::process::{Ancestor, Process, redaction};
use inotrail::stopped::Stopped;
use inotrail_ebpf::{Header, flags, kind, mask};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message;
use zerocopy::FromZeros;

use super::encode::judged::judgement;

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("workspace")
}

fn readme() -> String {
    fs::read_to_string(workspace().join("README.md")).expect("README.md")
}

/// Rows of the tables below each heading: heading -> cells of each row, header rows left out.
fn tables() -> BTreeMap<String, Vec<Vec<String>>> {
    let mut tables = BTreeMap::<String, Vec<Vec<String>>>::new();
    let mut heading = String::new();
    let mut header = true;
    for line in readme().lines() {
        if line.starts_with('#') {
            line.trim_start_matches('#').trim().clone_into(&mut heading);
        }
        match line.strip_prefix('|') {
            Some(row) if row.starts_with("---") => header = false,
            Some(row) if !header => {
                // An escaped bar is part of a cell.
                let row = row.trim_end_matches('|').replace("\\|", "\0");
                let cells = row.split('|').map(|cell| cell.trim().replace('\0', "|")).collect();
                tables.entry(heading.clone()).or_default().push(cells);
            }
            Some(_) => {}
            None => header = true,
        }
    }
    tables
}

fn code(cell: &str) -> &str {
    cell.trim_matches('`')
}

fn first_column(heading: &str) -> BTreeSet<String> {
    let tables = tables();
    let rows = tables.get(heading).unwrap_or_else(|| panic!("no table below {heading:?}"));
    rows.iter().map(|row| code(&row[0]).to_owned()).collect()
}

/// Every subcommand and theirs: `oci-hook install`.
fn subcommands(command: &Command) -> Vec<(String, &Command)> {
    let mut found = Vec::new();
    for subcommand in command.get_subcommands().filter(|subcommand| subcommand.get_name() != "help") {
        let name = subcommand.get_name();
        found.push((name.to_owned(), subcommand));
        found.extend(subcommands(subcommand).into_iter().map(|(below, it)| (format!("{name} {below}"), it)));
    }
    found
}

/// Every flag of every subcommand: (subcommand, flag as the README writes it) -> default.
fn flags_by_clap(command: &Command) -> BTreeMap<(String, String), String> {
    let mut flags = BTreeMap::new();
    for (name, subcommand) in subcommands(command) {
        for arg in subcommand.get_arguments() {
            let Some(long) = arg.get_long().filter(|long| !matches!(*long, "help" | "version")) else { continue };
            let value =
                arg.get_action().takes_values().then(|| arg.get_value_names().map(|names| names[0].to_string()));
            let flag = value.flatten().map_or(format!("--{long}"), |value| format!("--{long} {value}"));
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            let in_help = help.split_once("[default: ").and_then(|(_, rest)| rest.split_once(']'));
            let default = match arg.get_default_values().first() {
                Some(default) => default.to_string_lossy().into_owned(),
                None => in_help.map(|(default, _)| default.to_owned()).unwrap_or_default(),
            };
            let default = if arg.get_action().takes_values() { default } else { String::new() };
            flags.insert((name.clone(), flag), default);
        }
    }
    flags
}

#[test]
fn flags() {
    let mut command = config::command();
    command.build();
    let expected = flags_by_clap(&command);
    assert!(expected.len() > 40, "{expected:?}");
    let all: BTreeSet<String> = expected.keys().map(|(subcommand, _)| subcommand.clone()).collect();
    let mut found = BTreeMap::new();
    for (heading, rows) in tables() {
        let Some(names) = heading.strip_prefix("Flags of ") else { continue };
        let subcommands: BTreeSet<String> = match names {
            "every subcommand" => subcommands(&command).into_iter().map(|(name, _)| name).collect(),
            names => names.split(", ").map(|name| code(name).to_owned()).collect(),
        };
        for row in rows {
            for subcommand in subcommands.iter().filter(|name| all.contains(*name)) {
                let before = found.insert((subcommand.clone(), code(&row[0]).to_owned()), code(&row[1]).to_owned());
                assert_eq!(before, None, "{subcommand} {row:?} twice");
            }
        }
    }
    let difference: Vec<_> = expected
        .keys()
        .chain(found.keys())
        .collect::<BTreeSet<_>>()
        .into_iter()
        .filter(|key| expected.get(*key) != found.get(*key))
        .map(|key| (key, expected.get(key), found.get(key)))
        .collect();
    assert!(difference.is_empty(), "(flag, by --help, by README): {difference:#?}");
}

/// Attributes of records and Resources of events that together have everything the encoder can say.
fn encoded() -> (BTreeMap<String, &'static str>, BTreeMap<String, &'static str>) {
    let image = Image {
        name: "docker.io/library/python".into(),
        tags: vec!["3.14".into()],
        repo_digests: vec!["docker.io/library/python@sha256:0".into()],
    };
    let origin = |name: &str, resolved| Origin::Container {
        id: "0123".into(),
        name: name.into(),
        runtime: "containerd",
        resolved,
    };
    let kinds = [Deployment, ReplicaSet, StatefulSet, DaemonSet, CronJob, Job];
    let owners = kinds.map(|kind| Owner { kind, name: "web".into() }).to_vec();
    let details = Some(Arc::new(PodDetails { owners, ..PodDetails::default() }));
    let pod = Pod { namespace: "shop".into(), name: "web-1".into(), uid: "u".into(), details };
    let containers = [
        Container::default().update(origin("web", true), Some(pod.clone()), Some(image)),
        Container::new(origin("nginx", true)),
        Container::new(origin("", false)),
        Container::new(Origin::Unit("sshd.service".into())),
        Container::new(Origin::Host),
        Container::new(Origin::Exporter),
    ];
    let mut header = Header::new_zeroed();
    (header.kind, header.mask, header.inode, header.flags) = (kind::ACCESS, mask::OPEN | mask::READ, 7, flags::RACED);
    (header.result, header.tgid, header.comm) = (-13, 7, *b"python3\0\0\0\0\0\0\0\0\0");
    let process = Process {
        executable: b"/usr/bin/python3".as_slice().into(),
        ancestors: [Ancestor { tgid: 1, executable: b"/sbin/init".as_slice().into() }].into(),
        arguments: b"python3\0cut".as_slice().into(),
        vpid: 7,
        session: true,
        ..Process::default()
    };
    let node = Node { name: "node".into(), cluster: "prod".into(), host: "host".into(), stream_id: "run".into() };
    let mut encoder = Encoder::new(&node);
    let mut batch =
        Batch::new(Limits { records: 100, bytes: REQUEST_MAX, age: Duration::MAX, interval: Duration::MAX }, node);
    let other = Container::new(origin("web", true)).update(origin("web", true), Some(pod), None);
    let volume = Volume { name: "data".into(), kind: "secret".into(), claim: "data".into(), sources: vec![] }.into();
    let object = Some(Object { kind: "Secret", name: "db", key: b"password" });
    let file = File { volume: Some(&volume), object, owner: Some(FileOwner::Container(&other)) };
    for container in containers.map(Arc::new) {
        let access = Access { path: b"/a", target: b"/c", requested: b"/b", ..Access::of(&header) };
        let event = Event {
            time_ns: 1,
            observed_ns: 2,
            access,
            process: &process,
            process_start_ns: 3,
            container: &container,
            file,
            judgement: judgement(0),
            backend: Backend::Fexit,
            sequence: 1,
            count: 1,
            processes: 5,
            last_ns: 4,
        };
        assert_eq!(batch.push(&mut encoder, &event, 0), None);
    }
    let request = ExportLogsServiceRequest::decode(batch.take().expect("request").body).expect("decode");
    let (mut records, mut resources) = (BTreeMap::new(), BTreeMap::new());
    for logs in request.resource_logs {
        collect(&mut resources, logs.resource.expect("resource").attributes);
        for record in logs.scope_logs.into_iter().flat_map(|logs| logs.log_records) {
            collect(&mut records, record.attributes);
        }
    }
    (records, resources)
}

/// Attributes of a loss that has them all.
fn encoded_loss() -> BTreeMap<String, &'static str> {
    let node = Node { stream_id: "run".into(), ..Node::default() };
    let encoder = Encoder::new(&node);
    let mut batch =
        Batch::new(Limits { records: 100, bytes: REQUEST_MAX, age: Duration::MAX, interval: Duration::MAX }, node);
    let loss = Loss {
        reason: Dropped::HookMissed,
        container: &Arc::new(Container::new(Origin::Exporter)),
        destination: Some("siem"),
        run: Some(Uuid(1)),
        owed: 0,
        counts: Some(Counts { count: 1, total: 2, records: 1 }),
        start_ns: 1,
        end_ns: 2,
        observed_ns: 3,
        sequence: 1,
    };
    assert_eq!(batch.push_loss(&encoder, &loss, 0), None);
    types_of(&mut batch)
}

/// Attributes of the end of a run.
fn encoded_stopped() -> BTreeMap<String, &'static str> {
    let node = Node { stream_id: "run".into(), ..Node::default() };
    let encoder = Encoder::new(&node);
    let mut batch =
        Batch::new(Limits { records: 100, bytes: REQUEST_MAX, age: Duration::MAX, interval: Duration::MAX }, node);
    let container = Arc::new(Container::new(Origin::Exporter));
    assert_eq!(
        batch.push_stopped(&encoder, &Stopped { container: &container, events: 1, losses: 2, time_ns: 3 }, 0),
        None
    );
    types_of(&mut batch)
}

/// Attributes of the records of a batch.
fn types_of(batch: &mut Batch) -> BTreeMap<String, &'static str> {
    let request = ExportLogsServiceRequest::decode(batch.take().expect("request").body).expect("decode");
    let mut types = BTreeMap::new();
    for logs in request.resource_logs.into_iter().flat_map(|logs| logs.scope_logs) {
        logs.log_records.into_iter().for_each(|record| collect(&mut types, record.attributes));
    }
    types
}

fn collect(types: &mut BTreeMap<String, &'static str>, attributes: Vec<KeyValue>) {
    for attribute in attributes {
        let kind = match attribute.value.and_then(|value| value.value) {
            Some(Value::StringValue(_)) => "string",
            Some(Value::IntValue(_)) => "int",
            Some(Value::BoolValue(_)) => "bool",
            Some(Value::ArrayValue(_)) => "string[]",
            other => panic!("{}: {other:?}", attribute.key),
        };
        // Users choose the rest of its name.
        let is_label = attribute.key.starts_with(POLICY_LABEL);
        types.insert(if is_label { format!("{POLICY_LABEL}<key>") } else { attribute.key }, kind);
    }
}

#[test]
fn attributes() {
    let (records, resources) = encoded();
    let tables = tables();
    let expected = [
        ("Attributes of the record", records),
        ("Attributes of a loss", encoded_loss()),
        ("Attributes of the end of a run", encoded_stopped()),
        ("Attributes of the Resource", resources),
    ];
    for (heading, expected) in expected {
        let found: BTreeMap<String, &str> =
            tables[heading].iter().map(|row| (code(&row[0]).to_owned(), row[1].as_str())).collect();
        assert_eq!(found, expected, "{heading}: left by README, right by the encoder");
    }
    assert!(readme().contains(&format!("`{}`", inotrail::otlp::EVENT_NAME)));
    assert!(readme().contains(&format!("`{}`", inotrail::otlp::LOSS_EVENT_NAME)));
    assert!(readme().contains(&format!("`{}`", inotrail::otlp::STOPPED_EVENT_NAME)));
    let stages: BTreeSet<&str> = Dropped::ALL.iter().map(|reason| reason.stage()).collect();
    let row = tables["Attributes of a loss"].iter().find(|row| code(&row[0]) == "inotrail.loss.stage").expect("stage");
    assert_eq!(row[2].split('`').skip(1).step_by(2).collect::<BTreeSet<_>>(), stages);
    assert!(readme().contains(inotrail::otlp::attribute::SCHEMA_URL.rsplit('/').next().expect("version")));
}

#[test]
fn redacted_names() {
    let readme = readme();
    let names = redaction::NAMES.iter().chain(&redaction::USER_OPTIONS);
    let missing: Vec<_> = names.filter(|name| !readme.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn drop_reasons() {
    let expected: BTreeSet<String> = Dropped::ALL.iter().map(|reason| reason.as_str().to_owned()).collect();
    let metrics: BTreeSet<String> = metric_names().into_iter().collect();
    assert_eq!(first_column("Metrics and health"), &expected | &metrics);
}

#[test]
fn reasons_of_decoys() {
    let tables = tables();
    let row = tables["Metrics and health"].iter().find(|row| code(&row[0]) == "inotrail_decoys_refused_total");
    let expected = ["reason"].into_iter().chain(Refused::NAMES).collect::<Vec<_>>();
    assert_eq!(row.expect("a row")[1].split('`').skip(1).step_by(2).collect::<Vec<_>>(), expected);
}

fn metric_names() -> Vec<String> {
    let full = |family: &Family| match family.kind {
        Kind::Counter => format!("{}_total", family.name),
        Kind::Info => format!("{}_info", family.name),
        _ => family.name.to_owned(),
    };
    families::all().map(full).collect()
}

/// The page and OTLP have the same families; that both have all of them is the telemetry's tests' business.
#[test]
fn names_in_otlp() {
    let tables = tables();
    let rows = tables["Metrics and health"].iter().filter(|row| row.len() == 3);
    let found: BTreeMap<String, Vec<String>> = rows
        .map(|row| (code(&row[0]).to_owned(), row[2].split('`').skip(1).step_by(2).map(str::to_owned).collect()))
        .collect();
    let names = families::all().map(|family| {
        let labels = family.labels.iter().map(|label| label.1);
        std::iter::once(family.otlp).chain(labels).map(str::to_owned).collect()
    });
    let expected: BTreeMap<String, Vec<String>> = metric_names().into_iter().zip(names).collect();
    assert_eq!(found, expected, "left by README, right by the code");
}

/// Lines of shell blocks, and what stands in backquotes, without comments.
fn commands() -> Vec<String> {
    let text = readme();
    let mut commands = Vec::new();
    let mut shell = false;
    for line in text.lines() {
        if let Some(language) = line.strip_prefix("```") {
            shell = language == "sh";
        } else if shell {
            commands.push(line.split(" #").next().unwrap_or_default().trim().to_owned());
        } else {
            commands.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    commands
}

#[test]
fn make_targets_exist() {
    let makefile = fs::read_to_string(workspace().join("Makefile")).expect("Makefile");
    let commands = commands();
    let targets: BTreeSet<&str> = commands.iter().filter_map(|command| command.strip_prefix("make ")).collect();
    assert!(targets.contains("demo") && targets.contains("test"), "{targets:?}");
    for target in targets {
        let rule = format!("{target}:");
        assert!(makefile.lines().any(|line| line.starts_with(&rule)), "no rule for `make {target}`");
    }
}

#[test]
fn inotrail_commands_parse() {
    let mut parsed = 0;
    for command in commands() {
        let Some(rest) = command.strip_prefix("inotrail ") else { continue };
        let end = rest.find(['|', '>']).unwrap_or(rest.len());
        let words = rest[..end].split_whitespace().map(|word| word.trim_matches('\''));
        let result = config::command().try_get_matches_from(std::iter::once("inotrail").chain(words));
        let failure = result.err().filter(clap::Error::use_stderr);
        assert!(failure.is_none(), "{command}: {}", failure.expect("error"));
        parsed += 1;
    }
    assert!(parsed > 8, "{parsed}");
}

#[test]
fn policies_are_right() {
    let readme = readme();
    let mut blocks = readme.split("```yaml\n").skip(1).map(|block| block.split("```").next().unwrap());
    let (policies, problems) = document::read(blocks.next().unwrap());
    assert_eq!(problems, []);
    assert_eq!(policies.iter().map(|policy| &*policy.name).collect::<Vec<_>>(), ["shop/tokens", "shadow"]);
    let expectations: Expectations = serde_saphyr::from_str(blocks.next().unwrap()).unwrap();
    assert_eq!((expectations.expect.len(), expectations.labels.pods.len()), (1, 1));
}
