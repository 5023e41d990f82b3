//! How a call ended, by the answer's headers or trailers.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use prost::Message;
use tonic::Code;
use tonic::metadata::MetadataMap;

/// A call's end (grpc/doc/statuscodes.md), with what the receiver said about trying again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) code: Code,
    /// Whatever the receiver wrote: not to be trusted in a log without quotes.
    pub(super) message: String,
    /// `google.rpc.RetryInfo.retry_delay`
    pub(super) retry_after: Option<Duration>,
}

/// An HTTP answer that is no success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// As above.
    pub(super) message: String,
    /// `Retry-After`
    pub(super) retry_after: Option<Duration>,
}

impl Answer {
    /// Whether it is the compression that is refused.
    pub(super) fn is_about_encoding(&self) -> bool {
        let message = self.message.to_ascii_lowercase();
        message.contains("content-encoding") || message.contains("content encoding")
    }
}

/// Longest message that is kept.
pub(super) const MESSAGE_MAX: usize = 256;

/// google/rpc/status.proto
#[derive(Clone, PartialEq, Message)]
pub(super) struct RpcStatus {
    #[prost(string, tag = "2")]
    pub(super) message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

/// google/protobuf/any.proto
#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// google/rpc/`error_details`.proto
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<ProtoDuration>,
}

/// google/protobuf/duration.proto
#[derive(Clone, PartialEq, Message)]
struct ProtoDuration {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

impl Status {
    /// The status in headers or trailers, if they have one.
    ///
    /// Not `tonic::Status::from_header_map`: that one panics where the details are not base64.
    pub(super) fn read(headers: &HeaderMap) -> Option<Self> {
        let code = Code::from_bytes(headers.get("grpc-status")?.as_bytes());
        let message = headers.get("grpc-message").map_or(&[][..], |message| message.as_bytes());
        let message = String::from_utf8_lossy(&message[..message.len().min(MESSAGE_MAX)]).into_owned();
        let metadata = MetadataMap::from_headers(headers.clone());
        let details = metadata.get_bin("grpc-status-details-bin").and_then(|details| details.to_bytes().ok());
        Some(Self { code, message, retry_after: details.and_then(|details| retry_after(&details)) })
    }

    /// The status that an HTTP error stands for (grpc/doc/http-grpc-status-mapping.md).
    pub(super) fn of_http(status: StatusCode) -> Self {
        let code = match status.as_u16() {
            400 => Code::Internal,
            401 => Code::Unauthenticated,
            403 => Code::PermissionDenied,
            404 => Code::Unimplemented,
            429 | 502 | 503 | 504 => Code::Unavailable,
            _ => Code::Unknown,
        };
        Self { code, message: format!("HTTP status {status}"), retry_after: None }
    }
}

fn retry_after(details: &[u8]) -> Option<Duration> {
    let status = RpcStatus::decode(details).ok()?;
    let info = status.details.iter().find(|any| any.type_url.ends_with("/google.rpc.RetryInfo"))?;
    let delay = RetryInfo::decode(&*info.value).ok()?.retry_delay?;
    let nanos = u32::try_from(delay.nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    Some(Duration::new(u64::try_from(delay.seconds).ok()?, nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn statuses() {
        let check = |pairs: &[(&'static str, &str)], expected: Option<(Code, &str, Option<u64>)>| {
            let status = Status::read(&headers(pairs));
            let expected = expected.map(|(code, message, seconds)| Status {
                code,
                message: message.into(),
                retry_after: seconds.map(Duration::from_secs),
            });
            assert_eq!(status, expected, "{pairs:?}");
        };
        check(&[], None);
        check(&[("grpc-status", "0")], Some((Code::Ok, "", None)));
        check(&[("grpc-status", "14"), ("grpc-message", "queue full")], Some((Code::Unavailable, "queue full", None)));
        check(&[("grpc-status", "banana")], Some((Code::Unknown, "", None)));
        let details = |details| [("grpc-status", "8"), ("grpc-status-details-bin", details)];
        for broken in ["not base64!", "====", "AAAA", "/w=="] {
            check(&details(broken), Some((Code::ResourceExhausted, "", None)));
        }
    }

    #[test]
    fn delays() {
        let check = |type_url: &str, delay: Option<ProtoDuration>, expected| {
            let value = RetryInfo { retry_delay: delay.clone() }.encode_to_vec();
            let status = RpcStatus {
                message: String::new(),
                details: vec![Any::default(), Any { type_url: type_url.into(), value }],
            };
            assert_eq!(retry_after(&status.encode_to_vec()), expected, "{type_url} {delay:?}");
        };
        let url = "type.googleapis.com/google.rpc.RetryInfo";
        let seconds = |seconds, nanos| Some(ProtoDuration { seconds, nanos });
        check(url, seconds(3, 500_000_000), Some(Duration::from_millis(3500)));
        check(url, seconds(0, 0), Some(Duration::ZERO));
        check(url, seconds(i64::MAX, 999_999_999), Some(Duration::new(i64::MAX as u64, 999_999_999)));
        check(url, seconds(-1, 0), None);
        check(url, seconds(1, -1), None);
        check(url, seconds(1, i32::MAX), None);
        check(url, None, None);
        check("type.googleapis.com/google.rpc.ErrorInfo", seconds(3, 0), None);
    }

    #[test]
    fn http_errors() {
        let check = |status, expected| {
            assert_eq!(Status::of_http(StatusCode::from_u16(status).unwrap()).code, expected, "{status}");
        };
        check(503, Code::Unavailable);
        check(401, Code::Unauthenticated);
        check(404, Code::Unimplemented);
        check(500, Code::Unknown);
        check(302, Code::Unknown);
    }
}
