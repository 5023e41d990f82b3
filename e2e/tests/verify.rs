//! `inotrail verify` of records that went through a real Collector into a real Loki, and of those without one of them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use e2e::stack::{Ports, Stack};
use e2e::{exporter, interrupt};
use inotrail::batch::{Batch, Limits};
use inotrail::container::{Container, File, Origin};
use inotrail::event::{Access, Backend, Event, Node};
use inotrail::loss::{Counts, Loss};
use inotrail::metrics::Dropped;
use inotrail::otlp::Encoder;
use inotrail::process::Process;
use inotrail::stopped::Stopped;
use inotrail_ebpf::{Header, kind, mask};
use zerocopy::FromZeros as _;

/// Until Loki has what the Collector was given.
const LIMIT: Duration = Duration::from_secs(30);
/// Events of a run, of which each tenth has the time of the ones before it.
const EVENTS: u64 = 400;

/// A run's records, each encoded as a request, the last one last.
fn requests(run: &str, now_ns: u64) -> Vec<Vec<u8>> {
    let node = Node { name: "node-1".into(), stream_id: run.into(), ..Node::default() };
    let mut encoder = Encoder::new(&node);
    let mut batch =
        Batch::new(Limits { records: 1, bytes: usize::MAX, age: Duration::MAX, interval: Duration::MAX }, node);
    let id = format!("{run}-container");
    let origin = Origin::Container { id, name: "web".into(), runtime: "containerd", resolved: true };
    let containers = [origin, Origin::Unit("sshd.service".into())].map(|origin| Arc::new(Container::new(origin)));
    let header = Header { kind: kind::ACCESS, mask: mask::OPEN | mask::READ, tgid: 7, ..Header::new_zeroed() };
    let mut requests = Vec::new();
    for number in 0..EVENTS {
        let container = &containers[(number % 2) as usize];
        let access = Access { path: b"/etc/passwd", ..Access::of(&header) };
        let event = Event {
            time_ns: now_ns + number / 10,
            observed_ns: now_ns + number,
            access,
            process: Process::unknown(),
            process_start_ns: 0,
            container,
            file: File::default(),
            judgement: None,
            backend: Backend::Fexit,
            sequence: container.next_sequence(),
            count: 1,
            processes: 0,
            last_ns: 0,
        };
        requests.extend(batch.push(&mut encoder, &event, 0));
    }
    let exporter = Arc::new(Container::new(Origin::Exporter));
    let counts = Some(Counts { count: 12, total: 12, records: 0 });
    let (start_ns, end_ns) = (now_ns, now_ns + EVENTS);
    let (reason, container) = (Dropped::RingFull, &exporter);
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
        sequence: 1,
    };
    requests.extend(batch.push_loss(&encoder, &loss, 0));
    let stopped = Stopped { container: &exporter, events: EVENTS, losses: 1, time_ns: end_ns + 1 };
    requests.extend(batch.push_stopped(&encoder, &stopped, 0));
    requests.into_iter().map(|request| request.body.to_vec()).collect()
}

/// Sends the requests as one: a message followed by another is both.
fn send(stack: &Stack, requests: &[Vec<u8>]) {
    for some in requests.chunks(100) {
        let url = format!("{}/v1/logs", stack.otlp_http_endpoint);
        ureq::post(url).header("content-type", "application/x-protobuf").send(some.concat()).unwrap();
    }
}

/// Verifies the one run's records since `since_ns`, of an hour before on, in pages of so many.
fn verify(stack: &Stack, run: &str, page: &str) -> Output {
    let selector = format!(r#"{{service_name=~".+"}} | inotrail_stream_id="{run}""#);
    let mut command = Command::new(exporter::binary().unwrap());
    command.args(["verify", "--loki", &stack.loki.url, "--query-selector", &selector, "--page", page]);
    command.output().unwrap()
}

/// Waits until Loki has this run's last record, and so many in all; then verifies.
#[track_caller]
fn check(stack: &Stack, run: &str, records: usize, code: i32, expected: &[&str]) {
    let query = format!(r#"{{service_name=~".+"}} | inotrail_stream_id="{run}""#);
    interrupt::wait_for(&format!("{records} records"), LIMIT, || {
        let found = stack.loki.query(&query, SystemTime::now() - Duration::from_secs(600))?.len();
        Ok((found == records).then_some(()))
    })
    .unwrap();
    // The smallest page is full of records of one time, read by their numbers.
    for page in ["5000", "100", "8"] {
        let output = verify(stack, run, page);
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{text}");
        for expected in expected {
            assert!(text.contains(expected), "{expected} in {text}");
        }
    }
}

#[test]
fn a_record_missing_in_loki_is_found() {
    let stack = Stack::start(None, Ports::Free).unwrap();
    let now_ns = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64 - 60_000_000_000;
    let all = requests("whole", now_ns);
    send(&stack, &all);
    // Sent again, it is the same to Loki.
    send(&stack, &all[..50]);
    let columns = " 4      402       0        0          0  yes    stopped  complete";
    check(
        &stack,
        "whole",
        all.len(),
        0,
        &[columns, "received         400", "lost: ring_full   12", "made             412"],
    );
    for (run, gone, gap) in [
        ("first", 0, Some("web (container first-contai): inotrail.file.access 1\n")),
        ("middle", 201, Some("unit sshd.service: inotrail.file.access 101\n")),
        ("last", EVENTS as usize - 1, None),
        ("loss", EVENTS as usize, None),
    ] {
        let mut rest = requests(run, now_ns);
        rest.remove(gone);
        send(&stack, &rest);
        let expected = ["NOT complete", "1 record", gap.unwrap_or("after the last number of a series")];
        check(&stack, run, rest.len(), 1, &expected);
    }
    let mut open = requests("open", now_ns);
    open.pop();
    send(&stack, &open);
    check(&stack, "open", open.len(), 0, &["complete so far", "its end is open"]);
}
