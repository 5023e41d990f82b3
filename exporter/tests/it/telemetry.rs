//! The exporter's own metrics and log messages, at a real receiver.

mod numbers;
mod receiver;

use std::collections::BTreeMap;
use std::fmt::{Debug, Write as _};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use inotrail::config::choice::Compression;
use inotrail::config::{self, Export};
use inotrail::container::source::Source as Teller;
use inotrail::event::{Backend, Node};
use inotrail::metrics::{Dropped, KernelCount, KernelState, Metrics, Source, Waiting, families, registry};
use inotrail::sensor::RingFill;
use inotrail::sensor::backend::Misses;
use inotrail::telemetry::{OwnLogs, Telemetry};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::resource::v1::Resource;
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};

use receiver::Receiver;

fn to(at: SocketAddr, interval: Duration, logs: bool) -> config::Telemetry {
    let mut secret = http::HeaderValue::from_static("Bearer secret");
    secret.set_sensitive(true);
    let export = Export {
        endpoint: format!("http://{at}/").parse().unwrap(),
        headers: vec![(http::header::AUTHORIZATION, secret)],
        compression: Compression::Gzip,
        ..super::requests::config()
    };
    config::Telemetry { export, interval, logs }
}

const NEVER: Duration = Duration::from_secs(3600);

fn node() -> Node {
    Node { name: "node-1".into(), cluster: "prod".into(), host: "host-1".into(), stream_id: "run-1".into() }
}

fn source() -> Arc<Source> {
    let kernel = || KernelState {
        backend: Backend::Kprobe,
        misses: Misses::Counted,
        swaps: 1,
        counts: vec![
            KernelCount { program: "sys_exit", counter: "emitted", value: 5 },
            KernelCount { program: "kprobe", counter: "emitted", value: 6 },
        ],
        ring: RingFill { size: 4096, used: 16, peak: 32 },
    };
    Source::new(&Arc::new(Metrics::default()), kernel)
}

/// Counts of everything that has labels, and of some that has none.
fn count(metrics: &Metrics) {
    metrics.emitted.inc_by(7);
    metrics.dropped(Dropped::RingFull).inc_by(3);
    metrics.resolved(Teller::Nri).inc_by(2);
    metrics.filter_entries[1].set(9);
    metrics.policies.set(4);
    metrics.health.sensor.set(true);
    for name in ["siem", "default"] {
        let books = metrics.open_books(name);
        books.deliver(4, 3);
        books.lose(Dropped::Expired, 6, 2);
        books.retry();
        books.sent(100);
        books.set_health(Ok(()));
        books.set_waiting(Waiting { requests: 1, bytes: 2, accesses: 3, oldest_ns: 4_900_000_000 });
        books.durations.enter(name, None, Duration::from_millis(30));
        books.durations.enter(name, None, Duration::from_millis(250));
        books.durations.enter(name, Some(Dropped::Expired), Duration::from_secs(7000));
    }
}

/// Waits for a condition, and fails where it does not come true.
async fn until(what: &str, condition: impl Fn() -> bool) {
    let met = async {
        while !condition() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(timeout(Duration::from_secs(30), met).await.is_ok(), "in vain: {what}");
}

fn text_of(source: &Arc<Source>) -> String {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry(source)).unwrap();
    text
}

fn attributes(resource: &Resource) -> BTreeMap<&str, &str> {
    let pairs = resource.attributes.iter().filter_map(|attribute| match attribute.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some((&*attribute.key, &**text)),
        _ => None,
    });
    pairs.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_those_of_the_page() {
    let receiver = Receiver::default();
    let at = receiver.serve().await;
    let source = source();
    let telemetry = Telemetry::start(&to(at, NEVER, false), &node(), &source, &OwnLogs::default()).unwrap();
    count(&source.metrics);
    let text = text_of(&source);
    // Nothing is due for an hour: it is the stop that exports.
    let start = Instant::now();
    tokio::task::block_in_place(|| telemetry.stop());
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    let requests = receiver.metrics();
    let [(head, request)] = &*requests else { panic!("{} requests", requests.len()) };
    assert_eq!(head.get("authorization").unwrap(), "Bearer secret");
    assert_eq!(head.get("grpc-encoding").unwrap(), "gzip");

    let (mut expected, mut found) = (numbers::of_text(&text), numbers::of_request(request));
    let all = expected.len();
    assert!(all > 130, "{all}");
    // Time goes on.
    let moves = |name: &str| name.starts_with("process_");
    let kept = |numbers: &numbers::Numbers| numbers.keys().filter(|key| moves(&key.0)).cloned().collect::<Vec<_>>();
    assert_eq!(kept(&expected), kept(&found));
    assert_eq!(kept(&found).len(), 4);
    expected.retain(|key, _| !moves(&key.0));
    found.retain(|key, _| !moves(&key.0));
    assert_eq!(found, expected);
    for family in families::all() {
        assert!(text.contains(family.name), "{} is nowhere", family.name);
    }

    let resource = request.resource_metrics[0].resource.as_ref().unwrap();
    let attributes = attributes(resource);
    for (key, value) in [
        ("service.name", "inotrail"),
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("service.instance.id", "run-1"),
        ("host.name", "host-1"),
        ("k8s.node.name", "node-1"),
        ("k8s.cluster.name", "prod"),
    ] {
        assert_eq!(attributes.get(key), Some(&value), "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_interval_has_what_there_is_then() {
    let receiver = Receiver::default();
    let at = receiver.serve().await;
    let source = source();
    let config = to(at, Duration::from_millis(20), false);
    let telemetry = Telemetry::start(&config, &node(), &source, &OwnLogs::default()).unwrap();
    let last = || {
        let requests = receiver.metrics();
        let numbers = requests.last().map(|(_, request)| numbers::of_request(request)).unwrap_or_default();
        numbers.get(&("inotrail_events_total".to_owned(), vec![])).copied()
    };
    for expected in [0.0, 5.0, 10.0] {
        until("the number", || last() == Some(expected)).await;
        source.metrics.emitted.inc_by(5);
    }
    tokio::task::block_in_place(|| telemetry.stop());
    assert_eq!(last(), Some(15.0));
}

/// Words about the telemetry itself, each with the receiver's address.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber> Layer<S> for Lines {
    fn enabled(&self, metadata: &tracing::Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target().starts_with("inotrail::telemetry") || metadata.target() == WORDS
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }
}

#[derive(Default)]
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{field}={value:?} ").unwrap();
    }
}

