//! Requests -> a receiver of OTLP over gRPC, with retries, and books that close.
//!
//! ```text
//! offer -> queue (bounded) -> workers: compress once -> Export call -> acknowledged | retried | halved | dropped
//! ```
//!
//! Every record offered and taken ends as `delivered` or as one reason of [`crate::metrics::Dropped`], also where a worker is stopped
//! in the middle. Requests are in flight side by side: their order is not kept.

mod channel;
mod frame;
mod grpc;
mod pending;
mod queue;
mod retry;
mod status;
mod worker;

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tonic::transport::Channel;

use crate::batch::Request;
use crate::config::Export;
use crate::metrics::Metrics;
use queue::Shared;

/// Requests on the wire at once: enough to hide a round trip, few enough for the receiver to keep them roughly ordered.
const IN_FLIGHT: usize = 4;

/// Why nothing can be shipped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Certificates or keys are not usable, or the system has none to trust.
    #[error("cannot set up TLS for the OTLP endpoint: check the certificates given, and those of the system")]
    Tls(#[source] tonic::transport::Error),
}

/// Where requests are left. A clone leaves them in the same queue; with the last one, the workers end.
#[derive(Clone, Debug)]
pub struct Queue {
    shared: Arc<Shared>,
    workers: Arc<tokio::sync::Mutex<JoinSet<()>>>,
}

/// Whether the endpoint can be used as it is configured, without connecting: for those who start other things first.
///
/// # Errors
///
/// [`Error`]
pub fn check(config: &Export) -> Result<(), Error> {
    channel::endpoint(config).map(|_| ())
}

/// Starts shipping to the configured endpoint. Must be called inside a tokio runtime.
///
/// A receiver that is not there, now or later, is waited for: `metrics.health.export` tells.
///
/// # Errors
///
/// [`Error`]
pub fn spawn(config: &Export, metrics: Arc<Metrics>) -> Result<Queue, Error> {
    let endpoint = channel::endpoint(config)?;
    let queue = spawn_on(&endpoint.connect_lazy(), config, metrics);
    tokio::spawn(channel::probe(endpoint, Arc::downgrade(&queue.shared)));
    Ok(queue)
}

/// [`spawn`] over a channel that was made elsewhere; endpoint and TLS of the configuration are not used.
pub fn spawn_on(channel: &Channel, config: &Export, metrics: Arc<Metrics>) -> Queue {
    let shared = Arc::new(Shared::new(config, metrics));
    let mut workers = JoinSet::new();
    for _ in 0..IN_FLIGHT {
        workers.spawn(worker::run(channel.clone(), grpc::Head::new(config), Arc::clone(&shared)));
    }
    Queue { shared, workers: Arc::new(tokio::sync::Mutex::new(workers)) }
}

impl Queue {
    /// Leaves a request to be shipped. Never waits; takes a lock that is held for nanoseconds.
    ///
    /// # Errors
    ///
    /// The request, where the queue is full or [`Self::drain`] was called: it is the caller's to count.
    pub fn offer(&self, request: Request) -> Result<(), Request> {
        self.shared.offer(request)
    }

    /// Takes no more requests, and returns when all are settled, or at the deadline. What is left then is counted as
    /// [`crate::metrics::Dropped::Shutdown`].
    pub async fn drain(&self, deadline: Instant) {
        self.shared.close();
        let mut workers = self.workers.lock().await;
        let all = async { while workers.join_next().await.is_some() {} };
        if timeout_at(deadline, all).await.is_err() {
            workers.shutdown().await;
        }
        self.shared.clear();
    }
}
