//! The table of all outcomes.

use std::fmt;

use super::{Cell, Facts, Outcome, Test, Verdict};

/// How one test ended in one machine on one backend.
#[derive(Clone, Debug)]
pub struct Row {
    /// What kind of machine.
    pub cell: Cell,
    /// The test.
    pub test: &'static Test,
    /// How it ended.
    pub verdict: Verdict,
    /// What the machine said about itself, where the test asked it.
    pub facts: Option<Facts>,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (outcome, why) = match &self.verdict.outcome {
            Outcome::Pass(why) => ("pass", why),
            Outcome::Fail(why) => ("FAIL", why),
            Outcome::NotApplicable(why) => ("n.a.", why),
        };
        let Cell { line, .. } = &self.cell;
        let (kernel, model) = (format!("{} {}", line.line, line.arch), self.cell.model());
        write!(f, "{kernel:13} {model:9} {:9} {:14} {outcome} {why}", self.test.name, self.verdict.backend)
    }
}

/// All rows, and how many ended how.
pub(super) fn table(rows: &[Row]) -> String {
    let (passed, failed, none) = counts(rows);
    format!("{}\n{} outcomes: {passed} passed, {failed} failed, {none} not applicable\n", list(rows), rows.len())
}

/// A line for each.
pub(super) fn list(rows: &[Row]) -> String {
    rows.iter().map(Row::to_string).collect::<Vec<_>>().join("\n")
}

/// How many passed, failed and could not run.
pub(super) fn counts(rows: &[Row]) -> (usize, usize, usize) {
    rows.iter().fold((0, 0, 0), |(passed, failed, none), row| match row.verdict.outcome {
        Outcome::Pass(_) => (passed + 1, failed, none),
        Outcome::Fail(_) => (passed, failed + 1, none),
        Outcome::NotApplicable(_) => (passed, failed, none + 1),
    })
}

/// Whether none failed, and there was one.
#[must_use]
pub fn passed(rows: &[Row]) -> bool {
    let (passed, failed, _) = counts(rows);
    passed > 0 && failed == 0
}
