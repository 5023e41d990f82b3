//! The real Collector is killed, the real Loki takes little: everything is in Loki in the end, as `inotrail verify` says.

use std::fs;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use e2e::exporter::{self, Exporter};
use e2e::interrupt;
use e2e::load::Opens;
use e2e::proxy::{Proxy, Wire};
use e2e::stack::{Ports, Stack};
use serde_json::{Value, json};

use super::{Bench, LIMIT};

/// For so long an exporter keeps what it cannot send.
const DAY: Duration = Duration::from_hours(24);

/// Everything is a record, and the file that a thread opens first is a violation.
const ALARM: &str = "
apiVersion: inotrail.dev/v1alpha1
kind: ClusterFileAccessPolicy
metadata: {name: order}
spec:
  hostProcesses: true
  rules:
  - {name: all, paths: ['/**']}
  - {name: alarm, paths: ['**/0-0'], severity: high, action: violation}
";

/// What `inotrail verify` says.
#[derive(Debug)]
struct Verified {
    verdict: String,
    /// Accesses.
    received: u64,
    /// Accesses told as lost.
    lost: u64,
    /// Runs, gaps, and how many lines could not be read: for whoever reads a failure.
    _why: [Value; 3],
}

/// The same of all that is in Loki.
fn verify(stack: &Stack) -> Option<Verified> {
    let mut command = Command::new(exporter::binary().unwrap());
    let output = command.args(["verify", "--loki", &stack.loki.url, "--output", "json"]).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).ok()?;
    let lost = report["totals"]["lost"].as_object()?.values().filter_map(|lost| lost["accesses"].as_u64()).sum();
    let received = report["totals"]["received"].as_u64()?;
    let why = ["runs", "gaps", "unreadable"].map(|key| report[key].clone());
    Some(Verified { verdict: report["verdict"].as_str()?.to_owned(), received, lost, _why: why })
}

/// What it took until the books closed.
struct Closed {
    /// Requests that were sent again.
    retries: u64,
    /// Accesses told as lost.
    lost: u64,
}

/// Stops the exporter, waits until Loki has all that was made but for what was told as lost, and prints the books.
fn close(bench: &Bench, stack: &Stack, mut exporter: Exporter) -> Closed {
    settled(bench, &exporter);
    let retries = exporter.metric("inotrail_export_retries_total").unwrap();
    exporter.daemon.stop();
    let mut last = None;
    let closed = interrupt::wait_for("the whole trail in Loki", LIMIT, || {
        last = verify(stack);
        Ok(last
            .as_ref()
            .is_some_and(|last| last.verdict == "complete" && last.received + last.lost >= bench.made)
            .then_some(()))
    });
    eprintln!("{}: {} made, {retries} requests sent again; verify says of Loki: {last:?}", bench.fault, bench.made);
    closed.unwrap();
    let Verified { received, lost, .. } = last.unwrap();
    assert_eq!(bench.made.cast_signed() - (received + lost).cast_signed(), 0);
    Closed { retries, lost }
}

/// Waits until the exporter knows of each access what has become of it.
fn settled(bench: &Bench, exporter: &Exporter) {
    interrupt::wait_for("an answer to everything", LIMIT, || {
        let [delivered, dropped] =
            ["inotrail_events_delivered_total", "inotrail_dropped_total"].map(|name| exporter.metric(name));
        Ok((delivered? + dropped? >= bench.made).then_some(()))
    })
    .unwrap();
}

fn to(bench: &Bench, endpoint: &str, more: &[&str]) -> Exporter {
    let state = bench.state();
    bench.exporter_to(endpoint, &[&["--state", state.to_str().unwrap()], more].concat())
}

#[test]
fn it_is_killed_again_and_again() {
    let mut bench = Bench::new("collector");
    // Loki puts what comes again into another shard of its stream.
    let mut stack = Stack::start_with(None, Ports::Free, &["-shard-streams.desired-rate=1KB"], &[]).unwrap();
    let exporter = to(&bench, &stack.otlp_endpoint.clone(), &[]);
    let mut load = bench.load(Opens { pause_ms: 1, ..Opens::new(4, 5_000) });
    let mut kills = 0;
    while load.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(700));
        stack.kill_collector().unwrap();
        kills += 1;
        std::thread::sleep(Duration::from_millis(300));
        stack.start_collector().unwrap();
    }
    eprintln!("killed the Collector {kills} times under load");
    assert_eq!(close(&bench, &stack, exporter).lost, 0);
}

