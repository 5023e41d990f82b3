//! One request of OTLP over HTTP, with a body that is compressed already.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Uri};
use jiff::fmt::rfc2822;
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsPartialSuccess, ExportLogsServiceResponse};
use prost::Message;
use reqwest::{Certificate, Client, Identity, Response, Url};

use super::frame::ANSWER_MAX;
use super::grpc::{Failure, Tenant, cause};
use super::status::{Answer, MESSAGE_MAX, RpcStatus};
use super::{CONNECT_TIMEOUT, Error, PING_AFTER, PING_TIMEOUT, USER_AGENT};
use crate::config::Export;
use crate::config::choice::Compression;

const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");

/// A receiver, which need not be there.
#[derive(Clone, Debug)]
pub(super) struct Http {
    client: Client,
    url: Url,
    headers: Arc<HeaderMap>,
}

impl Http {
    /// Connects to nothing yet. Proxies are those of the environment.
    pub(super) fn new(uri: &Uri, config: &Export) -> Result<Self, Error> {
        // An error says that one was chosen before.
        drop(rustls::crypto::ring::default_provider().install_default());
        let mut builder = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(PING_AFTER)
            .http2_keep_alive_timeout(PING_TIMEOUT)
            .tcp_keepalive(PING_AFTER)
            // It would send the headers, and secrets in them, to wherever the receiver says.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(USER_AGENT);
        if let Some(ca) = &config.tls.ca {
            builder = builder.tls_certs_only(Certificate::from_pem_bundle(ca).map_err(Error::Http)?);
        }
        if let Some((certificate, key)) = &config.tls.identity {
            let identity = Identity::from_pem(&[&**certificate, b"\n", key].concat()).map_err(Error::Http)?;
            builder = builder.identity(identity);
        }
        let mut headers = HeaderMap::new();
        for (name, value) in &config.headers {
            headers.append(name, value.clone());
        }
        headers.insert(CONTENT_TYPE, PROTOBUF);
        let url = uri.to_string().parse().map_err(|_| Error::Url(uri.clone()))?;
        Ok(Self { client: builder.build().map_err(Error::Http)?, url, headers: Arc::new(headers) })
    }

    /// Sends one request, and returns what the receiver refused of it. The caller sets the deadline.
    pub(super) async fn export(
        &self,
        body: Bytes,
        compression: Compression,
        more: impl IntoIterator<Item = Tenant>,
    ) -> Result<ExportLogsPartialSuccess, Failure> {
        let mut headers = HeaderMap::clone(&self.headers);
        if compression != Compression::None {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(compression.encoding()));
        }
        headers.extend(more);
        let request = self.client.post(self.url.clone()).headers(headers).body(body);
        let response = request.send().await.map_err(|error| Failure::Connection(cause(&error)))?;
        let (status, retry_after) = (response.status(), retry_after(response.headers(), SystemTime::now()));
        let answer = read(response).await?;
        if status.is_success() {
            // One that cannot be read is an acknowledgement all the same.
            let answer = ExportLogsServiceResponse::decode(answer).unwrap_or_default();
            return Ok(answer.partial_success.unwrap_or_default());
        }
        Err(Failure::Http(Answer { status: status.as_u16(), message: message(&answer), retry_after }))
    }

    /// Whether somebody answers there, whatever they say.
    pub(super) async fn find(&self) -> Result<(), String> {
        self.client.head(self.url.clone()).send().await.map(drop).map_err(|error| cause(&error))
    }
}

/// What an answer says: a message of the protocol, or a text of whoever stands before the receiver.
fn message(answer: &[u8]) -> String {
    let said = RpcStatus::decode(answer).map(|status| status.message).unwrap_or_default();
    let text = if said.is_empty() { String::from_utf8_lossy(answer) } else { said.into() };
    text.trim().chars().take(MESSAGE_MAX).collect()
}

/// The answer's body, as far as it is not too long.
async fn read(mut response: Response) -> Result<Bytes, Failure> {
    let mut answer = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| Failure::Connection(cause(&error)))? {
        if answer.len() + chunk.len() > ANSWER_MAX {
            break;
        }
        answer.extend_from_slice(&chunk);
    }
    Ok(answer.freeze())
}

/// Seconds, or a date (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok()?;
    Some(SystemTime::from(date).duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said() {
        // google.rpc.Status with code 8.
        assert_eq!(message(b"\x08\x08\x12\x08too many"), "too many");
        assert_eq!(message(b"unsupported Content-Encoding: zstd\n"), "unsupported Content-Encoding: zstd");
        assert_eq!((message(b"").len(), message(&[b'x'; 1000]).len()), (0, MESSAGE_MAX));
    }

    #[test]
    fn when_to_come_again() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let check = |text: &'static str, expected: Option<u64>| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]);
            assert_eq!(retry_after(&headers, now), expected.map(Duration::from_secs), "{text}");
        };
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
        check("0", Some(0));
        check("120", Some(120));
        check("Sun, 06 Nov 1994 08:50:07 GMT", Some(30));
        check("Sun, 06 Nov 1994 08:49:07 GMT", Some(0));
        check("soon", None);
        check("-1", None);
    }
}
