//! `inotrail policy test`: recorded events against policies.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use comfy_table::{Table, presets};

use super::super::{Error, print};
use super::read;
use crate::config::args::PolicyTestArgs;
use crate::policy::replay::{Expectations, Malformed, Recorded};
use crate::policy::{PolicySet, RuleIndex, Verdict};

/// Why events could not be held against policies.
#[derive(Debug, thiserror::Error)]
pub enum TestError {
    /// A file cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// A line of the recorded events.
    #[error("{}:{line}: {cause}", path.display())]
    Event {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// Why.
        cause: Malformed,
    },
    /// The file of expectations.
    #[error("{}: {cause}", path.display())]
    Expectations {
        /// The file.
        path: PathBuf,
        /// Why, and where.
        cause: Box<serde_saphyr::Error>,
    },
}

/// What was found.
#[derive(Debug, Default)]
struct Found {
    /// Accesses that each rule is about.
    by_rule: BTreeMap<RuleIndex, u64>,
    accesses: u64,
    kept: u64,
    /// Of each expectation: accesses that it is about, and the first line that is not as expected.
    expected: Vec<(u64, Option<String>)>,
}

pub(super) fn test(args: &PolicyTestArgs) -> Result<ExitCode, Error> {
    let set = PolicySet::new(read(&args.policy)?.into_iter().map(Arc::new));
    let expectations = args.expect.as_deref().map(expectations).transpose()?.unwrap_or_default();
    let found = replay(&set, &expectations, &args.events)?;
    print(summary(&set, &found).as_bytes())?;
    let failed = failures(&expectations, &found);
    for failure in &failed {
        // A closed stderr changes nothing about the exit code.
        let _closed = writeln!(io::stderr(), "{failure}");
    }
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn expectations(path: &Path) -> Result<Expectations, TestError> {
    let text = std::fs::read_to_string(path).map_err(|cause| TestError::File { path: path.to_owned(), cause })?;
    let parsed = serde_saphyr::from_str(&text);
    parsed.map_err(|cause| TestError::Expectations { path: path.to_owned(), cause: Box::new(cause) })
}

fn replay(set: &PolicySet, expectations: &Expectations, path: &Path) -> Result<Found, TestError> {
    let failed = |cause| TestError::File { path: path.to_owned(), cause };
    let lines: Box<dyn BufRead> = match path.to_str() {
        Some("-") => Box::new(io::stdin().lock()),
        _ => Box::new(BufReader::new(File::open(path).map_err(failed)?)),
    };
    let mut found = Found { expected: vec![(0, None); expectations.expect.len()], ..Found::default() };
    let mut matched = Vec::new();
    for (number, line) in (1..).zip(lines.lines()) {
        let malformed = |cause| TestError::Event { path: path.to_owned(), line: number, cause };
        let Some(event) = Recorded::parse(&line.map_err(failed)?).map_err(malformed)? else { continue };
        let verdict = event.judge(set, &expectations.labels, &mut matched);
        found.accesses += event.count;
        found.kept += if verdict == Verdict::Ignore { 0 } else { event.count };
        for index in &matched {
            *found.by_rule.entry(*index).or_default() += event.count;
        }
        for (expected, (count, first)) in expectations.expect.iter().zip(&mut found.expected) {
            if event.has(&expected.when) {
                *count += event.count;
                let differs = expected.differs(set, verdict, &matched);
                *first = first.take().or_else(|| Some(format!("{}:{number}: {}", path.display(), differs?)));
            }
        }
    }
    Ok(found)
}

/// Every rule with its accesses, then how many would be reported.
fn summary(set: &PolicySet, found: &Found) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["POLICY", "RULE", "ACCESSES"]);
    for index in set.all().indexes() {
        let Some((policy, rule)) = set.get(index) else { continue };
        let count = found.by_rule.get(&index).copied().unwrap_or_default();
        let name = if policy.active { policy.name.clone() } else { format!("{} (dry-run)", policy.name) };
        table.add_row([name, rule.name.clone(), count.to_string()]);
    }
    let mut text = table.trim_fmt();
    // Writing to memory does not fail.
    let _written = writeln!(text, "\n{} of {} accesses would be reported", found.kept, found.accesses);
    text
}

/// What was expected and is not so, numbered as in the file.
fn failures(expectations: &Expectations, found: &Found) -> Vec<String> {
    let each = (1..).zip(expectations.expect.iter().zip(&found.expected));
    each.filter_map(|(number, (expected, (count, first)))| {
        let what = match (first, expected.count) {
            (Some(first), _) => first.clone(),
            (None, Some(wanted)) if wanted != *count => format!("{count} accesses, not {wanted}"),
            (None, None) if *count == 0 => "no access has these attributes".to_owned(),
            _ => return None,
        };
        let when = serde_json::to_string(&expected.when).unwrap_or_default();
        Some(format!("expectation {number}, {when}: {what}"))
    })
    .collect()
}
