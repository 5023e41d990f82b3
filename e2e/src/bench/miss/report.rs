//! The rows as a table, with what each program adds and how many times more than ours.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;

use super::super::goal::{self, Goal, Table};
use super::TOLERANCE_PERCENT;
use super::rows::{Case, Row};

/// What the run found, in instructions per open and close.
#[derive(Debug, Serialize)]
pub(in super::super) struct Report {
    kernel: String,
    /// Without programs, at the start.
    baseline: f64,
    /// Without programs, at the end.
    baseline_end: f64,
    /// Whether the two agree.
    pub(super) valid: bool,
    programs: Vec<Program>,
    /// What ours add to an open that is not wanted, in percent of it.
    pub(in super::super) goals: Table,
}

/// What one program adds.
#[derive(Debug, Serialize)]
struct Program {
    name: String,
    ours: bool,
    /// To an access that is not wanted: its cgroup is not in scope.
    miss: f64,
    /// To one that is not wanted with a thousand policies in force: none is about its container.
    no_rule: Option<f64>,
    /// The same: all are about its container, and none about the file.
    no_file: Option<f64>,
    /// To one that is.
    wanted: f64,
    /// For a peer's program: how many times more it adds to a miss than each of ours.
    ratios: BTreeMap<String, f64>,
}

impl Report {
    /// # Errors
    /// A row is missing.
    pub(super) fn new(kernel: String, rows: &[Row]) -> Result<Self> {
        let [first, between @ .., last] = rows else { anyhow::bail!("the machine wrote no rows") };
        ensure!(first.program.is_none() && last.program.is_none(), "a baseline is missing");
        let (baseline, baseline_end) = (first.instructions, last.instructions);
        let mean = f64::midpoint(baseline, baseline_end);
        let mut programs = Vec::new();
        for rows in between.chunk_by(|one, next| one.program == next.program) {
            let name = rows[0].program.clone().context("a baseline between programs")?;
            let cost = |case| rows.iter().find(|row| row.case == case).map(|row| row.instructions - mean);
            programs.push(Program {
                miss: cost(Case::OutOfScope).with_context(|| format!("{name}: a row is missing"))?,
                no_rule: cost(Case::NoRule),
                no_file: cost(Case::NoFile),
                wanted: cost(Case::Wanted).with_context(|| format!("{name}: a row is missing"))?,
                name,
                ours: rows[0].ours,
                ratios: BTreeMap::new(),
            });
        }
        let ours: Vec<_> = programs
            .iter()
            .filter(|program| program.ours)
            .map(|program| (program.name.clone(), program.miss))
            .collect();
        for peer in programs.iter_mut().filter(|program| !program.ours) {
            peer.ratios = ours.iter().map(|(name, miss)| (name.clone(), peer.miss / miss)).collect();
        }
        let goals = goals(&kernel, mean, &programs);
        let valid = (baseline_end - baseline).abs() <= mean * TOLERANCE_PERCENT / 100.0;
        Ok(Self { kernel, baseline, baseline_end, valid, programs, goals })
    }
}

/// Up to Linux 6.18 each folder on the way is checked by a call of its own, which all programs on it are run for.
fn goals(kernel: &str, baseline: f64, programs: &[Program]) -> Table {
    let version = kernel.split(['.', '-']).map_while(|part| part.parse().ok()).take(2).collect::<Vec<u32>>();
    let limits = if version.as_slice() < &[6, 19][..] {
        [("fexit", 18.0), ("kprobe", 35.0)]
    } else {
        [("fexit", 5.0), ("kprobe", 8.0)]
    };
    let row = |(name, most): (&str, f64)| {
        let program = programs.iter().find(|program| program.ours && program.name == name)?;
        Some(goal::Row::new(name, program.miss / baseline * 100.0, None, Some(Goal::AtMost(most))))
    };
    Table {
        what: format!("Added to an open that is not wanted, %, Linux {kernel}"),
        peer: None,
        rows: limits.into_iter().filter_map(row).collect(),
    }
}

