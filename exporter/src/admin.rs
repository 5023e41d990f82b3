//! The administration server: `/livez`, `/readyz`, `/metrics`.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::io;
use std::net::{self, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::metrics::{Health, Metrics};

/// A connection that has not sent its request by then is closed.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection is closed after this time whatever it does.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);
/// Most connections at a time; more wait in the kernel's backlog. The kubelet and two scrapers use four.
const CONNECTIONS: usize = 16;
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// The address cannot be listened on.
#[derive(Debug, Error)]
#[error("cannot listen on {address}: {cause}; choose another address with --listen")]
pub struct Error {
    address: SocketAddr,
    cause: io::Error,
}

/// What the server shows.
#[derive(Debug)]
pub struct Shown {
    /// All counts.
    pub registry: Registry,
    /// Where health is read.
    pub metrics: Arc<Metrics>,
}

/// Takes the address, so that a port in use is known before anything else starts. Does not block, for tokio to take it.
///
/// # Errors
/// It is taken, or not this host's.
pub fn bind(address: SocketAddr) -> Result<net::TcpListener, Error> {
    let listener = net::TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    listener.map_err(|cause| Error { address, cause })
}

/// Serves until it is dropped.
pub async fn serve(listener: TcpListener, shown: Arc<Shown>) -> Infallible {
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { std::future::pending().await };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "the administration server cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let shown = Arc::clone(&shown);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let response = respond(&request, &shown);
                async move { Ok::<_, Infallible>(response) }
            });
            let mut server = http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
            let connection = server.serve_connection(TokioIo::new(stream), service);
            // A client that goes away is its own business.
            let _gone = tokio::time::timeout(CONNECTION_TIMEOUT, connection).await;
            drop(permit);
        });
    }
}

fn respond(request: &Request<Incoming>, shown: &Shown) -> Response<Full<Bytes>> {
    let known = matches!(request.uri().path(), "/livez" | "/readyz" | "/metrics");
    if known && !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET\n".to_owned());
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match request.uri().path() {
        "/livez" => plain(StatusCode::OK, "ok\n".to_owned()),
        "/readyz" => ready(&shown.metrics.health),
        "/metrics" => metrics(&shown.registry),
        _ => plain(StatusCode::NOT_FOUND, "there are /livez, /readyz and /metrics\n".to_owned()),
    }
}

/// One line per part: `runtime ok`, or `export default degraded: "connection refused"`.
fn ready(health: &Health) -> Response<Full<Bytes>> {
    let flag = |part: &str, is_well, why: &str| (part.to_owned(), is_well, why.to_owned());
    let mut parts = vec![
        flag("sensor", health.sensor.get(), ": the programs report no accesses"),
        flag("runtime", health.runtime.get(), ""),
    ];
    for books in health.export.all() {
        // A receiver's words may be in it.
        parts.push(flag(&format!("export {}", books.name), books.is_well(), &format!(": {:?}", books.why())));
    }
    let why = |problem: &Option<String>| format!(": {:?}", problem.as_deref().unwrap_or_default());
    let spool = health.spool.get();
    parts.push(flag("spool", spool.is_none(), &why(&spool)));
    let status = if parts.iter().all(|part| part.1) { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    // What is in force goes on: no reason to take the exporter for ill.
    let config = health.config.get();
    parts.push(flag("config", config.is_none(), &why(&config)));
    let line = |(part, is_well, why): (String, bool, String)| {
        if is_well { format!("{part} ok\n") } else { format!("{part} degraded{why}\n") }
    };
    plain(status, parts.into_iter().map(line).collect())
}

fn metrics(registry: &Registry) -> Response<Full<Bytes>> {
    let mut body = String::with_capacity(8 << 10);
    match text::encode(&mut body, registry) {
        Ok(()) => reply(StatusCode::OK, OPEN_METRICS, body),
        Err(error) => {
            body.clear();
            let _infallible = writeln!(body, "{error}");
            plain(StatusCode::INTERNAL_SERVER_ERROR, body)
        }
    }
}

fn plain(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    reply(status, TEXT, body)
}

fn reply(status: StatusCode, content_type: HeaderValue, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

#[cfg(test)]
mod tests;
