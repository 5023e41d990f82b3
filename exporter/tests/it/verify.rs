//! `inotrail verify`: files as the encoder's requests are in OTLP/JSON, and a Loki at the wire.

mod loki;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use inotrail::batch::{Batch, Limits, Request};
use inotrail::container::{Container, File, Origin, Pod};
use inotrail::event::{Access, Backend, Event, Node};
use inotrail::loss::{Counts, Loss};
use inotrail::metrics::Dropped;
use inotrail::otlp::Encoder;
use inotrail::process::Process;
use inotrail::stopped::Stopped;
use inotrail_ebpf::{Header, kind, mask};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use prost::Message;
use serde_json::Value;
use tempfile::TempDir;
use zerocopy::FromZeros;

use super::cli::inotrail;

/// Events of each container.
const EVENTS: u64 = 20;

/// A run's requests, each with one record: two containers, a unit of the host, who nobody knows, two losses, and the end.
pub(super) fn requests() -> Vec<ExportLogsServiceRequest> {
    encoded().into_iter().map(|request| ExportLogsServiceRequest::decode(request.body).unwrap()).collect()
}

/// The same, as the exporter has them.
pub(super) fn encoded() -> Vec<Request> {
    let node = Node { name: "node-1".into(), stream_id: "run-1".into(), host: "h".into(), ..Node::default() };
    let mut encoder = Encoder::new(&node);
    let mut batch =
        Batch::new(Limits { records: 1, bytes: usize::MAX, age: Duration::MAX, interval: Duration::MAX }, node);
    let pod = Pod { namespace: "shop".into(), name: "web-7d4b9".into(), uid: "u".into(), details: None };
    let origin =
        |id: &str| Origin::Container { id: id.into(), name: "web".into(), runtime: "containerd", resolved: true };
    let web = Container::default().update(origin("0123456789abcdef"), Some(pod), None);
    let containers = [
        web,
        Container::new(origin("c2")),
        Container::new(Origin::Unit("sshd.service".into())),
        Container::new(Origin::Container { id: String::new(), name: String::new(), runtime: "", resolved: false }),
    ]
    .map(Arc::new);
    let header = Header { kind: kind::ACCESS, mask: mask::OPEN | mask::READ, tgid: 7, ..Header::new_zeroed() };
    let mut requests = Vec::new();
    let mut time_ns = 1_795_260_645_000_000_000;
    for number in 0..EVENTS {
        for container in &containers {
            // Some have the same time.
            time_ns += number % 3;
            let access = Access { path: b"/etc/\"a\\\n", ..Access::of(&header) };
            let event = Event {
                time_ns,
                observed_ns: time_ns + 1,
                access,
                process: Process::unknown(),
                process_start_ns: 0,
                container,
                file: File::default(),
                judgement: None,
                backend: Backend::Fexit,
                sequence: container.next_sequence(),
                count: 3,
                processes: 0,
                last_ns: 0,
            };
            requests.extend(batch.push(&mut encoder, &event, 0));
        }
    }
    let exporter = Arc::new(Container::new(Origin::Exporter));
    for (reason, counts) in
        [(Dropped::RingFull, Some(Counts { count: 12, total: 12, records: 0 })), (Dropped::Detached, None)]
    {
        let (start_ns, end_ns, sequence) = (time_ns, time_ns + 9, exporter.next_loss_sequence());
        let container = &exporter;
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
            sequence,
        };
        requests.extend(batch.push_loss(&encoder, &loss, 0));
    }
    let events = EVENTS * containers.len() as u64;
    let stopped = Stopped { container: &exporter, events, losses: 2, time_ns: time_ns + 10 };
    requests.extend(batch.push_stopped(&encoder, &stopped, 0));
    requests
}

fn line(request: &ExportLogsServiceRequest) -> String {
    serde_json::to_string(request).unwrap() + "\n"
}

fn write(folder: &TempDir, name: &str, lines: &[String]) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, lines.concat()).unwrap();
    path
}

pub(super) fn verify(files: &[&Path], flags: &[&str]) -> Output {
    let files = files.iter().map(|path| path.to_str().unwrap());
    inotrail(&["verify"].into_iter().chain(files).chain(flags.iter().copied()).collect::<Vec<_>>(), &[])
}

pub(super) fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn a_whole_run_is_complete_in_any_order_and_twice() {
    let folder = TempDir::new().unwrap();
    let mut lines: Vec<String> = requests().iter().map(line).collect();
    let all = write(&folder, "all", &lines);
    let output = verify(&[&all], &[]);
    let expected = "\
RUN    NODE    FROM                  TO                    SERIES  RECORDS  RESENT  MISSING  TOLD LOST  START  END
run-1  node-1  2026-11-21T11:30:45Z  2026-11-21T11:30:45Z       6       83       0        0          0  yes    stopped  complete

ACCESSES              RECORDS
received         240
lost: detached     0        0  and those of a time in which nobody could count
lost: ring_full   12        0
made             252

complete: every record that the exporters numbered is here, or told to be lost
";
    assert_eq!((output.status.code(), &*text(&output)), (Some(0), expected));
    lines.reverse();
    let (one, other) = (write(&folder, "one", &lines[..50]), write(&folder, "other", &lines[40..]));
    let json = verify(&[&one, &other], &["--output", "json"]);
    let report: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&report["verdict"], &report["runs"][0]["resent"]), (&"complete".into(), &10.into()), "{report:#}");
}

