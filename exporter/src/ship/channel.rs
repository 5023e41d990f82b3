//! The connection.

use std::sync::Weak;
use std::time::Duration;

use tokio::time::sleep;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use super::Error;
use super::queue::Shared;
use crate::config::Export;

/// Longest time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection on which requests wait and nothing came for this long is asked whether it lives. Not while idle: grpc-go
/// closes connections that ping without need.
const PING_AFTER: Duration = Duration::from_secs(20);
/// Longest time until the answer.
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// Between looks for a receiver that is not there yet.
const PROBE_INTERVAL: Duration = Duration::from_secs(5);

/// The configured endpoint, not connected.
pub(super) fn endpoint(config: &Export) -> Result<Endpoint, Error> {
    let endpoint = Endpoint::from(config.endpoint.clone())
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(PING_AFTER)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(false)
        .user_agent(concat!("inotrail/", env!("CARGO_PKG_VERSION")))
        .map_err(Error::Tls)?;
    if config.endpoint.scheme_str() != Some("https") {
        return Ok(endpoint);
    }
    let tls = match &config.tls.ca {
        Some(pem) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)),
        None => ClientTlsConfig::new().with_native_roots(),
    };
    let tls = match &config.tls.identity {
        Some((certificate, key)) => tls.identity(Identity::from_pem(certificate, key)),
        None => tls,
    };
    endpoint.tls_config(tls).map_err(Error::Tls)
}

/// Looks for the receiver until the first export, so that an exporter without events is ready too.
pub(super) async fn probe(endpoint: Endpoint, shared: Weak<Shared>) {
    loop {
        let connected = endpoint.connect().await.is_ok();
        let Some(shared) = shared.upgrade() else { return };
        if shared.found(connected) {
            return;
        }
        drop(shared);
        sleep(PROBE_INTERVAL).await;
    }
}
