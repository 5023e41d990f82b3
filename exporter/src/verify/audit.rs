//! Holes of one run held against what it says of losses.

use super::Start;
use super::books::{RunBook, Series};
use super::report::Verdict;
use crate::otlp::{LOSS_EVENT_NAME, STOPPED_EVENT_NAME};

/// Numbers of records that are there, and that are missing: of events, and of what exporters never shed, losses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Numbers {
    there: u64,
    holes: u64,
    /// Missing after the last one of series, or of series of which there is nothing.
    at_the_end: u64,
    /// There, or holes, and more than the exporter says to have numbered.
    surplus: u64,
}

/// What follows for one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Audit {
    pub(super) start: Start,
    events: Numbers,
    losses: Numbers,
    /// Records that losses say to be missing.
    pub(super) told: u64,
    /// The run's last record is there.
    is_closed: bool,
}

impl Audit {
    /// Held to the most that can be asked: from its start, unless it is known to have begun before, or may have.
    pub(super) fn of(run: &RunBook, start: Start) -> Self {
        let whole = Self::from(run, Start::Whole);
        let may_be_cut = start == Start::Cut || run.seen_before_ns.is_some();
        if may_be_cut && !whole.is_balanced() { Self::from(run, Start::Cut) } else { whole }
    }

    fn from(run: &RunBook, start: Start) -> Self {
        let (told, is_closed) = (run.told, run.stopped.is_some());
        let (events, losses) = (Numbers::default(), Numbers::default());
        let mut audit = Self { start, events, losses, told, is_closed };
        for series in run.series.values() {
            let holes = series
                .numbers
                .holes(audit.first_of(series))
                .fold(0, |sum: u64, hole| sum.saturating_add((hole.end() - hole.start()).saturating_add(1)));
            let numbers = if is_shed(series) { &mut audit.events } else { &mut audit.losses };
            numbers.holes = numbers.holes.saturating_add(holes);
            if series.event != STOPPED_EVENT_NAME {
                numbers.there = numbers.there.saturating_add(series.numbers.count());
            }
        }
        if let Some(stopped) = run.stopped {
            audit.events.close(stopped.events, start);
            audit.losses.close(stopped.losses, start);
        }
        audit
    }

    /// The first number of a series that is not to be missing.
    pub(super) fn first_of(&self, series: &Series) -> u64 {
        if self.start == Start::Whole { 1 } else { series.numbers.first().unwrap_or(1) }
    }

    /// Numbers that are missing.
    pub(super) fn missing(&self) -> u64 {
        self.events.missing().saturating_add(self.losses.missing())
    }

    /// Whether the holes of a series are not explained. Where some of a run's are, it cannot be said which.
    pub(super) fn is_unexplained(&self, series: &Series) -> bool {
        !is_shed(series) || self.events.missing() > self.told
    }

    /// Nothing is missing that is not told, and nothing is told that is not missing.
    pub(super) fn is_balanced(&self) -> bool {
        let is_told = if self.is_closed && self.start == Start::Whole {
            self.events.missing() == self.told
        } else {
            self.events.missing() <= self.told
        };
        is_told && self.losses.missing() == 0 && self.events.surplus == 0 && self.losses.surplus == 0
    }

    pub(super) fn verdict(&self, run: &RunBook) -> Verdict {
        match self.start {
            _ if !self.is_balanced() || run.conflicts > 0 => Verdict::Incomplete,
            Start::Whole if self.is_closed => Verdict::Complete,
            _ => Verdict::SoFar,
        }
    }

    /// What is wrong.
    pub(super) fn problems(&self, run: &RunBook) -> Vec<String> {
        let Self { events, losses, told, .. } = self;
        let missing = events.missing();
        let mut problems = Vec::new();
        if missing > *told {
            problems.push(format!("{} missing, and losses tell of {told}", records(missing, "is", "are")));
        } else if !self.is_balanced() && missing < *told && self.is_closed && self.start == Start::Whole {
            let are = if missing == 1 { "is" } else { "are" };
            problems.push(format!(
                "losses tell of {told} missing records, and {missing} {are} missing: what was told to be lost has arrived all the same, \
                 so that it could stand for others that are missing"
            ));
        }
        if losses.missing() > 0 {
            let count = records(losses.missing(), "of a loss is", "of losses are");
            problems.push(format!("{count} missing: what they told is not known"));
        }
        for (numbers, what, told) in [(events, "records", *told), (losses, "records of losses", 0)] {
            if numbers.at_the_end > 0 && numbers.missing() > told {
                problems.push(format!(
                    "up to {} of the missing {what} are after the last number of a series, or of a series that is missing whole",
                    numbers.at_the_end
                ));
            }
            if numbers.surplus > 0 {
                problems.push(format!("{} {what} more than the exporter says to have made", numbers.surplus));
            }
        }
        if run.conflicts > 0 {
            problems.push(format!("{} under a number that another one has", records(run.conflicts, "came", "came")));
        }
        let named = run.conflicting.iter().map(|(who, event, number)| format!("two records: {who}, {event} {number}"));
        problems.extend(named);
        problems
    }

    /// What is not proven.
    pub(super) fn unproven(&self, run: &RunBook) -> Vec<String> {
        let mut unproven = Vec::new();
        if self.start == Start::Cut {
            let cut = run.series.values().filter(|series| series.numbers.first() > Some(1)).count();
            let cut = match cut {
                0 => String::new(),
                1 => ": of 1 series the first numbers".to_owned(),
                _ => format!(": of {cut} series the first numbers"),
            };
            unproven.push(format!("what is before the part that was read{cut}"));
        }
        if !self.is_closed {
            unproven.push(
                "what is after the last number of each series: the run goes on, or was killed, and its end is open"
                    .to_owned(),
            );
        } else if self.start == Start::Cut {
            unproven.push("what is after the last number of each series: only a whole run can be counted".to_owned());
        }
        if run.unchecked > 0 {
            let count = records(run.unchecked, "that came again says", "that came again say");
            unproven.push(format!("whether {count} the same as the first, which is too long ago"));
        }
        unproven
    }
}

impl Numbers {
    fn missing(&self) -> u64 {
        self.holes.saturating_add(self.at_the_end)
    }

    /// Holds them against how many the exporter says there are.
    fn close(&mut self, total: u64, start: Start) {
        let known = self.there.saturating_add(self.holes);
        self.surplus = known.saturating_sub(total);
        // Of a run that was cut, the rest is before as well as after.
        self.at_the_end = if start == Start::Whole { total.saturating_sub(known) } else { 0 };
    }
}

impl RunBook {
    /// Whether nothing is missing from its start on.
    pub(super) fn is_complete_from_its_start(&self) -> bool {
        Audit::from(self, Start::Whole).is_balanced()
    }
}

/// Whether exporters lose records of this series, when they must, and tell. Losses and the end are never shed.
fn is_shed(series: &Series) -> bool {
    series.event != LOSS_EVENT_NAME && series.event != STOPPED_EVENT_NAME
}

fn records(count: u64, one: &str, many: &str) -> String {
    if count == 1 { format!("1 record {one}") } else { format!("{count} records {many}") }
}