/// Of ours, those that peers are compared with.
const COMPARED: [&str; 3] = ["fexit", "kprobe", "raw-tracepoint"];

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let compared = COMPARED.map(|name| format!("× {name}")).join(" | ");
        writeln!(
            f,
            "| Instructions added, Linux {} | Out of scope | {compared} | No rule | No file | Wanted |",
            self.kernel
        )?;
        writeln!(f, "|{}", "---|".repeat(5 + COMPARED.len()))?;
        for program in &self.programs {
            let whose = if program.ours { "inotrail, " } else { "" };
            let ratios =
                COMPARED.map(|name| program.ratios.get(name).map(|ratio| format!("{ratio:.1}")).unwrap_or_default());
            let [rule, file] = [program.no_rule, program.no_file]
                .map(|cost| cost.map(|cost| format!("{cost:.0}")).unwrap_or_default());
            let Program { name, miss, wanted, .. } = program;
            writeln!(f, "| {whose}{name} | {miss:.0} | {} | {rule} | {file} | {wanted:.0} |", ratios.join(" | "))?;
        }
        writeln!(
            f,
            "\nAn open and close takes {:.0} without programs, and {:.0} at the end.",
            self.baseline, self.baseline_end
        )?;
        for goal::Row { what, ours, goal, met, .. } in &self.goals.rows {
            let Some(Goal::AtMost(most)) = goal else { continue };
            let missed = if *met == Some(false) { ", missed" } else { "" };
            writeln!(f, "One that is not wanted takes {ours:.1} % more by {what} (at most {most:.0}{missed}).")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(program: Option<&str>, wanted: bool, instructions: f64) -> Row {
        let case = if wanted { Case::Wanted } else { Case::OutOfScope };
        Row { program: program.map(str::to_owned), ours: program == Some("fexit"), case, instructions }
    }

    fn rows(end: f64) -> [Row; 6] {
        [
            row(None, false, 1000.0),
            row(Some("fexit"), false, 1100.0),
            row(Some("fexit"), true, 1500.0),
            row(Some("peer"), false, 1400.0),
            row(Some("peer"), true, 1400.0),
            row(None, false, end),
        ]
    }

    #[test]
    fn ratios_are_of_what_is_added() {
        let report = Report::new("6.12".into(), &rows(1000.0)).unwrap();
        assert!(report.valid);
        assert_eq!(report.programs[1].ratios, BTreeMap::from([("fexit".to_owned(), 4.0)]));
    }

    #[test]
    fn goals_are_of_the_kernel() {
        let goal = |kernel: &str| {
            let report = Report::new(kernel.into(), &rows(1000.0)).unwrap();
            (report.goals.rows[0].ours, report.goals.rows[0].goal, report.goals.rows[0].met)
        };
        assert_eq!(goal("6.12.117-1"), (10.0, Some(Goal::AtMost(18.0)), Some(true)));
        assert_eq!(goal("7.3-rc1"), (10.0, Some(Goal::AtMost(5.0)), Some(false)));
        assert_eq!(goal("5.10.0").1, Some(Goal::AtMost(18.0)));
    }

    #[test]
    fn baselines_must_agree_and_no_row_may_be_missing() {
        assert!(Report::new(String::new(), &rows(1004.0)).unwrap().valid);
        assert!(!Report::new(String::new(), &rows(1006.0)).unwrap().valid);
        assert!(!Report::new(String::new(), &rows(994.0)).unwrap().valid);
        assert!(Report::new(String::new(), &rows(1000.0)[..5]).is_err());
        assert!(Report::new(String::new(), &rows(1000.0)[1..]).is_err());
        let short = [&rows(1000.0)[..2], &rows(1000.0)[3..]].concat();
        assert!(Report::new(String::new(), &short).is_err());
    }
}
