//! Takes requests one after the other, each until it is settled.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsPartialSuccess;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::Setup;
use super::frame::Compression;
use super::grpc::Failure;
use super::outcome::{Outcome, Part};
use super::retry::{Backoff, Verdict, verdict};
use super::state::State;
use super::wire::Wire;
use crate::clock::steady_now;
use crate::journal::{Journal, Taken};
use crate::lane::Lane;
use crate::metrics::Dropped;

/// Ships one destination's requests of some lanes until there are no more.
///
/// Settings may change at any time. An attempt that is on its way ends by those that it has begun with, so that a change
/// sends nothing twice; the next attempt, of the same request too, has the new ones.
pub(super) struct Worker {
    wire: Wire,
    state: Arc<State>,
    setup: watch::Receiver<Setup>,
    journal: Journal,
    /// Among the workers of the same lanes.
    place: usize,
    /// The destination's number.
    number: usize,
}

/// Shortest pause before what failed is sent again because something else was taken.
const SOONEST: Duration = Duration::from_millis(500);

/// How an attempt to settle a part has ended.
enum End {
    Settled,
    Halves([Part; 2]),
    /// It is left where it is: the next start goes on with it.
    Left,
}

impl Worker {
    pub(super) fn new(setup: watch::Receiver<Setup>, journal: Journal, place: usize, number: usize) -> Self {
        let (wire, state) = {
            let now = setup.borrow();
            (now.wire.clone(), Arc::clone(&now.state))
        };
        Self { wire, state, setup, journal, place, number }
    }

    pub(super) async fn run(mut self, lanes: &'static [Lane]) {
        while self.is_wanted().await {
            // What is idle keeps no connection to a receiver that it has no more.
            self.refresh();
            let (place, state, mut setup) = (self.place, Arc::clone(&self.state), self.setup.clone());
            let news = async {
                let is_news = |setup: &Setup| place >= setup.in_flight || !Arc::ptr_eq(&setup.state, &state);
                if setup.wait_for(is_news).await.is_err() {
                    pending::<()>().await;
                }
            };
            match self.journal.next_unless(self.number, lanes, news).await {
                Some(taken) if !self.settle(&taken).await => return,
                None if self.journal.is_closed() => return,
                Some(_) | None => {}
            }
        }
    }

    /// Waits while there are more workers than requests may be in flight. False: nothing will be wanted of it any more.
    async fn is_wanted(&mut self) -> bool {
        let place = self.place;
        tokio::select! {
            biased;
            wanted = self.setup.wait_for(|setup| place < setup.in_flight) => wanted.is_ok(),
            () = self.journal.closed() => false,
        }
    }

    /// Takes up new settings. Returns whether there were some.
    fn refresh(&mut self) -> bool {
        let setup = self.setup.borrow();
        let is_new = !Arc::ptr_eq(&setup.state, &self.state);
        if is_new {
            self.wire = setup.wire.clone();
            self.state = Arc::clone(&setup.state);
        }
        is_new
    }

    /// Sends a request until it is delivered or given up. False: it is left to the next start.
    async fn settle(&mut self, taken: &Taken) -> bool {
        let entry = &taken.entry;
        let age = Duration::from_nanos(steady_now().saturating_sub(taken.since_ns));
        let mut outcome = Outcome::default();
        let books = Arc::clone(&self.state.books);
        let (start, _on_the_way) = (Instant::now(), books.send(entry.records.into()));
        let whole = Part { body: entry.body.clone(), records: entry.records.into(), accesses: entry.accesses };
        // Halves, and halves of halves: one more for each time that a request can be halved.
        let mut parts = vec![whole];
        while let Some(part) = parts.pop() {
            match self.ship(&part, &entry.tenant, (start, age), &mut outcome).await {
                End::Settled => {}
                End::Halves(halves) => parts.extend(halves),
                End::Left => return false,
            }
        }
        if self.journal.settle(self.number, taken).await {
            books.durations.enter(&books.name, outcome.failure(), start.elapsed());
            outcome.enter(taken.earlier, &books);
        }
        true
    }