/// What the test says.
const WORDS: &str = "inotrail::words_of_a_test";

/// The process's subscriber: it alone hears the library's threads.
fn lines() -> &'static Lines {
    static LINES: OnceLock<Lines> = OnceLock::new();
    LINES.get_or_init(|| {
        let lines = Lines::default();
        let subscriber = tracing_subscriber::registry().with(lines.clone()).with(OwnLogs::global());
        tracing::subscriber::set_global_default(subscriber).unwrap();
        lines
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_down_is_told_of_once_and_never_to_itself() {
    let lines = lines();
    let receiver = Receiver::default();
    receiver.set_down(true);
    let at = receiver.serve().await;
    let about =
        || lines.0.lock().unwrap().iter().filter(|line| line.contains(&at.to_string())).cloned().collect::<Vec<_>>();
    let config = to(at, Duration::from_millis(10), true);
    let telemetry = Telemetry::start(&config, &node(), &source(), &OwnLogs::global()).unwrap();
    tracing::info!(target: WORDS, number = 7, "before");
    until("failures", || receiver.refused()[0] > 20 && receiver.refused()[1] > 1).await;
    until("its words", || about().iter().any(|line| line.contains("not take metrics"))).await;
    assert!(about().len() <= 2, "{:?}", about());

    receiver.set_down(false);
    tracing::info!(target: WORDS, "after");
    until("messages", || !receiver.logs().is_empty()).await;
    until("metrics", || receiver.metrics().len() > 20).await;
    tokio::task::block_in_place(|| telemetry.stop());
    let (about, logs) = (about(), receiver.logs());
    let takes = |what: &str| about.iter().filter(|line| line.contains(&format!("receiver takes {what}"))).count();
    let fails = |what: &str| about.iter().filter(|line| line.contains(&format!("does not take {what}"))).count();
    assert_eq!((takes("metrics"), fails("metrics"), takes("log messages")), (1, 1, 1), "{about:?}");
    assert!(fails("log messages") <= 1 && about.iter().all(|line| !line.contains("secret")), "{about:?}");

    let scopes = logs.iter().flat_map(|(_, request)| &request.resource_logs).flat_map(|logs| &logs.scope_logs);
    let scopes: Vec<_> = scopes.collect();
    assert!(scopes.iter().all(|logs| logs.scope.as_ref().unwrap().name == WORDS), "{scopes:?}");
    let records = scopes.iter().flat_map(|logs| &logs.log_records);
    let bodies: Vec<_> = records.map(|record| record.body.clone().unwrap().value.unwrap()).collect();
    // The first one may have been given up.
    let says = |word: &str| bodies.iter().filter(|body| **body == Value::StringValue(word.to_owned())).count();
    assert!(says("after") == 1 && says("before") + 1 == bodies.len(), "{bodies:?}");
    assert!(logs.iter().all(|(head, _)| head.get("authorization").unwrap() == "Bearer secret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_silent_delays_no_stop() {
    // It takes connections, and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = to(listener.local_addr().unwrap(), Duration::from_millis(10), true);
    let telemetry = Telemetry::start(&config, &node(), &source(), &OwnLogs::default()).unwrap();
    let _connection = timeout(Duration::from_secs(10), listener.accept()).await.unwrap().unwrap();
    let start = Instant::now();
    tokio::task::block_in_place(|| telemetry.stop());
    let took = start.elapsed();
    assert!((1900..2500).contains(&took.as_millis()), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there_delays_no_stop() {
    let at = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let telemetry = Telemetry::start(&to(at, NEVER, true), &node(), &source(), &OwnLogs::default()).unwrap();
    let start = Instant::now();
    tokio::task::block_in_place(|| drop(telemetry));
    assert!(start.elapsed() < Duration::from_millis(2500), "{:?}", start.elapsed());
}
