//! The books of an audit trail: one series of numbers per run, who acted and event name; no I/O.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use foldhash::fast::RandomState;

use super::Start;
use super::digests::Digests;
use super::ranges::Ranges;
use super::record::{Origin, Record, Stopped};
use super::report::Report;

/// Most ranges of all series together: some 100 MiB. Of records in any order, so many can be awaited at once.
const RANGES_MAX: usize = 2_000_000;
/// Reasons that are told apart; the exporter has a dozen.
const REASONS_MAX: usize = 64;
/// Stands for further ones.
const OTHER_REASONS: &str = "other reasons";
/// Numbers under which different records came that are named, of each run.
const CONFLICTS_MAX: usize = 100;

/// There are too many holes to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "more than {RANGES_MAX} holes and series at once: this is no trail to be proven complete; \
     give files in the order of their records, or a shorter window"
)]
pub struct Full;

/// Everything that is known of all runs.
#[derive(Debug)]
pub struct Books {
    pub(super) start: Start,
    pub(super) runs: BTreeMap<String, RunBook>,
    /// Records of others.
    pub(super) others: u64,
    /// Lines and records that could not be read.
    pub(super) faults: u64,
    digests: Digests,
    hasher: RandomState,
    ranges: usize,
    most: usize,
    series: u32,
    key: String,
}

/// What is known of one run.
#[derive(Debug, Default)]
pub(super) struct RunBook {
    pub(super) node: String,
    /// Times of its earliest and latest record.
    pub(super) times: Option<(u64, u64)>,
    pub(super) series: HashMap<String, Series>,
    pub(super) accesses: u64,
    pub(super) losses: BTreeMap<String, Lost>,
    /// Records of this run that losses say to be missing: its own, or those of later runs.
    pub(super) told: u64,
    pub(super) stopped: Option<Stopped>,
    /// Records that came again, saying the same.
    pub(super) resent: u64,
    /// Records that came again, so late that it is not known whether they say the same.
    pub(super) unchecked: u64,
    /// Records under a number that another one has, and the first of them.
    pub(super) conflicts: u64,
    pub(super) conflicting: Vec<(String, String, u64)>,
    /// It is known to have begun before what was read: when it was seen then.
    pub(super) seen_before_ns: Option<u64>,
}

/// One series.
#[derive(Debug)]
pub(super) struct Series {
    id: u32,
    /// For people.
    pub(super) who: String,
    pub(super) event: String,
    pub(super) numbers: Ranges,
}

/// What was lost for one reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) accesses: u64,
    /// Records of losses that could not be counted.
    pub(super) uncounted: u64,
    /// Records that had numbers.
    pub(super) events: u64,
}

impl Books {
    /// Empty books.
    #[must_use]
    pub fn new(start: Start) -> Self {
        Self {
            start,
            runs: BTreeMap::new(),
            others: 0,
            faults: 0,
            digests: Digests::default(),
            hasher: RandomState::default(),
            ranges: 0,
            most: RANGES_MAX,
            series: 0,
            key: String::new(),
        }
    }

    /// What digests of records are made with ([`super::RecordBuilder::new`]).
    #[must_use]
    pub fn hasher(&self) -> RandomState {
        self.hasher.clone()
    }

    /// Counts a record of somebody else.
    pub fn other(&mut self) {
        self.others += 1;
    }

    /// Counts a line or a record that cannot be read: the trail is not proven then.
    pub fn fault(&mut self) {
        self.faults += 1;
    }

    /// Enters a record.
    ///
    /// # Errors
    /// [`Full`]: nothing more can be entered.
    pub fn take(&mut self, record: &Record<'_>) -> Result<(), Full> {
        let run = match self.runs.get_mut(record.run) {
            Some(run) => run,
            None => self.runs.entry(record.run.to_owned()).or_default(),
        };
        run.note(record);
        write_key(&mut self.key, record);
        if !run.series.contains_key(&self.key) {
            let (id, numbers) = (self.series, Ranges::default());
            self.series += 1;
            run.series
                .insert(self.key.clone(), Series { id, who: who(record), event: record.event.to_owned(), numbers });
        }
        let Some(series) = run.series.get_mut(&self.key) else { return Ok(()) };
        let before = series.numbers.len();
        let is_new = series.numbers.insert(record.sequence);
        self.ranges = self.ranges + series.numbers.len() - before;
        if is_new {
            self.digests.insert(series.id, record.sequence, record.digest);
            run.count(record);
            self.tell(record);
        } else {
            match self.digests.is_same(series.id, record.sequence, record.digest) {
                Some(true) => run.resent += 1,
                None => run.unchecked += 1,
                Some(false) => {
                    run.conflicts += 1;
                    if run.conflicting.len() < CONFLICTS_MAX {
                        run.conflicting.push((series.who.clone(), series.event.clone(), record.sequence));
                    }
                }
            }
        }
        if self.ranges > self.most { Err(Full) } else { Ok(()) }
    }

