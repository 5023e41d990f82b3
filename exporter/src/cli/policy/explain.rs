//! `inotrail policy explain`: how policies are asked.

use std::path::PathBuf;
use std::process::ExitCode;

use comfy_table::{Table, presets};

use super::super::{Error, print};
use super::read;
use crate::policy::paths::{Paths, Shape};
use crate::policy::rule::Rule;

/// What is true of all policies.
const FOOTER: &str = "
The kernel records accesses of containers that a rule is about, and of no others. Which of them are about a rule's files is
decided in user space, for each name of a file:
  path, folder, name   one look-up for all patterns of the shape
  tree                 one look-up per folder of the path, for all of them
  suffix               one comparison each
  glob                 one automaton for all of them, which reads the whole path
";

pub(super) fn explain(files: &[PathBuf]) -> Result<ExitCode, Error> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["POLICY", "RULE", "ASKED FIRST", "FILES", "BUT NOT"]);
    for policy in read(files)? {
        for rule in &policy.rules {
            let row = [policy.name.clone(), rule.name.clone(), first(rule), shapes(&rule.paths), shapes(&rule.except)];
            table.add_row(row);
        }
    }
    print((table.trim_fmt() + "\n" + FOOTER).as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// What is asked before any path is looked at.
fn first(rule: &Rule) -> String {
    let asked = [
        (!rule.operations.is_all(), "operation"),
        (rule.result != crate::policy::rule::Results::Any, "result"),
        (!rule.users.is_empty(), "user"),
    ];
    let asked: Vec<_> = asked.into_iter().filter(|(is_asked, _)| *is_asked).map(|(_, what)| what).collect();
    if asked.is_empty() { "-".to_owned() } else { asked.join(", ") }
}

/// `2 paths, 1 glob`
fn shapes(paths: &Paths) -> String {
    let word = |shape| match shape {
        Shape::Exact => "path",
        Shape::Children => "folder",
        Shape::Name => "name",
        Shape::Below => "tree",
        Shape::Suffix => "suffix",
        Shape::Glob => "glob",
    };
    let counted = paths.shapes().into_iter().filter(|(_, count)| *count > 0);
    let words: Vec<_> = counted.map(|(shape, count)| format!("{count} {}", word(shape))).collect();
    if words.is_empty() { "-".to_owned() } else { words.join(", ") }
}
