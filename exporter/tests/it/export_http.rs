//! Shipping by OTLP over HTTP to a server on loopback.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use inotrail::config::Export;
use inotrail::config::choice::Protocol;
use inotrail::metrics::{Dropped, Metrics};
use inotrail::ship;
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use prost::Message;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, timeout};

use super::requests::{Queue, config, request, settled};

/// Number of the call, its headers -> status, headers and body of the answer.
type Script = dyn Fn(usize, &HeaderMap) -> (u16, Vec<(&'static str, String)>, Vec<u8>) + Send + Sync;

#[derive(Clone)]
struct Server {
    at: SocketAddr,
    state: Arc<State>,
}

struct State {
    script: Box<Script>,
    /// Of each call: path and headers.
    calls: Mutex<Vec<(String, HeaderMap)>>,
    /// Records of requests that were answered well.
    taken: Mutex<u64>,
}

impl Server {
    async fn start(
        script: impl Fn(usize, &HeaderMap) -> (u16, Vec<(&'static str, String)>, Vec<u8>) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let state = Arc::new(State { script: Box::new(script), calls: Mutex::default(), taken: Mutex::default() });
        let this = Self { at, state: Arc::clone(&state) };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&state);
                let answer = service_fn(move |request| answer(Arc::clone(&state), request));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
            }
        });
        this
    }

    fn calls(&self) -> Vec<(String, HeaderMap)> {
        self.state.calls.lock().unwrap().clone()
    }

    fn config(&self) -> Export {
        let endpoint = format!("http://{}/v1/logs", self.at).parse().unwrap();
        Export { endpoint, protocol: Protocol::HttpProtobuf, ..config() }
    }
}

async fn answer(state: Arc<State>, request: Request<Incoming>) -> hyper::Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    // The look whether anybody is there.
    if head.method != http::Method::POST {
        return Ok(Response::new(Full::default()));
    }
    let number = {
        let mut calls = state.calls.lock().unwrap();
        calls.push((head.uri.path().to_owned(), head.headers.clone()));
        calls.len() - 1
    };
    let (status, headers, answer) = (state.script)(number, &head.headers);
    if status < 300 {
        let encoding = head.headers.get("content-encoding").map(|value| value.to_str().unwrap().to_owned());
        *state.taken.lock().unwrap() += records(&body, encoding.as_deref());
    }
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    Ok(response.body(Full::from(answer)).unwrap())
}

fn records(body: &[u8], encoding: Option<&str>) -> u64 {
    let body = match encoding {
        Some("zstd") => zstd::bulk::decompress(body, 1 << 24).unwrap(),
        Some("gzip") => {
            let mut out = Vec::new();
            std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(body), &mut out).unwrap();
            out
        }
        Some(other) => panic!("{other}"),
        None => body.to_vec(),
    };
    let request = ExportLogsServiceRequest::decode(&*body).unwrap();
    let logs = request.resource_logs.iter().flat_map(|logs| &logs.scope_logs);
    logs.map(|logs| logs.log_records.len() as u64).sum()
}