    /// `age` is what the request had at its start.
    async fn ship(&mut self, part: &Part, tenant: &str, age: (Instant, Duration), outcome: &mut Outcome) -> End {
        let mut backoff = Backoff::default();
        loop {
            if self.refresh() {
                backoff = Backoff::default();
            }
            let left = self.state.max_age.saturating_sub(age.1).saturating_sub(age.0.elapsed());
            if left.is_zero() {
                outcome.dropped(Dropped::Expired, part);
                return End::Settled;
            }
            let (compression, recovery) = (self.state.compression(), self.state.recovery());
            let failure = match self.attempt(part, compression, tenant).await {
                Ok(partial) => {
                    outcome.delivered(part, self.acknowledged(&partial));
                    return End::Settled;
                }
                Err(failure) => failure,
            };
            match self.judge(&failure, compression) {
                // What is on disk is safe, and the receiver does not take it now.
                Verdict::Retry(_) | Verdict::Pause if self.journal.is_closed() && self.journal.is_on_disk() => {
                    return End::Left;
                }
                Verdict::Retry(asked) => {
                    let delay = backoff.next(asked, self.journal.is_closed()).min(left);
                    self.pause(until_recovery(delay, recovery, asked.is_some()), asked.is_some()).await;
                    self.state.books.retry();
                }
                Verdict::Pause => {
                    let delay = backoff.longest(self.journal.is_closed()).min(left);
                    self.pause(sleep(delay), false).await;
                    self.state.books.retry();
                }
                Verdict::Damaged => {
                    outcome.dropped(Dropped::Encode, part);
                    return End::Settled;
                }
                Verdict::Recompress => self.state.books.retry(),
                Verdict::Split => return self.split(part, outcome),
                Verdict::Reject => {
                    outcome.dropped(Dropped::Rejected, part);
                    return End::Settled;
                }
            }
        }
    }

    async fn attempt(
        &mut self,
        part: &Part,
        compression: Compression,
        tenant: &str,
    ) -> Result<ExportLogsPartialSuccess, Failure> {
        let call = self.wire.export(&part.body, compression, self.state.tenant(tenant));
        let silence = || (part.body.len(), Err(Failure::Connection("no answer in time".to_owned())));
        let (bytes, result) = timeout(self.state.timeout, call).await.unwrap_or_else(|_| silence());
        self.state.books.sent(bytes);
        result
    }

    /// Returns how many records were refused.
    fn acknowledged(&self, partial: &ExportLogsPartialSuccess) -> u64 {
        self.state.acknowledged();
        let rejected = u64::try_from(partial.rejected_log_records).unwrap_or(0);
        if rejected > 0 {
            tracing::warn!(rejected, message = ?partial.error_message, "the OTLP receiver refused records");
        }
        rejected
    }

    fn judge(&self, failure: &Failure, compression: Compression) -> Verdict {
        let verdict = match verdict(failure) {
            Verdict::Recompress if self.state.refused(compression).is_none() => Verdict::Pause,
            verdict => verdict,
        };
        if matches!(failure, Failure::Connection(_)) {
            self.state.disconnected();
        }
        // Another compression, or two halves, may well do: only what they end in is a failure.
        if !matches!(verdict, Verdict::Recompress | Verdict::Split) {
            self.state.failed(&failure.to_string());
        }
        verdict
    }

    fn split(&self, part: &Part, outcome: &mut Outcome) -> End {
        if let Some(halves) = outcome.split(part) {
            return End::Halves(halves);
        }
        self.state.failed("a record is larger than the receiver takes");
        outcome.dropped(Dropped::Rejected, part);
        End::Settled
    }

    /// Waits before another attempt: for less time if there are new settings, or if no more is taken meanwhile, unless the
    /// receiver `asked` for it.
    async fn pause(&self, delay: impl Future<Output = ()>, asked: bool) {
        let patient = asked || self.journal.is_closed();
        let mut setup = self.setup.clone();
        tokio::select! {
            () = delay => {}
            () = self.journal.closed(), if !patient => {}
            Ok(_) = setup.wait_for(|setup| !Arc::ptr_eq(&setup.state, &self.state)) => {}
        }
    }
}

/// Waits so long, or, unless the receiver `asked` for it, until another worker has found out that the destination takes
/// records again: a violation does not wait behind the pause that an outage has come to. What fails while others are taken
/// is tried every [`SOONEST`] at most.
async fn until_recovery(delay: Duration, mut recovery: watch::Receiver<()>, asked: bool) {
    let recovered = async {
        sleep(SOONEST).await;
        if asked || recovery.changed().await.is_err() {
            pending::<()>().await;
        }
    };
    tokio::select! {
        () = sleep(delay) => {}
        () = recovered => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_secs(30);

    /// How long a pause is when the destination recovers after some time.
    async fn paused(recovers_after: Duration, asked: bool) -> Duration {
        let recovered = watch::Sender::new(());
        let start = Instant::now();
        let pause = until_recovery(DELAY, recovered.subscribe(), asked);
        let recover = async {
            sleep(recovers_after).await;
            recovered.send_replace(());
            pending::<()>().await;
        };
        tokio::select! {
            () = pause => start.elapsed(),
            () = recover => DELAY,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_ends_when_the_destination_recovers() {
        let is_about = |took: Duration, expected: Duration| took.abs_diff(expected) < Duration::from_millis(10);
        let seconds = Duration::from_secs;
        assert!(is_about(paused(seconds(5), false).await, seconds(5)));
        assert!(is_about(paused(Duration::ZERO, false).await, SOONEST));
        assert!(is_about(paused(seconds(5), true).await, DELAY), "the receiver asked for it");
        assert!(is_about(paused(seconds(50), false).await, DELAY));
    }
}
