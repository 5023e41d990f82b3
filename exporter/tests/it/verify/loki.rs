//! `inotrail verify --loki` against a server that answers range queries as Loki does, page by page.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::process::Output;
use std::sync::{Arc, Mutex};

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Proto;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use super::{inotrail, requests, text};

const SECOND: u64 = 1_000_000_000;
/// Before all records.
const START: &str = "2026-11-21T11:30:45Z";
const START_NS: u64 = 1_795_260_645 * SECOND;
/// After them.
const END: &str = "2026-11-21T11:30:46Z";

/// A record as Loki has it.
#[derive(Clone)]
struct Entry {
    time_ns: u64,
    line: String,
    metadata: Map<String, Value>,
}

impl Entry {
    fn number(&self) -> u64 {
        self.metadata["inotrail_stream_sequence"].as_str().unwrap().parse().unwrap()
    }
}

fn entries() -> Vec<Entry> {
    let mut entries = Vec::new();
    for logs in requests().into_iter().flat_map(|request| request.resource_logs) {
        let resource = logs.resource.unwrap().attributes;
        for record in logs.scope_logs.into_iter().flat_map(|logs| logs.log_records) {
            let Some(Proto::StringValue(line)) = record.body.and_then(|body| body.value) else { panic!("no body") };
            let metadata = resource.iter().chain(&record.attributes).map(pair).collect();
            entries.push(Entry { time_ns: record.time_unix_nano, line, metadata });
        }
    }
    entries
}

fn pair(attribute: &KeyValue) -> (String, Value) {
    let value = match attribute.value.clone().and_then(|value| value.value) {
        Some(Proto::StringValue(text)) => text,
        Some(Proto::IntValue(number)) => number.to_string(),
        Some(Proto::BoolValue(truth)) => truth.to_string(),
        other => panic!("{other:?}"),
    };
    (attribute.key.replace('.', "_"), value.into())
}

/// What was asked, and the answers to come before the first real one.
#[derive(Default)]
struct Asked {
    queries: Vec<String>,
    refusals: Vec<StatusCode>,
}

/// A running server; its runtime ends it.
struct Fake {
    address: SocketAddr,
    asked: Arc<Mutex<Asked>>,
    _runtime: Runtime,
}

impl Fake {
    fn start(entries: Vec<Entry>, refusals: Vec<StatusCode>) -> Self {
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Asked { refusals, ..Asked::default() }));
        let (shared, entries) = (Arc::clone(&asked), Arc::new(entries));
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (asked, entries) = (Arc::clone(&shared), Arc::clone(&entries));
                let service = service_fn(move |request| {
                    let answer = answer(&request, &entries, &mut asked.lock().unwrap());
                    async move { Ok::<_, Infallible>(answer) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, asked, _runtime: runtime }
    }

    fn verify(&self, flags: &[&str]) -> Output {
        let url = format!("http://{}/prefix/", self.address);
        inotrail(&[&["verify", "--loki", &url, "--from", START, "--to", END], flags].concat(), &[])
    }

    fn queries(&self) -> usize {
        self.asked.lock().unwrap().queries.len()
    }
}

fn answer(request: &Request<Incoming>, entries: &[Entry], asked: &mut Asked) -> Response<String> {
    assert_eq!(request.uri().path(), "/prefix/loki/api/v1/query_range");
    assert_eq!(request.headers()["x-loki-response-encoding-flags"], "categorize-labels");
    assert_eq!(request.headers()["x-scope-orgid"], "audit");
    assert_eq!(request.headers()["authorization"], "Bearer secret");
    if let Some(status) = asked.refusals.pop() {
        return Response::builder().status(status).body("too many\n".into()).unwrap();
    }
    let url = reqwest::Url::parse(&format!("http://x{}", request.uri())).unwrap();
    let get = |name: &str| url.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned();
    let [start, end, limit] = ["start", "end", "limit"].map(|name| get(name).parse::<u64>().unwrap());
    let query = get("query");
    // What verify adds to the selector.
    let bound = |operator: &str| {
        let (_, rest) = query.split_once(&format!("| inotrail_stream_sequence{operator}"))?;
        rest.split(' ').next().unwrap().parse().ok()
    };
    let numbers = bound(">=").unwrap_or(0)..=bound("<=").unwrap_or(u64::MAX);
    let run = query.split_once("| inotrail_stream_id=\"").map(|(_, rest)| rest.trim_end_matches('"').to_owned());
    let is_wanted = |entry: &&Entry| {
        (start..end).contains(&entry.time_ns)
            && numbers.contains(&entry.number())
            && run.as_ref().is_none_or(|run| entry.metadata["inotrail_stream_id"] == **run)
    };
    let mut found: Vec<&Entry> = entries.iter().filter(is_wanted).collect();
    found.sort_by_key(|entry| entry.time_ns);
    if get("direction") == "backward" {
        found.reverse();
    }
    asked.queries.push(query);
    let streams = found.iter().take(limit as usize).map(|entry| {
        let mut metadata = entry.metadata.clone();
        let service = metadata.remove("service_name");
        let value = json!([entry.time_ns.to_string(), entry.line, { "structuredMetadata": metadata }]);
        json!({ "stream": { "service_name": service }, "values": [value] })
    });
    let body =
        json!({ "status": "success", "data": { "resultType": "streams", "result": streams.collect::<Vec<_>>() } });
    Response::new(body.to_string())
}

