//! A request that was taken and is not settled yet.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::batch::Request;
use crate::metrics::{Dropped, Metrics};
use crate::otlp;

/// Owns the account of its accesses: dropping it in the middle of anything counts them as [`Dropped::Shutdown`].
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) body: Bytes,
    records: u64,
    /// Accesses that are in no account yet.
    accesses: u64,
    since: Instant,
    metrics: Arc<Metrics>,
}

impl Pending {
    pub(super) fn new(request: Request, metrics: Arc<Metrics>) -> Self {
        Self {
            body: request.body,
            records: request.records,
            accesses: request.accesses,
            since: Instant::now(),
            metrics,
        }
    }

    /// How long it may still be tried; nothing if that time is over.
    pub(super) fn left(&self, max_age: Duration) -> Option<Duration> {
        max_age.checked_sub(self.since.elapsed()).filter(|left| !left.is_zero())
    }

    /// The receiver has it, but for `rejected` records that it refused. It does not say which: where records stand for more
    /// than one access, each is taken for the average.
    pub(super) fn delivered(mut self, rejected: u64) {
        let part = u128::from(self.accesses) * u128::from(rejected.min(self.records));
        let rejected = part.div_ceil(u128::from(self.records.max(1))) as u64;
        self.metrics.delivered.inc_by(self.accesses - rejected);
        self.metrics.dropped(Dropped::Rejected).inc_by(rejected);
        self.accesses = 0;
    }

    /// It is given up.
    pub(super) fn dropped(mut self, reason: Dropped) {
        self.settle(reason);
    }

    /// Two halves instead of it, or itself where it has none.
    pub(super) fn split(mut self) -> Result<[Self; 2], Self> {
        let Some(halves) = otlp::split(&self.body) else { return Err(self) };
        // The halves are of our own making: were they not the whole, the difference is in the books.
        let found = halves[0].accesses.saturating_add(halves[1].accesses);
        self.accesses = self.accesses.saturating_sub(found);
        self.settle(Dropped::Encode);
        Ok(halves.map(|half| Self {
            body: half.body.into(),
            records: half.records,
            accesses: half.accesses,
            since: self.since,
            metrics: Arc::clone(&self.metrics),
        }))
    }

    fn settle(&mut self, reason: Dropped) {
        self.metrics.dropped(reason).inc_by(self.accesses);
        self.accesses = 0;
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.settle(Dropped::Shutdown);
    }
}
