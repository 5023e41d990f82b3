//! What became of the accesses that a destination was to get.

use std::array;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use super::{Dropped, Durations, Flag, Metrics};
use crate::loss::Uuid;

/// Runs and reasons that are told apart; what is lost of further runs counts as this one's.
const EARLIER_MAX: usize = 1024;

/// One destination's books: every access whose record was to go there is in one account, or still waits. What is counted
/// here counts in [`Metrics`] as well, which has the sums of all destinations.
#[derive(Debug)]
pub struct Books {
    /// The destination's.
    pub name: String,
    /// Accesses in records that it acknowledged.
    pub delivered: Counter,
    /// Records that it acknowledged.
    pub delivered_records: Counter,
    /// Records on their way to it.
    pub inflight: Gauge,
    /// How long its requests took.
    pub durations: Durations,
    /// Requests that were sent to it again.
    pub retries: Counter,
    /// Bytes of requests that were sent to it, after compression.
    pub sent_bytes: Counter,
    dropped: [Count; Dropped::ALL.len()],
    earlier: Mutex<BTreeMap<(Uuid, Dropped), (u64, u64)>>,
    all: Totals,
    well: Flag,
    why: Mutex<String>,
    waiting: Mutex<Waiting>,
}

/// What waits for a destination, in memory and on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Requests.
    pub requests: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Accesses that their records stand for.
    pub accesses: u64,
    /// When the oldest of them was made, nanoseconds since the Unix epoch; 0: there is none.
    pub oldest_ns: u64,
}

#[derive(Debug)]
struct Count {
    accesses: Counter,
    records: Counter,
}

/// The sums' counters.
#[derive(Debug)]
struct Totals {
    delivered: Counter,
    retries: Counter,
    sent_bytes: Counter,
    dropped: [Counter; Dropped::ALL.len()],
}

impl Books {
    pub(super) fn new(name: &str, metrics: &Metrics) -> Self {
        Self {
            name: name.to_owned(),
            delivered: Counter::default(),
            delivered_records: Counter::default(),
            inflight: Gauge::default(),
            durations: Durations::new(&metrics.heard),
            retries: Counter::default(),
            sent_bytes: Counter::default(),
            dropped: array::from_fn(|_| Count { accesses: Counter::default(), records: Counter::default() }),
            earlier: Mutex::default(),
            all: Totals {
                delivered: metrics.delivered.clone(),
                retries: metrics.export_retries.clone(),
                sent_bytes: metrics.exported_bytes.clone(),
                dropped: metrics.dropped.clone(),
            },
            well: Flag::default(),
            why: Mutex::new("not tried yet".to_owned()),
            waiting: Mutex::default(),
        }
    }

    /// The destination has acknowledged these accesses, in so many records.
    pub fn deliver(&self, accesses: u64, records: u64) {
        self.delivered.inc_by(accesses);
        self.delivered_records.inc_by(records);
        self.all.delivered.inc_by(accesses);
    }

    /// These accesses, in so many records, will not get there.
    pub fn lose(&self, reason: Dropped, accesses: u64, records: u64) {
        self.dropped[reason as usize].accesses.inc_by(accesses);
        self.dropped[reason as usize].records.inc_by(records);
        self.all.dropped[reason as usize].inc_by(accesses);
    }

    /// The same, of what a run has recorded; nothing: this one.
    pub fn lose_of(&self, earlier: Option<Uuid>, reason: Dropped, accesses: u64, records: u64) {
        if let Some(run) = earlier {
            let mut earlier = self.earlier.lock().unwrap_or_else(PoisonError::into_inner);
            if earlier.len() < EARLIER_MAX || earlier.contains_key(&(run, reason)) {
                let sum = earlier.entry((run, reason)).or_default();
                *sum = (sum.0 + accesses, sum.1 + records);
            }
        }
        // After the note above: whoever reads them the other way round never takes an earlier run's loss for this one's.
        self.lose(reason, accesses, records);
    }

    /// What of [`Self::dropped`], to be read before, earlier runs had recorded: run, reason, accesses and records.
    #[must_use]
    pub fn earlier(&self) -> Vec<(Uuid, Dropped, u64, u64)> {
        let earlier = self.earlier.lock().unwrap_or_else(PoisonError::into_inner);
        earlier.iter().map(|((run, reason), (accesses, records))| (*run, *reason, *accesses, *records)).collect()
    }

    /// Accesses that did not get there for this reason, and the numbered records that would have told of them.
    #[must_use]
    pub fn dropped(&self, reason: Dropped) -> (u64, u64) {
        let count = &self.dropped[reason as usize];
        (count.accesses.get(), count.records.get())
    }

    /// So many records are on their way until the result is dropped.
    #[must_use]
    pub fn send(&self, records: u64) -> OnTheWay<'_> {
        self.inflight.inc_by(records as i64);
        OnTheWay { books: self, records }
    }

    /// A request is sent again.
    pub fn retry(&self) {
        self.retries.inc();
        self.all.retries.inc();
    }

    /// So many bytes were sent.
    pub fn sent(&self, bytes: usize) {
        self.sent_bytes.inc_by(bytes as u64);
        self.all.sent_bytes.inc_by(bytes as u64);
    }

    /// Whether the last request was acknowledged, or nothing was sent yet and the receiver is there.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.well.get()
    }

    /// Why it is not well: what a person reads. Not to be trusted without quotes: a receiver's words may be in it.
    #[must_use]
    pub fn why(&self) -> String {
        self.why.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes how it is. Returns whether that, or the reason, is news.
    pub fn set_health(&self, health: Result<(), String>) -> bool {
        let mut why = self.why.lock().unwrap_or_else(PoisonError::into_inner);
        let was_well = self.well.get();
        self.well.set(health.is_ok());
        match health {
            Ok(()) => !was_well,
            Err(new) => {
                let is_new = was_well || *why != new;
                *why = new;
                is_new
            }
        }
    }

    /// What waits.
    #[must_use]
    pub fn waiting(&self) -> Waiting {
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what waits.
    pub fn set_waiting(&self, waiting: Waiting) {
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = waiting;
    }
}

/// Records on their way to a destination.
#[derive(Debug)]
pub struct OnTheWay<'a> {
    books: &'a Books,
    records: u64,
}

impl Drop for OnTheWay<'_> {
    fn drop(&mut self) {
        self.books.inflight.dec_by(self.records as i64);
    }
}

/// The books of all destinations.
#[derive(Debug, Default)]
pub struct Destinations(Mutex<Vec<Arc<Books>>>);

impl Destinations {
    /// Whether there are some, and all are well.
    #[must_use]
    pub fn get(&self) -> bool {
        let all = self.all();
        !all.is_empty() && all.iter().all(|books| books.is_well())
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Books>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn push(&self, books: Arc<Books>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(books);
    }
}