    /// Notes of which run a loss says that records are missing.
    fn tell(&mut self, record: &Record<'_>) {
        let Some(loss) = record.loss else { return };
        let run = self.runs.entry(loss.run.unwrap_or(record.run).to_owned()).or_default();
        run.told = run.told.saturating_add(loss.events);
        if run.node.is_empty() {
            record.node.clone_into(&mut run.node);
        }
    }

    /// How many records were entered, those that came again too, and of how many runs.
    #[must_use]
    pub fn entered(&self) -> (u64, usize) {
        let of_run = |run: &RunBook| {
            let numbers: u64 = run.series.values().map(|series| series.numbers.count()).sum();
            numbers + run.resent + run.unchecked + run.conflicts
        };
        (self.runs.values().map(of_run).sum(), self.runs.len())
    }

    /// Runs that would be complete had they begun before what was read.
    #[must_use]
    pub fn doubtful(&self) -> Vec<String> {
        let doubtful = |(_, run): &(&String, &RunBook)| !run.is_complete_from_its_start();
        self.runs.iter().filter(doubtful).map(|(id, _)| id.clone()).collect()
    }

    /// Says that a run has begun before what was read: one of its records has that time.
    pub fn seen_before(&mut self, run: &str, time_ns: u64) {
        if let Some(run) = self.runs.get_mut(run) {
            run.seen_before_ns = Some(time_ns);
        }
    }

    /// What is proven, and what is not.
    #[must_use]
    pub fn report(&self) -> Report {
        Report::new(self)
    }
}

impl RunBook {
    fn note(&mut self, record: &Record<'_>) {
        if self.node.is_empty() {
            record.node.clone_into(&mut self.node);
        }
        if record.time_ns > 0 {
            let (first, last) = self.times.unwrap_or((record.time_ns, record.time_ns));
            self.times = Some((first.min(record.time_ns), last.max(record.time_ns)));
        }
    }

    /// A record that was not there yet.
    fn count(&mut self, record: &Record<'_>) {
        self.accesses = self.accesses.saturating_add(record.accesses);
        self.stopped = self.stopped.or(record.stopped);
        let Some(loss) = record.loss else { return };
        let is_told_apart = self.losses.contains_key(loss.reason) || self.losses.len() < REASONS_MAX;
        let reason = if is_told_apart { loss.reason } else { OTHER_REASONS };
        let lost = self.losses.entry(reason.to_owned()).or_default();
        lost.events = lost.events.saturating_add(loss.events);
        match loss.accesses {
            Some(accesses) => lost.accesses = lost.accesses.saturating_add(accesses),
            None => lost.uncounted += 1,
        }
    }
}

/// What names the series within its run.
fn write_key(key: &mut String, record: &Record<'_>) {
    key.clear();
    let (kind, id) = match record.origin {
        Origin::Container(id) => ('c', id),
        Origin::Host(unit) => ('h', unit),
        Origin::Unknown => ('u', ""),
        Origin::Exporter => ('e', ""),
    };
    let _infallible = write!(key, "{kind}{id}\0{}", record.event);
}

/// `shop/web-7d4b9/web (container 0123456789ab)`, `unit sshd.service`, `exporter`.
fn who(record: &Record<'_>) -> String {
    /// Bytes of a container's id that people use.
    const SHORT_ID: usize = 12;
    match record.origin {
        Origin::Container(id) => {
            let names: Vec<&str> = record.names.into_iter().filter(|name| !name.is_empty()).collect();
            let id = id.get(..SHORT_ID).unwrap_or(id);
            if names.is_empty() { format!("container {id}") } else { format!("{} (container {id})", names.join("/")) }
        }
        Origin::Host("" | "host") => "host".to_owned(),
        Origin::Host(unit) => format!("unit {unit}"),
        Origin::Unknown => "an unknown container".to_owned(),
        Origin::Exporter => "exporter".to_owned(),
    }
}

#[cfg(test)]
impl Books {
    /// Full at this number of ranges.
    pub(super) fn of_at_most(most: usize) -> Self {
        Self { most, ..Self::new(Start::Whole) }
    }
}