/// By OTLP over HTTP, and Loki answers 429 until it has had time.
#[test]
fn loki_takes_less_than_there_is() {
    let mut bench = Bench::new("rate");
    // And it hands out less at once than `verify` asks for.
    let limits = [
        "-distributor.ingestion-rate-limit-mb=1",
        "-distributor.ingestion-burst-size-mb=8",
        "-server.grpc-max-recv-msg-size-bytes=4194304",
    ];
    let stack = Stack::start_with(None, Ports::Free, &limits, &[]).unwrap();
    let exporter = to(&bench, &stack.otlp_http_endpoint.clone(), &["--protocol", "http/protobuf"]);
    bench.make(Opens::new(4, 5_000));
    assert_eq!(close(&bench, &stack, exporter).lost, 0);
}

/// The shipped Loki takes what an exporter has kept for as long as it keeps anything, and finds it at once.
#[test]
fn loki_takes_records_of_a_day_ago() {
    let stack = Stack::start(None, Ports::Free).unwrap();
    let url = format!("{}/loki/api/v1/push", stack.loki.url);
    let now = SystemTime::now();
    for (time, line) in [(now, "new"), (now - DAY, "late")] {
        let ns = time.duration_since(UNIX_EPOCH).unwrap().as_nanos().to_string();
        let body = json!({"streams": [{"stream": {"service_name": "late"}, "values": [[ns, line]]}]});
        ureq::post(&url).content_type("application/json").send(body.to_string()).unwrap();
    }
    let found = stack.loki.query_range(r#"{service_name="late"}"#, now - DAY, now - DAY / 2).unwrap();
    assert_eq!(found.iter().map(|entry| entry.line.as_str()).collect::<Vec<_>>(), ["late"]);
}

/// A Loki with a short window refuses old records when it has newer ones, and the Collector hands that on.
#[test]
fn loki_refuses_what_is_out_of_order() {
    let mut bench = Bench::new("order");
    let in_turn = "yaml:exporters::otlp_http/loki::sending_queue::enabled: false";
    let stack = Stack::start_with(None, Ports::Free, &["-ingester.max-chunk-age=6s"], &["--config", in_turn]).unwrap();
    let collector = stack.otlp_endpoint.strip_prefix("http://").unwrap().parse().unwrap();
    let proxy = Proxy::start(collector).unwrap();
    let policy = bench.folder.path().join("policy.yaml");
    fs::write(&policy, ALARM).unwrap();
    let exporter = to(&bench, &proxy.endpoint(), &["--policy", policy.to_str().unwrap()]);
    for _ in 0..5 {
        proxy.set(Wire::Breaks(0));
        bench.make(Opens::new(4, 250));
        std::thread::sleep(Duration::from_secs(4));
        proxy.set(Wire::Whole);
        // A violation overtakes what waits, most often.
        bench.make(Opens::new(1, 1));
        settled(&bench, &exporter);
        if exporter.metric("inotrail_dropped_total").unwrap() > 0 {
            break;
        }
    }
    assert!(close(&bench, &stack, exporter).lost > 0, "nothing came out of order");
}

/// Straight to Loki, which answers 429 itself.
#[test]
fn without_a_collector() {
    let mut bench = Bench::new("direct");
    let limits = ["-distributor.ingestion-rate-limit-mb=1", "-distributor.ingestion-burst-size-mb=1"];
    let stack = Stack::start_with(None, Ports::Free, &limits, &[]).unwrap();
    let endpoint = format!("{}/otlp/v1/logs", stack.loki.url);
    let exporter = to(&bench, &endpoint, &["--protocol", "http/protobuf", "--batch-records", "200"]);
    bench.make(Opens::new(4, 2_500));
    let Closed { retries, lost } = close(&bench, &stack, exporter);
    assert!(retries > 0 && lost == 0, "Loki was never asked for too much, or {lost} were lost");
}