/// Verifies the entries with pages of so many records.
#[track_caller]
fn check(entries: Vec<Entry>, page: &str, code: i32, expected: &[&str]) {
    check_refused(entries, vec![], page, code, expected);
}

/// The same where requests are refused first.
#[track_caller]
fn check_refused(entries: Vec<Entry>, refusals: Vec<StatusCode>, page: &str, code: i32, expected: &[&str]) {
    let token = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&token, "secret\n").unwrap();
    let fake = Fake::start(entries, refusals);
    let token = token.path().to_str().unwrap();
    let output = fake.verify(&["--page", page, "--tenant", "audit", "--bearer-token-file", token]);
    let text = text(&output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for expected in expected {
        assert!(text.contains(expected), "{expected} in {text}");
    }
    assert!(fake.queries() > 0);
}

#[test]
fn nothing_is_missed_or_read_twice_at_the_borders_of_pages() {
    // Up to eight have one time: smaller pages are read by numbers.
    for page in ["1000", "84", "83", "82", "9", "8", "7", "6", "5"] {
        check(entries(), page, 0, &["       6       83       0        0 ", "complete: every record"]);
    }
    // Four have one time and number, and a full page may have cut more off.
    check(entries(), "4", 1, &["Loki has 4 records of one time and number, or more: allow more by --page"]);
}

#[test]
fn a_busy_loki_is_asked_again() {
    let busy = vec![StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE];
    check_refused(entries(), busy, "50", 0, &["complete: every record"]);
}

#[test]
fn all_records_of_one_time_are_read_by_their_numbers() {
    let mut entries = entries();
    for entry in &mut entries {
        entry.time_ns = START_NS + 7;
    }
    check(entries.clone(), "10", 0, &["complete: every record", "      83       0        0 "]);
    entries.remove(40);
    check(entries, "10", 1, &["NOT complete", "1 record is missing"]);
}

#[test]
fn removing_any_record_is_found() {
    for gone in (0..83).step_by(5) {
        let mut entries = entries();
        entries.remove(gone);
        check(entries, "9", i32::from(gone != 82), &[]);
    }
}

#[test]
fn a_run_that_began_before_the_window_is_proven_from_its_first_number_on() {
    // The first three records of each of four containers were made the day before, two hours, or not at all.
    let before = |age_ns: u64| {
        let mut entries = entries();
        for entry in &mut entries[..12] {
            entry.time_ns = START_NS - age_ns;
        }
        entries
    };
    for age_ns in [1, 7200 * SECOND, 6 * 24 * 3600 * SECOND] {
        let expected =
            ["complete so far", "not proven: what is before the part that was read: of 4 series the first numbers"];
        check(before(age_ns), "100", 0, &expected);
    }
    let gap = "shop/web-7d4b9/web (container 0123456789ab): inotrail.file.access 1-3";
    check(entries()[12..].to_vec(), "100", 1, &["12 records are missing", gap]);
    // A hole after the first number is one all the same.
    let mut holes = before(1);
    holes.remove(20);
    check(holes, "100", 1, &["1 record is missing"]);
}

#[test]
fn refusals_are_told() {
    let fake = Fake::start(entries(), vec![StatusCode::BAD_REQUEST]);
    let token = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&token, "secret").unwrap();
    let output = fake.verify(&["--tenant", "audit", "--bearer-token-file", token.path().to_str().unwrap()]);
    assert_eq!(
        (output.status.code(), &*text(&output)),
        (Some(1), "inotrail: Loki refuses with 400 Bad Request: too many\n")
    );
    let output = inotrail(&["verify", "--loki", "http://127.0.0.1:1"], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output).contains("inotrail: cannot ask Loki: ") && text(&output).contains("refused"),
        "{}",
        text(&output)
    );
}
