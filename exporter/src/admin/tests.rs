use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::event::Backend;
use crate::metrics::{self, KernelState, Source};
use crate::sensor::RingFill;
use crate::sensor::backend::Misses;

fn start() -> (SocketAddr, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::default());
    let kernel = || KernelState {
        backend: Backend::Kprobe,
        misses: Misses::Never,
        swaps: 0,
        counts: Vec::new(),
        ring: RingFill::default(),
    };
    let registry = metrics::registry(&Source::new(&metrics, kernel));
    let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("bind");
    let listener = TcpListener::from_std(listener).expect("a listener");
    let address = listener.local_addr().expect("address");
    tokio::spawn(serve(listener, Arc::new(Shown { registry, metrics: Arc::clone(&metrics) })));
    (address, metrics)
}

async fn request(address: SocketAddr, line: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.expect("connect");
    let request = format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("write");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("read");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("status");
    (status, answer)
}

#[tokio::test]
async fn readiness_names_what_is_degraded() {
    let (address, metrics) = start();
    metrics.health.sensor.set(true);
    let books = metrics.open_books("siem");
    books.set_health(Err("no \n".to_owned()));
    assert!(
        request(address, "GET /readyz").await.1.ends_with("export siem degraded: \"no \\n\"\nspool ok\nconfig ok\n")
    );
    books.set_health(Ok(()));
    let (status, answer) = request(address, "GET /readyz").await;
    assert_eq!(status, 503);
    assert!(answer.ends_with("sensor ok\nruntime degraded\nexport siem ok\nspool ok\nconfig ok\n"), "{answer}");
    assert_eq!(request(address, "GET /livez").await.0, 200);
    metrics.health.runtime.set(true);
    assert_eq!(request(address, "GET /readyz").await.0, 200);
    metrics.health.spool.set(Some("full".to_owned()));
    let (status, answer) = request(address, "GET /readyz").await;
    assert!(status == 503 && answer.ends_with("spool degraded: \"full\"\nconfig ok\n"), "{answer}");
    metrics.health.spool.set(None);
    // The one in force goes on.
    metrics.health.config.set(Some("a \"\n".to_owned()));
    let (status, answer) = request(address, "GET /readyz").await;
    assert!(status == 200 && answer.ends_with("config degraded: \"a \\\"\\n\"\n"), "{answer}");
}

#[tokio::test]
async fn metrics_are_open_metrics() {
    let (address, metrics) = start();
    metrics.emitted.inc_by(42);
    let (status, answer) = request(address, "GET /metrics").await;
    assert_eq!(status, 200);
    assert!(answer.contains("content-type: application/openmetrics-text; version=1.0.0"), "{answer}");
    assert!(answer.contains("\ninotrail_events_total 42\n"), "{answer}");
    assert!(answer.ends_with("# EOF\n"));
}

#[tokio::test]
async fn other_requests_are_refused() {
    let (address, _metrics) = start();
    assert_eq!(request(address, "POST /metrics").await.0, 405);
    assert_eq!(request(address, "GET /").await.0, 404);
    assert_eq!(request(address, "nonsense").await.0, 400);
    assert_eq!(request(address, "GET /livez?verbose").await.0, 200);
}

#[tokio::test]
async fn idle_connections_do_not_shut_others_out() {
    let (address, _metrics) = start();
    let mut idle = Vec::new();
    for _ in 0..CONNECTIONS - 1 {
        idle.push(TcpStream::connect(address).await.expect("connect"));
    }
    assert_eq!(request(address, "GET /livez").await.0, 200);
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = taken.local_addr().expect("address");
    let error = bind(address).expect_err("in use");
    let text = error.to_string();
    assert!(text.contains(&address.to_string()) && text.contains("--listen"), "{text}");
}
