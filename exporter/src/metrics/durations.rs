//! How long requests took.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::histogram::Histogram;

use super::Dropped;

/// Upper bounds of the buckets, seconds: the semantic conventions' for durations, and what an absent receiver takes.
pub const BOUNDS: [f64; 17] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 60.0, 600.0, 3600.0];

/// Takes a destination's name, why a request came to nothing (empty: it did not), and the seconds it took.
pub type Listener = dyn Fn(&str, &str, f64) + Send + Sync;

/// Who is told of each request, besides the books: OTLP's histograms cannot be read from elsewhere.
#[derive(Clone, Default)]
pub struct Heard(Arc<OnceLock<Box<Listener>>>);

impl Heard {
    /// Sets the listener. The first one stays.
    pub fn listen(&self, listener: Box<Listener>) {
        // A second one would be a bug, and harmless.
        drop(self.0.set(listener));
    }
}

impl fmt::Debug for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Heard")
    }
}

/// How long one destination's requests took, from their first attempt until they were settled.
#[derive(Debug)]
pub struct Durations {
    /// By how they ended: acknowledged, then [`Dropped::ALL`]. Those that did not happen are not there.
    ended: Mutex<[Option<Histogram>; Dropped::ALL.len() + 1]>,
    heard: Heard,
}

impl Durations {
    pub(super) fn new(heard: &Heard) -> Self {
        Self { ended: Mutex::default(), heard: heard.clone() }
    }

    /// Enters a request. Called once for each, never on the event path.
    pub fn enter(&self, destination: &str, why: Option<Dropped>, took: Duration) {
        let index = why.map_or(0, |why| why as usize + 1);
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended[index].get_or_insert_with(|| Histogram::new(BOUNDS)).observe(took.as_secs_f64());
        // Under the lock: both have seen the same requests whenever they are compared.
        if let Some(heard) = self.heard.0.get() {
            heard(destination, why.map_or("", Dropped::as_str), took.as_secs_f64());
        }
    }

    /// Each way in which requests ended (empty: acknowledged), with how long those took.
    #[must_use]
    pub fn all(&self) -> Vec<(&'static str, Histogram)> {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let why = std::iter::once("").chain(Dropped::ALL.map(Dropped::as_str));
        why.zip(ended.iter()).filter_map(|(why, histogram)| Some((why, histogram.clone()?))).collect()
    }
}
