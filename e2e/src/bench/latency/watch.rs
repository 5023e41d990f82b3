//! Asks Loki again and again for what it has of a container that it did not have before.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};

use crate::interrupt;
use crate::loki::{Entry, Loki};

/// Between an answer and the next question: short beside what is measured, and Loki has other things to do.
const PAUSE: Duration = Duration::from_millis(5);
/// Without anything new.
const LIMIT: Duration = Duration::from_secs(60);

/// Looks for all records of a container.
pub(super) struct Watch<'a> {
    loki: &'a Loki,
    query: String,
    wanted: u64,
    /// All up to this number were seen, and others.
    complete: u64,
    others: BTreeSet<u64>,
    /// None that is missing is older.
    from: SystemTime,
    delays: Vec<Duration>,
    answers: Vec<Duration>,
}

/// What was found.
pub(super) struct Found {
    /// From each access until the end of the first answer that has it, in order.
    delays: Vec<Duration>,
    /// How long an answer took, milliseconds: the median.
    pub(super) answer: f64,
}

impl<'a> Watch<'a> {
    /// As many records as are `wanted`, of accesses from now on.
    pub(super) fn new(loki: &'a Loki, container: &str, wanted: u64) -> Self {
        // Little but the numbers, so that an answer is short.
        let query = format!(
            r#"{{service_name=~".+"}} | container_id="{container}" | otel_event_name="inotrail.file.access" | keep inotrail_stream_sequence | line_format """#
        );
        let from = SystemTime::now();
        Self {
            loki,
            query,
            wanted,
            complete: 0,
            others: BTreeSet::new(),
            from,
            delays: Vec::new(),
            answers: Vec::new(),
        }
    }

    /// Returns when all were found.
    ///
    /// # Errors
    /// Nothing new was found for long, or Loki does not answer.
    pub(super) fn run(&mut self) -> Result<Found> {
        let mut last = Instant::now();
        while self.complete < self.wanted {
            let start = Instant::now();
            let entries = self.loki.query(&self.query, self.from)?;
            self.answers.push(start.elapsed());
            let (now, before) = (SystemTime::now(), self.delays.len());
            for entry in &entries {
                self.see(entry, now)?;
            }
            if self.delays.len() > before {
                last = Instant::now();
            }
            ensure!(last.elapsed() < LIMIT, "{} of {} accesses are in Loki", self.delays.len(), self.wanted);
            ensure!(!interrupt::requested(), "interrupted while accesses were looked for");
            thread::sleep(PAUSE);
        }
        self.delays.sort();
        self.answers.sort();
        let answer = self.answers[self.answers.len() / 2].as_secs_f64() * 1e3;
        Ok(Found { delays: std::mem::take(&mut self.delays), answer })
    }

    fn see(&mut self, entry: &Entry, now: SystemTime) -> Result<()> {
        let number = entry.get("inotrail_stream_sequence").and_then(|text| text.parse::<u64>().ok());
        let number = number.with_context(|| format!("a record without its number: {entry:?}"))?;
        let time = UNIX_EPOCH + Duration::from_nanos(entry.time_ns);
        if number <= self.complete || !self.others.insert(number) {
            return Ok(());
        }
        self.delays.push(now.duration_since(time).unwrap_or_default());
        while self.others.remove(&(self.complete + 1)) {
            self.complete += 1;
        }
        // The next number is that of a later access: one thread makes them.
        if self.complete == number {
            self.from = time;
        }
        Ok(())
    }
}

impl Found {
    /// The delay that so many of a hundred accesses did not exceed.
    pub(super) fn milliseconds(&self, percent: usize) -> f64 {
        let index = (self.delays.len() * percent).div_ceil(100).saturating_sub(1);
        self.delays.get(index).copied().unwrap_or_default().as_secs_f64() * 1e3
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn each_access_counts_once_and_what_is_missing_is_asked_for_again() {
        let loki = Loki { url: String::new() };
        let mut watch = Watch::new(&loki, "a", 4);
        let mut see = |number: u64, ms: u64| {
            let metadata = [("inotrail_stream_sequence".to_owned(), number.to_string())].into();
            let entry = Entry { labels: BTreeMap::new(), metadata, line: String::new(), time_ns: number * 1_000_000 };
            watch.see(&entry, UNIX_EPOCH + Duration::from_millis(ms)).unwrap();
            (watch.complete, watch.delays.len())
        };
        assert_eq!(see(1, 5), (1, 1));
        assert_eq!(see(1, 6), (1, 1));
        assert_eq!(see(3, 10), (1, 2));
        assert_eq!(see(3, 11), (1, 2));
        assert_eq!(see(2, 30), (3, 3));
        assert_eq!(see(4, 8), (4, 4));
        watch.delays.sort();
        let found = Found { delays: watch.delays, answer: 0.0 };
        let rounded = [50, 75, 76, 100].map(|percent| found.milliseconds(percent).round() as u64);
        assert_eq!(rounded, [4, 7, 28, 28]);
    }
}
