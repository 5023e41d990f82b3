//! The connection.

use std::sync::Weak;
use std::time::Duration;

use http::Uri;
use tokio::time::sleep;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use super::Error;
use super::state::State;
use super::wire::Wire;
use super::{CONNECT_TIMEOUT, PING_AFTER, PING_TIMEOUT, USER_AGENT};
use crate::config::Export;

/// Between looks for a receiver that is not there yet.
const PROBE_INTERVAL: Duration = Duration::from_secs(5);

/// The configured endpoint, not connected.
pub(super) fn endpoint(uri: &Uri, config: &Export) -> Result<Endpoint, Error> {
    let endpoint = Endpoint::from(uri.clone())
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(PING_AFTER)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(false)
        .user_agent(USER_AGENT)
        .map_err(Error::Tls)?;
    if uri.scheme_str() != Some("https") {
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
pub(super) async fn probe(wire: Wire, state: Weak<State>) {
    loop {
        let found = wire.find().await;
        let Some(state) = state.upgrade() else { return };
        if state.found(found) {
            return;
        }
        drop(state);
        sleep(PROBE_INTERVAL).await;
    }
}
