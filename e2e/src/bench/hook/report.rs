//! The rows as figures beside their goals.

use std::fmt;

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;

use super::super::goal::{self, Goal, Table};
use super::super::miss::TOLERANCE_PERCENT;
use super::rows::{Program, Row};

/// What the run found, in instructions.
#[derive(Debug, Serialize)]
pub(in super::super) struct Report {
    kernel: String,
    /// Of one open and close without programs, at the start and at the end.
    baseline: [f64; 2],
    /// Whether the two agree.
    pub(super) valid: bool,
    /// Calls of the hook in one open.
    calls: f64,
    pub(in super::super) figures: Table,
}

impl Report {
    /// # Errors
    /// A row is missing.
    pub(super) fn new(kernel: String, rows: &[Row]) -> Result<Self> {
        let [first, .., last] = rows else { anyhow::bail!("the machine wrote no rows") };
        ensure!(first.program == Program::None && last.program == Program::None, "a baseline is missing");
        let baseline = [first.instructions, last.instructions];
        let mean = f64::midpoint(baseline[0], baseline[1]);
        let row = |program| {
            let found = rows.iter().find(|row| row.program == program);
            found.with_context(|| format!("the row of {program:?} is missing"))
        };
        let cost = |program| row(program).map(|row| row.instructions - mean);
        let calls = row(Program::Records)?.records;
        let quiet = cost(Program::Quiet)?;
        let [paths, opens] = [cost(Program::Paths)? / calls, cost(Program::Opens)? / calls];
        let [lazy, woken] = [(cost(Program::Lazy)? - quiet) / calls, (cost(Program::Records)? - quiet) / calls];
        let rows = vec![
            goal::Row::new(
                "fexit, a record without a path",
                cost(Program::IdsOnly)? / calls,
                None,
                Some(Goal::AtMost(450.0)),
            ),
            goal::Row::new(
                "fexit, a record as it is",
                cost(Program::Fexit)? / calls,
                Some(paths),
                Some(Goal::Ratio(2.0)),
            ),
            goal::Row::new(
                "kprobe, a record as it is",
                cost(Program::Kprobe)? / calls,
                Some(paths),
                Some(Goal::Ratio(2.0)),
            ),
            goal::Row::new(
                "fexit, beside a peer that reports opens alone",
                cost(Program::Fexit)? / calls,
                Some(opens),
                None,
            ),
            goal::Row::new("Delivery of a record on one CPU, reader included", lazy, Some(woken), None),
        ];
        let figures = Table {
            what: format!("Instructions per call of the hook, {calls:.0} in an open, Linux {kernel}"),
            peer: Some("Cookbook's kprobe".to_owned()),
            rows,
        };
        let valid = (baseline[1] - baseline[0]).abs() <= mean * TOLERANCE_PERCENT / 100.0;
        Ok(Self { kernel, baseline, valid, calls, figures })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\nAn open and close takes {:.0} without programs.", self.figures, self.baseline[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COSTS: [(Program, f64); 8] = [
        (Program::IdsOnly, 2400.0),
        (Program::Fexit, 4800.0),
        (Program::Kprobe, 6000.0),
        (Program::Records, 12_600.0),
        (Program::Paths, 18_000.0),
        (Program::Opens, 6000.0),
        (Program::Lazy, 6900.0),
        (Program::Quiet, 6000.0),
    ];

    fn rows(end: f64) -> Vec<Row> {
        let row = |program, instructions| Row { program, instructions, records: 6.0 };
        let costs = COSTS.map(|(program, cost)| row(program, 1000.0 + cost));
        [&[row(Program::None, 1000.0)][..], &costs, &[row(Program::None, end)]].concat()
    }

    #[test]
    fn figures_are_per_call_and_above_what_delivers_nothing() {
        let report = Report::new("6.12".into(), &rows(1000.0)).unwrap();
        let figures: Vec<_> = report.figures.rows.iter().map(|row| (row.ours, row.peer, row.met)).collect();
        assert_eq!(
            figures,
            [
                (400.0, None, Some(true)),
                (800.0, Some(3000.0), Some(true)),
                (1000.0, Some(3000.0), Some(true)),
                (800.0, Some(1000.0), None),
                (150.0, Some(1100.0), None),
            ]
        );
        assert!(report.valid);
    }

    #[test]
    fn a_run_is_valid_only_between_equal_baselines() {
        assert!(!Report::new(String::new(), &rows(1006.0)).unwrap().valid);
        assert!(Report::new(String::new(), &rows(1000.0)[1..]).is_err());
        assert!(Report::new(String::new(), &[&rows(1000.0)[..3], &rows(1000.0)[9..]].concat()).is_err());
    }
}
