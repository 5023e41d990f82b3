//! What the books prove, and what they do not.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Start;
use super::audit::Audit;
use super::books::{Books, Lost, RunBook};

/// Gaps that are named; further ones are counted.
const GAPS_MAX: usize = 10_000;

/// What is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every record that was numbered is there, or said to be lost.
    Complete,
    /// So it is between the first and the last number of each series; more is not known.
    SoFar,
    /// Something is missing, or contradicts itself.
    Incomplete,
}

/// Of a whole trail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The worst of all runs; incomplete, too, where there is no run, or something could not be read.
    pub verdict: Verdict,
    /// Each run of each exporter, the earliest first.
    pub runs: Vec<Run>,
    /// Numbers that nothing explains.
    pub gaps: Vec<Gap>,
    /// Gaps that are not in that list, because there are too many.
    pub further_gaps: u64,
    /// Accesses of all runs.
    pub totals: Totals,
    /// Lines and records that could not be read.
    pub unreadable: u64,
    /// Records of others.
    pub other_records: u64,
}

/// Of one run of one exporter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Run {
    /// `inotrail.stream.id`
    pub run: String,
    /// The node's name, or the host's.
    pub node: String,
    /// Times of the earliest and the latest record, nanoseconds since the Unix epoch; absent where no record has one.
    pub times_unix_nano: Option<(u64, u64)>,
    /// Series of numbers: who acted and event name.
    pub series: u64,
    /// Records, each counted once.
    pub records: u64,
    /// Accesses that they stand for.
    pub accesses: u64,
    /// Records that came again.
    pub resent: u64,
    /// Numbers that are missing.
    pub missing: u64,
    /// Missing numbers that the exporter says to have lost.
    pub told_lost: u64,
    /// Whether it is there from its first record on; else it began before what was read.
    pub from_its_start: bool,
    /// Whether its last record is there.
    pub to_its_end: bool,
    /// What is proven of it.
    pub verdict: Verdict,
    /// What is wrong, in words.
    pub problems: Vec<String>,
    /// What is not proven, in words.
    pub unproven: Vec<String>,
}

/// Missing numbers of one series.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// [`Run::run`]
    pub run: String,
    /// [`Run::node`]
    pub node: String,
    /// Who acted.
    pub who: String,
    /// The event's name.
    pub event: String,
    /// First missing number.
    pub first: u64,
    /// Last missing number.
    pub last: u64,
}

/// Accesses: made = received + lost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// What the records stand for.
    pub received: u64,
    /// By reason.
    pub lost: BTreeMap<String, LostAccesses>,
    /// The sum of all.
    pub made: u64,
}

/// Accesses lost for one reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LostAccesses {
    /// How many.
    pub accesses: u64,
    /// Of them records that had numbers.
    pub records: u64,
    /// Times in which accesses could not be counted.
    pub uncounted: u64,
}

impl Report {
    pub(super) fn new(books: &Books) -> Self {
        let mut report = Self {
            verdict: Verdict::Complete,
            runs: Vec::new(),
            gaps: Vec::new(),
            further_gaps: 0,
            totals: Totals::default(),
            unreadable: books.faults,
            other_records: books.others,
        };
        for (id, run) in &books.runs {
            let audit = Audit::of(run, books.start);
            report.list_gaps(id, run, &audit);
            report.totals.add(run);
            report.runs.push(Run::new(id, run, &audit));
        }
        report.runs.sort_by_key(|run| run.times_unix_nano);
        let worst = report.runs.iter().map(|run| run.verdict).max();
        report.verdict = worst.filter(|_| books.faults == 0).unwrap_or(Verdict::Incomplete);
        report
    }

    fn list_gaps(&mut self, id: &str, run: &RunBook, audit: &Audit) {
        for series in run.series.values().filter(|series| audit.is_unexplained(series)) {
            for hole in series.numbers.holes(audit.first_of(series)) {
                if self.gaps.len() == GAPS_MAX {
                    self.further_gaps += 1;
                    continue;
                }
                let (first, last) = hole.into_inner();
                let (run, node) = (id.to_owned(), run.node.clone());
                self.gaps.push(Gap { run, node, who: series.who.clone(), event: series.event.clone(), first, last });
            }
        }
        self.gaps.sort_by(|one, other| {
            let key = |gap: &Gap| (gap.run.clone(), gap.who.clone(), gap.event.clone(), gap.first);
            key(one).cmp(&key(other))
        });
    }
}

impl Run {
    fn new(id: &str, run: &RunBook, audit: &Audit) -> Self {
        Self {
            run: id.to_owned(),
            node: run.node.clone(),
            times_unix_nano: run.times,
            series: run.series.len() as u64,
            records: run.series.values().map(|series| series.numbers.count()).sum(),
            accesses: run.accesses,
            resent: run.resent + run.unchecked,
            missing: audit.missing(),
            told_lost: audit.told,
            from_its_start: audit.start == Start::Whole,
            to_its_end: run.stopped.is_some(),
            verdict: audit.verdict(run),
            problems: audit.problems(run),
            unproven: audit.unproven(run),
        }
    }
}

impl Totals {
    fn add(&mut self, run: &RunBook) {
        self.received = self.received.saturating_add(run.accesses);
        self.made = self.made.saturating_add(run.accesses);
        for (reason, Lost { accesses, uncounted, events }) in &run.losses {
            let lost = self.lost.entry(reason.clone()).or_default();
            lost.accesses = lost.accesses.saturating_add(*accesses);
            lost.records = lost.records.saturating_add(*events);
            lost.uncounted += uncounted;
            self.made = self.made.saturating_add(*accesses);
        }
    }
}
