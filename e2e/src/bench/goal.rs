//! Figures beside a peer's, and whether they are as good as they should be.

use std::fmt;

use serde::Serialize;

/// Figures of one kind.
#[derive(Debug, Serialize)]
pub struct Table {
    /// What they are, and the unit where rows do not say it.
    pub what: String,
    /// Whom ours are beside, if anybody.
    pub peer: Option<String>,
    /// One each.
    pub rows: Vec<Row>,
}

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

impl fmt::Display for Table {
    /// In Markdown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, peer, rows } = self;
        match peer {
            Some(peer) => writeln!(f, "| {what} | inotrail | {peer} | Ratio | Goal |\n|---|---|---|---|---|")?,
            None => writeln!(f, "| {what} | inotrail | Goal |\n|---|---|---|")?,
        }
        rows.iter().try_for_each(|row| {
            let Row { what, ours, peer, ratio, goal, met } = row;
            write!(f, "| {what} | {} | ", number(*ours))?;
            if self.peer.is_some() {
                let peer = peer.map(number).unwrap_or_default();
                write!(f, "{peer} | {} | ", ratio.map(|ratio| format!("{ratio:.1}")).unwrap_or_default())?;
            }
            let missed = if *met == Some(false) { " (missed)" } else { "" };
            writeln!(f, "{}{missed} |", goal.map(|goal| goal.to_string()).unwrap_or_default())
        })
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(most) => write!(f, "at most {most}"),
            Self::Ratio(least) => write!(f, "{least} times less"),
        }
    }
}

/// To three digits at least.
fn number(figure: f64) -> String {
    match figure.abs() {
        0.0 => "0".to_owned(),
        small if small < 10.0 => format!("{figure:.2}"),
        medium if medium < 100.0 => format!("{figure:.1}"),
        _ => format!("{figure:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_says_what_is_missed() {
        let rows = [
            Row::new("a", 100.0, Some(750.0), Some(Goal::Ratio(8.0))),
            Row::new("b", 0.0, None, Some(Goal::AtMost(0.0))),
            Row::new("c", 1.54, Some(30.8), None),
        ];
        let mut table = Table { what: "a".to_owned(), peer: Some("b".to_owned()), rows: rows.into() };
        let text = table.to_string();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "| a | inotrail | b | Ratio | Goal |");
        assert_eq!(lines[2], "| a | 100 | 750 | 7.5 | 8 times less (missed) |");
        assert_eq!(lines[3], "| b | 0 |  |  | at most 0 |");
        assert_eq!(lines[4], "| c | 1.54 | 30.8 | 20.0 |  |");
        table.peer = None;
        assert_eq!(table.to_string().lines().nth(2), Some("| a | 100 | 8 times less (missed) |"));
    }
}