/// Sends three records, and returns what became of accesses: delivered, rejected.
async fn three(server: &Server, config: &Export) -> (u64, u64) {
    let metrics = Metrics::default();
    let queue = Queue::new(&metrics, 16 << 20, |journal, books| ship::spawn(config, 0, journal, books).unwrap());
    queue.offer(request(1, 3, 20));
    let all = async {
        while settled(&metrics) < 3 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(timeout(Duration::from_secs(60), all).await.is_ok(), "{:?}", server.calls());
    queue.drain(Instant::now() + Duration::from_secs(5)).await;
    (metrics.delivered.get(), metrics.dropped(Dropped::Rejected).get())
}

fn plain(status: u16) -> (u16, Vec<(&'static str, String)>, Vec<u8>) {
    (status, Vec::new(), Vec::new())
}

#[tokio::test(flavor = "multi_thread")]
async fn delivered_with_all_that_belongs_to_it() {
    let server = Server::start(|_, _| plain(200)).await;
    let token = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&token, "hunter2\n").unwrap();
    let config = Export {
        token_file: Some(token.path().to_owned()),
        headers: vec![(HeaderName::from_static("x-one"), "1".parse().unwrap())],
        tenant_header: Some(HeaderName::from_static("x-scope-orgid")),
        ..server.config()
    };
    assert_eq!(three(&server, &config).await, (3, 0));
    let (path, headers) = server.calls().remove(0);
    assert_eq!(path, "/v1/logs");
    for (name, expected) in [
        ("content-type", Some("application/x-protobuf")),
        ("content-encoding", Some("zstd")),
        ("authorization", Some("Bearer hunter2")),
        ("x-one", Some("1")),
        // These have no tenant.
        ("x-scope-orgid", None),
    ] {
        assert_eq!(headers.get(name).map(|value| value.to_str().unwrap()), expected, "{name}");
    }
    assert!(headers["user-agent"].to_str().unwrap().starts_with("inotrail/"));
    assert_eq!(*server.state.taken.lock().unwrap(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn compression_falls_back() {
    for (known, expected) in [("gzip", Some("gzip")), ("none", None)] {
        let server = Server::start(move |_, headers| {
            let is_known = headers.get("content-encoding").is_none_or(|encoding| encoding == known);
            if is_known {
                plain(200)
            } else if known == "none" {
                plain(415)
            } else {
                (400, Vec::new(), b"unsupported Content-Encoding: zstd".to_vec())
            }
        })
        .await;
        assert_eq!(three(&server, &server.config()).await, (3, 0));
        let last = server.calls().pop().unwrap().1;
        assert_eq!(last.get("content-encoding").map(|value| value.to_str().unwrap()), expected);
        assert_eq!(*server.state.taken.lock().unwrap(), 3);
    }
}

/// Three records that are answered once by each of these statuses, and then taken: delivered and rejected, calls, and at
/// least so long between the first two.
async fn once(statuses: &[u16], expected: (u64, u64), calls: usize, wait: Duration) {
    let one = async |status: u16| {
        let start = Instant::now();
        let server = Server::start(move |call, _| {
            if call > 0 { plain(200) } else { (status, vec![("retry-after", "1".to_owned())], Vec::new()) }
        })
        .await;
        assert_eq!(three(&server, &server.config()).await, expected, "{status}");
        assert_eq!(server.calls().len(), calls, "{status}");
        assert!(start.elapsed() >= wait, "{status}: {:?}", start.elapsed());
    };
    futures_util::future::join_all(statuses.iter().map(|status| one(*status))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_status() {
    let (delivered, rejected) = ((3, 0), (0, 3));
    let asked = Duration::from_secs(1);
    // Half of the longest pause.
    let seldom = Duration::from_secs(15);
    tokio::join!(
        once(&[408, 429, 502, 503, 504], delivered, 2, asked),
        once(&[413], delivered, 3, Duration::ZERO),
        once(&[415], delivered, 2, Duration::ZERO),
        once(&[301, 302, 307, 308, 401, 403, 404, 405, 407], delivered, 2, seldom),
        once(&[400, 409, 421, 422, 431, 500, 501, 505, 520], rejected, 1, Duration::ZERO),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partial_success_is_not_sent_again() {
    let server = Server::start(|_, _| {
        let partial = ExportLogsPartialSuccess { rejected_log_records: 1, error_message: "no".to_owned() };
        (200, Vec::new(), ExportLogsServiceResponse { partial_success: Some(partial) }.encode_to_vec())
    })
    .await;
    assert_eq!(three(&server, &server.config()).await, (2, 1));
    assert_eq!(server.calls().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_redirected() {
    let other = Server::start(|_, _| plain(200)).await;
    let to = format!("http://{}/v1/logs", other.at);
    let server = Server::start(move |_, _| (307, vec![("location", to.clone())], Vec::new())).await;
    let metrics = Metrics::default();
    let config = server.config();
    let queue = Queue::new(&metrics, 16 << 20, |journal, books| ship::spawn(&config, 0, journal, books).unwrap());
    queue.offer(request(1, 3, 20));
    let refused = || metrics.health.export.all()[0].why().contains("307");
    let seen = async {
        while !refused() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(timeout(Duration::from_secs(60), seen).await.is_ok());
    queue.drain(Instant::now()).await;
    assert_eq!((other.calls().len(), metrics.dropped(Dropped::Shutdown).get()), (0, 3));
}
