//! The README's table of kernels, written from what a run of the matrix saw.

use anyhow::Result;
use inotrail::event::Backend;

use crate::docs;

use super::{
    BACKENDS, Cell, Facts, Outcome, TESTS,
    table::{Row, counts},
};

/// What writes it.
const WRITER: &str = "make matrix";
/// The test whose outcome the table shows for each backend; the line above it counts all.
const SHOWN: &str = "accesses";

/// The README with another section between the two comments.
pub(super) fn replaced(text: &str, section: &str) -> Result<String> {
    docs::replaced(text, WRITER, section)
}

/// Kernel line, architecture and preemption model of each row of the README's table.
#[cfg(test)]
fn rows(text: &str) -> Option<Vec<[String; 3]>> {
    let (_, section, _) = docs::between(text, WRITER)?;
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.map(|row| {
        let mut cells = row.trim_matches('|').split('|').map(str::trim);
        let (line, arch, model) = (cells.next()?, cells.next()?, cells.next()?);
        Some([line, arch, model.split(' ').next()?].map(str::to_owned))
    })
    .collect()
}

/// The table of a full run, and the notes it refers to.
pub(super) fn section(rows: &[Row], cells: &[Cell], date: &str) -> String {
    let (passed, failed, _) = counts(rows);
    let ran = TESTS.iter().filter(|test| rows.iter().any(|row| row.test.name == test.name));
    let tests = ran.map(|test| format!("`{}`", test.name)).collect::<Vec<_>>().join(", ");
    let mut notes = Vec::new();
    let lines: String = cells.iter().map(|cell| line(cell, rows, &mut notes)).collect();
    let names = BACKENDS.map(|backend| format!("`{}`", backend.as_str())).join(" | ");
    let head = format!("| Kernel | Architecture | Preemption | Release | `auto` takes | {names} | Not seen |\n");
    let notes = notes.iter().enumerate().map(|(number, note)| format!("{}. {note}\n", number + 1));
    format!(
        "\n{date}: {tests}: {passed} passed, {failed} failed.\n\n{head}|---|---|---|---|---|---|---|---|---|\n{lines}\n\
         A backend's column tells how many cases of the golden list it told right. Not seen by the one that `auto` takes:\n\n\
         {}\n",
        notes.collect::<String>()
    )
}

fn line(cell: &Cell, rows: &[Row], notes: &mut Vec<String>) -> String {
    let of = |name: &'static str| rows.iter().filter(move |row| row.cell == *cell && row.test.name == name);
    let facts = of(TESTS[0].name).find_map(|row| row.facts.as_ref());
    let model = match (&cell.preempt, facts) {
        (None, Some(facts)) => format!("{} ({})", cell.model(), facts.preemption),
        _ => cell.model().to_owned(),
    };
    let release = facts.map_or("", |facts| &facts.release);
    let chosen = facts.and_then(|facts| facts.chosen.as_deref()).unwrap_or("none");
    let backends = BACKENDS.map(|backend| {
        let row = of(SHOWN).find(|row| row.verdict.backend == backend.as_str());
        row.map_or_else(String::new, |row| shown(&row.verdict.outcome, facts, backend))
    });
    let not_seen = facts.map_or(&[][..], |facts| &facts.not_seen);
    let not_seen: Vec<_> = not_seen.iter().map(|note| number(note, notes).to_string()).collect();
    let (kernel, backends, not_seen) = (&cell.line, backends.join(" | "), not_seen.join(", "));
    format!("| {} | {} | {model} | `{release}` | {chosen} | {backends} | {not_seen} |\n", kernel.line, kernel.arch)
}

fn shown(outcome: &Outcome, facts: Option<&Facts>, backend: Backend) -> String {
    match outcome {
        Outcome::Pass(done) => {
            let facts = facts.and_then(|facts| facts.of(backend));
            let uncounted = facts.is_some_and(|facts| !facts.counts_misses);
            let degraded = facts.is_some_and(|facts| facts.degraded.is_some());
            let notes = [degraded.then_some("degraded"), uncounted.then_some("skipped calls are not counted")];
            [Some(done.as_str())].into_iter().chain(notes).flatten().collect::<Vec<_>>().join("; ")
        }
        Outcome::Fail(_) => "**failed**".to_owned(),
        Outcome::NotApplicable(why) => format!("no: {why}"),
    }
}

/// The number of a note, from 1.
fn number(note: &str, notes: &mut Vec<String>) -> usize {
    let known = notes.iter().position(|known| known == note);
    known.map_or_else(
        || {
            notes.push(note.to_owned());
            notes.len()
        },
        |place| place + 1,
    )
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;
    use crate::vm::{BackendFacts, Test, Verdict};

    #[test]
    fn the_readme_has_a_row_for_each_machine() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("README.md");
        let told: BTreeSet<_> = rows(&fs::read_to_string(file).unwrap()).unwrap().into_iter().collect();
        let name = |cell: Cell| [cell.line.line.clone(), cell.line.arch.clone(), cell.model().to_owned()];
        let known: BTreeSet<_> = Cell::all().unwrap().into_iter().map(name).collect();
        assert_eq!(told, known, "run `make matrix`");
    }

    #[test]
    fn a_section_replaces_another() {
        let cell = Cell::named("5.10", "aarch64", None).unwrap();
        let kprobe = BackendFacts { backend: "kprobe".into(), refused: None, counts_misses: false, degraded: None };
        let facts = Facts {
            release: "5.10.0-32-cloud-arm64".into(),
            arch: "aarch64".into(),
            preemption: "voluntary".into(),
            chosen: Some("kprobe".into()),
            not_seen: vec!["this".into(), "that".into()],
            backends: vec![kprobe],
        };
        let row = |test: &str, backend: &str, outcome| Row {
            cell: cell.clone(),
            test: Test::named(test).unwrap(),
            verdict: Verdict { backend: backend.into(), outcome },
            facts: Some(facts.clone()),
        };
        let results = [
            row("check", "kprobe", Outcome::Pass("works".into())),
            row("accesses", "fexit", Outcome::NotApplicable("errno 524".into())),
            row("accesses", "kprobe", Outcome::Pass("all 3".into())),
            row("accesses", "raw-tracepoint", Outcome::Fail("why".into())),
        ];
        let section = section(&results, std::slice::from_ref(&cell), "2000-01-01");
        let line = "| 5.10 | aarch64 | default (voluntary) | `5.10.0-32-cloud-arm64` | kprobe | no: errno 524 | \
                    all 3; skipped calls are not counted | **failed** | 1, 2 |\n";
        assert!(section.contains(line), "{section}");
        assert!(section.contains("2 passed, 1 failed") && section.contains("\n2. that\n"), "{section}");
        let text = "<!-- written by `make matrix` -->\n<!-- end of what `make matrix` writes -->\n";
        let text = replaced(text, &section).unwrap();
        assert_eq!(rows(&text).unwrap(), [["5.10", "aarch64", "default"].map(str::to_owned)]);
    }
}
