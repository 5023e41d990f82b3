//! Takes requests one after the other, each until it is settled.

use std::sync::Arc;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsPartialSuccess;
use tokio::time::timeout;
use tonic::transport::Channel;

use super::frame::{Compression, Framer};
use super::grpc::{self, Failure, Head};
use super::pending::Pending;
use super::queue::Shared;
use super::retry::{Backoff, Verdict, verdict};
use crate::metrics::Dropped;

/// Ships until the queue is closed and empty.
pub(super) async fn run(channel: Channel, head: Head, shared: Arc<Shared>) {
    let mut worker = Worker { channel, head, shared, framer: Framer::new() };
    while let Some(pending) = worker.shared.next().await {
        // Halves, and halves of halves: one more for each time that a request can be halved.
        let mut parts = vec![pending];
        while let Some(part) = parts.pop() {
            if let Some(halves) = worker.settle(part).await {
                parts.extend(halves);
            }
        }
    }
}

struct Worker {
    channel: Channel,
    head: Head,
    shared: Arc<Shared>,
    framer: Framer,
}

impl Worker {
    /// Sends a request until it is delivered or given up; its halves where it was too large.
    async fn settle(&mut self, pending: Pending) -> Option<[Pending; 2]> {
        let mut backoff = Backoff::default();
        let mut framed: Option<(Compression, Bytes)> = None;
        loop {
            let Some(left) = pending.left(self.shared.max_age) else {
                pending.dropped(Dropped::Expired);
                return None;
            };
            let compression = self.shared.compression();
            let frame = match &framed {
                Some((with, frame)) if *with == compression => frame.clone(),
                _ => self.framer.frame(&pending.body, compression),
            };
            framed = Some((compression, frame.clone()));
            let failure = match self.attempt(frame, compression).await {
                Ok(partial) => {
                    self.acknowledged(pending, &partial);
                    return None;
                }
                Err(failure) => failure,
            };
            match self.judge(&failure, compression) {
                Verdict::Retry(asked) => {
                    let delay = backoff.next(asked, self.shared.is_closed());
                    self.shared.pause(delay.min(left), asked.is_some()).await;
                    self.shared.metrics.export_retries.inc();
                }
                Verdict::Recompress => {
                    self.shared.metrics.export_retries.inc();
                }
                Verdict::Split => return self.split(pending),
                Verdict::Reject => {
                    pending.dropped(Dropped::Rejected);
                    return None;
                }
            }
        }
    }

    async fn attempt(&mut self, frame: Bytes, compression: Compression) -> Result<ExportLogsPartialSuccess, Failure> {
        self.shared.metrics.exported_bytes.inc_by(frame.len() as u64);
        let call = grpc::export(&mut self.channel, &self.head, frame, compression);
        match timeout(self.shared.timeout, call).await {
            Ok(result) => result,
            Err(_) => Err(Failure::Connection("no answer in time".to_owned())),
        }
    }

    fn acknowledged(&self, pending: Pending, partial: &ExportLogsPartialSuccess) {
        if self.shared.tried(true) {
            tracing::info!("the OTLP receiver takes records");
        }
        let rejected = u64::try_from(partial.rejected_log_records).unwrap_or(0);
        if rejected > 0 {
            tracing::warn!(rejected, message = ?partial.error_message, "the OTLP receiver refused records");
        }
        pending.delivered(rejected);
    }

    fn judge(&self, failure: &Failure, compression: Compression) -> Verdict {
        let verdict = match verdict(failure) {
            Verdict::Recompress if self.shared.refused(compression).is_none() => Verdict::Reject,
            verdict => verdict,
        };
        if matches!(failure, Failure::Connection(_)) {
            self.shared.disconnected();
        }
        // Another compression, or two halves, may well do: only what they end in is a failure.
        if matches!(verdict, Verdict::Retry(_) | Verdict::Reject) && self.shared.tried(false) {
            tracing::warn!(%failure, "the OTLP receiver does not take records");
        }
        verdict
    }

    /// The halves, the first one last: it is the next to be taken.
    fn split(&self, pending: Pending) -> Option<[Pending; 2]> {
        match pending.split() {
            Ok([first, second]) => Some([second, first]),
            Err(pending) => {
                self.shared.tried(false);
                tracing::warn!(bytes = pending.body.len(), "a record is larger than the OTLP receiver takes");
                pending.dropped(Dropped::Rejected);
                None
            }
        }
    }
}
