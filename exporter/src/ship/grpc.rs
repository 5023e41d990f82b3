//! One unary call of `LogsService/Export` with bytes that are framed already.

use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, TE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version};
use http_body_util::{BodyExt, Full, Limited};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsPartialSuccess, ExportLogsServiceResponse};
use prost::Message;
use tonic::Code;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::transport::Channel;

use super::frame::{self, Compression};
use super::status::{Answer, Status};
use crate::config::Export;

const EXPORT: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

/// Why a call brought no acknowledgement.
#[derive(Debug)]
pub(super) enum Failure {
    /// No answer, or only a part of one: the connection is to blame.
    Connection(String),
    /// The receiver said so.
    Status(Status),
    /// The receiver said so, by HTTP.
    Http(Answer),
    /// There is no token to send: why.
    Token(String),
    /// The request is no request any more.
    Damaged,
}

impl Failure {
    /// Whether who we are was not believed.
    pub(super) fn is_of_authentication(&self) -> bool {
        match self {
            Self::Status(status) => matches!(status.code, Code::Unauthenticated | Code::PermissionDenied),
            Self::Http(answer) => matches!(answer.status, 401 | 403),
            _ => false,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(reason) | Self::Token(reason) => f.write_str(reason),
            Self::Http(Answer { status, message, .. }) if message.is_empty() => write!(f, "HTTP status {status}"),
            Self::Http(Answer { status, message, .. }) => write!(f, "HTTP status {status} {message:?}"),
            Self::Damaged => f.write_str("a request was damaged in memory or on disk"),
            // The receiver's words, which could hold anything.
            Self::Status(Status { code, message, .. }) => write!(f, "{code:?} {message:?}"),
        }
    }
}

/// A header of one request: whose the records are, or who sends them.
pub(super) type Tenant = (HeaderName, HeaderValue);

/// What every call begins with.
#[derive(Clone, Debug)]
pub(super) struct Head {
    uri: Uri,
    headers: HeaderMap,
}

impl Head {
    pub(super) fn new(config: &Export) -> Self {
        let mut headers = HeaderMap::new();
        for (name, value) in &config.headers {
            headers.append(name, value.clone());
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(TE, HeaderValue::from_static("trailers"));
        // grpc-go answers in the request's compression.
        headers.insert("grpc-accept-encoding", HeaderValue::from_static("identity,gzip,zstd"));
        headers.insert("grpc-timeout", milliseconds(config.timeout));
        Self { uri: Uri::from(PathAndQuery::from_static(EXPORT)), headers }
    }

    fn request(&self, frame: Bytes, compression: Compression, more: impl IntoIterator<Item = Tenant>) -> Request<Body> {
        let mut request = Request::new(Body::new(Full::new(frame)));
        *request.method_mut() = Method::POST;
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().insert("grpc-encoding", HeaderValue::from_static(compression.encoding()));
        request.headers_mut().extend(more);
        request
    }
}

/// `grpc-timeout`: at most eight digits and a unit.
fn milliseconds(timeout: Duration) -> HeaderValue {
    let milliseconds = timeout.as_millis().min(99_999_999);
    HeaderValue::from_str(&format!("{milliseconds}m")).unwrap_or(HeaderValue::from_static("10S"))
}

/// Sends one request, and returns what the receiver refused of it. The caller sets the deadline.
pub(super) async fn export(
    channel: &mut Channel,
    head: &Head,
    frame: Bytes,
    compression: Compression,
    more: impl IntoIterator<Item = Tenant>,
) -> Result<ExportLogsPartialSuccess, Failure> {
    poll_fn(|cx| channel.poll_ready(cx)).await.map_err(|error| connection(&error))?;
    let response = channel.call(head.request(frame, compression, more)).await.map_err(|error| connection(&error))?;
    let (head, body) = response.into_parts();
    if head.status != StatusCode::OK {
        return Err(Failure::Status(Status::of_http(head.status)));
    }
    let (body, status) = match Status::read(&head.headers) {
        Some(status) => (Bytes::new(), Some(status)),
        None => match Limited::new(body, frame::ANSWER_MAX).collect().await {
            Ok(answer) => {
                let status = answer.trailers().and_then(Status::read);
                (answer.to_bytes(), status)
            }
            Err(error) => return Err(connection(&*error)),
        },
    };
    match status {
        Some(status) if status.code == Code::Ok => {
            let encoding = head.headers.get("grpc-encoding").and_then(|value| value.to_str().ok());
            Ok(partial_success(&body, encoding.unwrap_or("identity")))
        }
        Some(status) => Err(Failure::Status(status)),
        None => Err(Failure::Connection("the answer has no status".to_owned())),
    }
}

/// What an acknowledgement says of refused records; nothing where it cannot be read, for it is one all the same.
fn partial_success(body: &[u8], encoding: &str) -> ExportLogsPartialSuccess {
    frame::message(body, encoding)
        .and_then(|message| ExportLogsServiceResponse::decode(&*message).ok())
        .and_then(|response| response.partial_success)
        .unwrap_or_default()
}

fn connection(error: &(dyn Error + 'static)) -> Failure {
    Failure::Connection(cause(error))
}

/// The innermost cause says most: the outer ones say "transport error".
pub(super) fn cause(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
