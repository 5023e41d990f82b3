//! The report for people: runs, accesses, then what is wrong, what is not proven, and the verdict last.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use jiff::Timestamp;

use crate::sink::Printable;
use crate::verify::{Gap, Report, Run, Totals, Verdict};

/// Gaps that are printed; `--output json` has more.
const GAPS_MAX: usize = 100;

/// The text. `columns` is the terminal's width; nothing where there is none.
pub(super) fn of(report: &Report, columns: Option<u16>) -> String {
    let mut text = String::new();
    if !report.runs.is_empty() {
        let _infallible = write!(text, "{}\n\n{}\n\n", runs(&report.runs, columns), accesses(&report.totals, columns));
    }
    for gap in report.gaps.iter().take(GAPS_MAX) {
        let _infallible = writeln!(text, "missing: {}", self::gap(gap));
    }
    let further = report.further_gaps + report.gaps.len().saturating_sub(GAPS_MAX) as u64;
    if further > 0 {
        let _infallible = writeln!(text, "missing: {further} further gaps (--output json has more of them)");
    }
    for run in &report.runs {
        for problem in &run.problems {
            let _infallible = writeln!(text, "run {}: {}", safe(&run.run), safe(problem));
        }
    }
    for run in &report.runs {
        for unproven in &run.unproven {
            let _infallible = writeln!(text, "run {}: not proven: {unproven}", safe(&run.run));
        }
    }
    if report.unreadable > 0 {
        let _infallible = writeln!(text, "{} lines or records could not be read", report.unreadable);
    }
    text.push_str(verdict(report));
    text
}

/// Names are whatever a record says.
fn safe(name: &str) -> String {
    Printable(name.as_bytes()).to_string()
}

/// RFC 3339, to the second.
pub(super) fn time(time_ns: u64) -> String {
    let time = Timestamp::from_nanosecond(i128::from(time_ns));
    time.map_or_else(|_| "?".to_owned(), |time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

fn verdict(report: &Report) -> &'static str {
    match report.verdict {
        Verdict::Complete => "complete: every record that the exporters numbered is here, or told to be lost\n",
        Verdict::SoFar => "complete so far: nothing is missing but what is said above not to be proven\n",
        Verdict::Incomplete if report.runs.is_empty() => "not complete: there is no record of an exporter\n",
        Verdict::Incomplete => "NOT complete\n",
    }
}

fn gap(gap: &Gap) -> String {
    let Gap { run, node, who, event, first, last } = gap;
    let [run, node, who, event] = [run, node, who, event].map(|name| safe(name));
    let numbers = if first == last { first.to_string() } else { format!("{first}-{last}") };
    let node = if node.is_empty() { String::new() } else { format!(" on {node}") };
    format!("run {run}{node}: {who}: {event} {numbers}")
}

fn runs(runs: &[Run], columns: Option<u16>) -> String {
    let header =
        ["RUN", "NODE", "FROM", "TO", "SERIES", "RECORDS", "RESENT", "MISSING", "TOLD LOST", "START", "END", ""];
    let mut rows = vec![header.map(str::to_owned)];
    for run in runs {
        let time = |time: Option<u64>| time.map_or_else(|| "?".to_owned(), self::time);
        let verdict = match run.verdict {
            Verdict::Complete => "complete",
            Verdict::SoFar => "so far",
            Verdict::Incomplete => "NOT complete",
        };
        rows.push([
            safe(&run.run),
            safe(&run.node),
            time(run.times_unix_nano.map(|times| times.0)),
            time(run.times_unix_nano.map(|times| times.1)),
            run.series.to_string(),
            run.records.to_string(),
            run.resent.to_string(),
            run.missing.to_string(),
            run.told_lost.to_string(),
            if run.from_its_start { "yes" } else { "cut" }.to_owned(),
            if run.to_its_end { "stopped" } else { "open" }.to_owned(),
            verdict.to_owned(),
        ]);
    }
    table(columns, rows, 4..9)
}

fn accesses(totals: &Totals, columns: Option<u16>) -> String {
    let row = |name: &str, accesses: u64, records: String, note: String| {
        [name.to_owned(), accesses.to_string(), records, note]
    };
    let mut rows = vec![["ACCESSES", "", "RECORDS", ""].map(str::to_owned)];
    rows.push(row("received", totals.received, String::new(), String::new()));
    for (reason, lost) in &totals.lost {
        let note = match (lost.uncounted, reason.as_str()) {
            (0, "hook_missed") => "at most".to_owned(),
            (0, _) => String::new(),
            (1, _) => "and those of a time in which nobody could count".to_owned(),
            (times, _) => format!("and those of {times} times in which nobody could count"),
        };
        rows.push(row(&format!("lost: {}", safe(reason)), lost.accesses, lost.records.to_string(), note));
    }
    rows.push(row("made", totals.made, String::new(), String::new()));
    table(columns, rows, 1..3)
}

/// Columns of numbers are aligned to the right.
fn table<const N: usize>(columns: Option<u16>, rows: Vec<[String; N]>, numbers: std::ops::Range<usize>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    if let Some(columns) = columns {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(columns);
    }
    table.add_rows(rows);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if index + 1 < N { 2 } else { 0 }));
        if numbers.contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}
