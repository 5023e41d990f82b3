//! Figures beside a peer's, and whether they are as good as they should be.

use serde::Serialize;

/// One figure. Less is better.
#[derive(Debug, Serialize)]
pub struct Row {
    /// With its unit.
    pub what: String,
    /// The exporter's.
    pub ours: f64,
    /// The same of a peer.
    pub peer: Option<f64>,
    /// How many times ours the peer's is.
    pub ratio: Option<f64>,
    /// What ours should be, or the ratio.
    pub goal: Option<Goal>,
    /// Whether it is so.
    pub met: Option<bool>,
}

/// What a figure should be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Goal {
    /// This, or less.
    AtMost(f64),
    /// So many times less than the peer.
    Ratio(f64),
}

impl Row {
    /// Compares.
    #[must_use]
    pub fn new(what: &str, ours: f64, peer: Option<f64>, goal: Option<Goal>) -> Self {
        let ratio = peer.map(|peer| peer / ours);
        let met = goal.map(|goal| match goal {
            Goal::AtMost(most) => ours <= most,
            Goal::Ratio(least) => ratio.is_some_and(|ratio| ratio >= least),
        });
        Self { what: what.to_owned(), ours, peer, ratio, goal, met }
    }
}

/// In Markdown; `what` and `peer` are heads of columns.
#[must_use]
pub fn table(what: &str, peer: &str, rows: &[Row]) -> String {
    let head = format!("| {what} | inotrail | {peer} | Ratio | Goal |\n|---|---|---|---|---|\n");
    let lines = rows.iter().map(|row| {
        let Row { what, ours, peer, ratio, goal, met } = row;
        let peer = peer.map(|peer| format!("{peer:.0}")).unwrap_or_default();
        let ratio = ratio.map(|ratio| format!("{ratio:.1}")).unwrap_or_default();
        let goal = goal.map_or_else(String::new, |goal| match goal {
            Goal::AtMost(most) => format!("at most {most:.0}"),
            Goal::Ratio(least) => format!("{least:.0} times less"),
        });
        let missed = if *met == Some(false) { " (missed)" } else { "" };
        format!("| {what} | {ours:.0} | {peer} | {ratio} | {goal}{missed} |\n")
    });
    head + &lines.collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_says_what_is_missed() {
        let rows = [
            Row::new("a", 100.0, Some(750.0), Some(Goal::Ratio(8.0))),
            Row::new("b", 0.0, None, Some(Goal::AtMost(0.0))),
            Row::new("c", 1.5, Some(3.0), None),
        ];
        let table = table("a", "b", &rows);
        let lines: Vec<_> = table.lines().skip(2).collect();
        assert_eq!(lines[0], "| a | 100 | 750 | 7.5 | 8 times less (missed) |");
        assert_eq!(lines[1], "| b | 0 |  |  | at most 0 |");
        assert_eq!(lines[2], "| c | 2 | 3 | 2.0 |  |");
    }
}