#[test]
fn a_file_of_one_object_is_read_too() {
    let folder = TempDir::new().unwrap();
    let resource_logs = requests().into_iter().flat_map(|request| request.resource_logs).collect();
    let text = serde_json::to_string_pretty(&ExportLogsServiceRequest { resource_logs }).unwrap();
    let path = write(&folder, "pretty", &[text]);
    assert_eq!(verify(&[&path], &[]).status.code(), Some(0));
}

#[test]
fn what_is_missing_is_named() {
    let folder = TempDir::new().unwrap();
    let all: Vec<String> = requests().iter().map(line).collect();
    // The first container's records 3 and 4, and the unit's last.
    let gone = [8, 12, all.len() - 5];
    let rest: Vec<String> = (0..all.len()).filter(|at| !gone.contains(at)).map(|at| all[at].clone()).collect();
    let output = verify(&[&write(&folder, "rest", &rest)], &[]);
    let text = text(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    let missing: Vec<_> = text.lines().skip_while(|line| !line.starts_with("missing")).collect();
    let expected = [
        "missing: run run-1 on node-1: shop/web-7d4b9/web (container 0123456789ab): inotrail.file.access 3-4",
        "run run-1: 3 records are missing, and losses tell of 0",
        "run run-1: up to 1 of the missing records are after the last number of a series, or of a series that is missing whole",
        "NOT complete",
    ];
    assert_eq!(missing, expected, "{text}");
}

#[test]
fn the_readme_shows_what_is_printed() {
    let folder = TempDir::new().unwrap();
    let all: Vec<String> = requests().iter().map(line).collect();
    let rest: Vec<String> = [&all[..8], &all[9..12], &all[13..]].concat();
    let text = text(&verify(&[&write(&folder, "rest", &rest)], &[]));
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    assert!(readme.contains(&format!("```text\n{text}```\n")), "{text}");
}

#[test]
fn removing_any_record_is_found() {
    let folder = TempDir::new().unwrap();
    let all: Vec<String> = requests().iter().map(line).collect();
    for gone in 0..all.len() {
        let rest: Vec<String> = (0..all.len()).filter(|at| *at != gone).map(|at| all[at].clone()).collect();
        let output = verify(&[&write(&folder, "rest", &rest)], &[]);
        // Without the last record it is complete so far, and says that its end is open.
        let is_last = gone + 1 == all.len();
        assert_eq!(output.status.code(), Some(i32::from(!is_last)), "{gone}: {}", text(&output));
        assert_eq!(text(&output).contains("its end is open"), is_last, "{gone}: {}", text(&output));
    }
}

#[test]
fn what_cannot_be_read_is_named_and_the_rest_goes_on() {
    let folder = TempDir::new().unwrap();
    let mut lines: Vec<String> = requests().iter().map(line).collect();
    let cut = lines[0][..lines[0].len() / 2].to_owned() + "\n";
    lines.insert(1, cut);
    lines.insert(3, "{\"resourceSpans\":[]}\n".into());
    lines.push("\n".into());
    let others =
        r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"other"}},{"severityText":null}]}]}]}"#;
    lines.push(format!("{others}\n"));
    lines.push(lines[0].replace("inotrail.stream.sequence", "gone"));
    let path = write(&folder, "odd", &lines);
    let output = verify(&[&path], &["--output", "json"]);
    let errors = String::from_utf8_lossy(&output.stderr);
    let errors: Vec<_> = errors.lines().collect();
    let at = |line: usize| format!("inotrail: {}:{line}: ", path.display());
    assert!(errors[0].starts_with(&format!("{}not OTLP/JSON of logs: EOF", at(2))), "{errors:#?}");
    assert!(
        errors[1].starts_with(&format!("{}not OTLP/JSON of logs: missing field `resourceLogs`", at(4))),
        "{errors:#?}"
    );
    let taken = "a record of inotrail without inotrail.stream.sequence: something on the way took it off";
    assert_eq!(&errors[2..], [format!("{}{taken}", at(lines.len()))]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &report["runs"][0]["verdict"]), (Some(1), &"complete".into()));
    assert_eq!((&report["unreadable"], &report["other_records"]), (&3.into(), &2.into()));
}

#[test]
fn names_do_not_steer_a_terminal() {
    let folder = TempDir::new().unwrap();
    let lines: Vec<String> = requests()[4..].iter().map(|it| line(it).replace("web-7d4b9", "\\u001b[2J")).collect();
    let path = write(&folder, "hostile", &lines);
    for output in ["table", "json"] {
        let output = verify(&[&path], &["--output", output]);
        let text = text(&output);
        assert!(text.contains("1b") && !text.contains('\u{1b}'), "{text}");
    }
}

#[test]
fn wrong_command_lines() {
    let check = |args: &[&str], code: i32, message: &str| {
        let output = inotrail(&[&["verify"], args].concat(), &[]);
        assert_eq!((output.status.code(), text(&output).contains(message)), (Some(code), true), "{}", text(&output));
    };
    check(&[], 64, "required arguments");
    check(&["a", "--loki", "http://x"], 64, "cannot be used with");
    check(&["--loki", "loki:3100"], 64, "such as http://127.0.0.1:3100");
    check(&["--loki", "http://x", "--from", "yesterday"], 64, "2026-11-21T11:30:00Z");
    check(&["/no/such/file"], 1, "cannot read /no/such/file: ");
    check(&["/dev/null"], 1, "there is no record of an exporter");
}
