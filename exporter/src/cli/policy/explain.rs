//! `inotrail policy explain`: how policies are asked.

use std::path::PathBuf;
use std::process::ExitCode;

use comfy_table::{Table, presets};

use super::super::{Error, print};
use super::read;
use crate::policy::Policy;
use crate::policy::filter::Anchor;
use crate::policy::paths::{Paths, Shape};
use crate::policy::rule::Rule;

/// Names in one row of the table.
const NAMES_SHOWN: usize = 6;

/// What is true of all policies.
const FOOTER: &str = "
The kernel records accesses of containers that a rule is about, and of no others; of these, such as are done by one of the
rule's operations to a file with one of the names under IN THE KERNEL: one bit for each name of the path, and a look-up where it
is set. Whatever passes is decided in user space, for each name of a file:
  path, folder, name   one look-up for all patterns of the shape
  tree                 one look-up per folder of the path, for all of them
  suffix               one comparison each
  glob                 one automaton for all of them, which reads the whole path
";

pub(super) fn explain(files: &[PathBuf]) -> Result<ExitCode, Error> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header([
        "POLICY",
        "RULE",
        "IN THE KERNEL",
        "ASKED FIRST",
        "FILES",
        "BUT NOT",
    ]);
    let policies = read(files)?;
    for policy in &policies {
        for rule in &policy.rules {
            let names = [policy.name.clone(), rule.name.clone(), in_kernel(&rule.paths), first(rule)];
            table.add_row(names.into_iter().chain([shapes(&rule.paths), shapes(&rule.except)]));
        }
    }
    print((table.trim_fmt() + "\n" + &decoys(&policies) + FOOTER).as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// `shadow, etc/, *.pem`
fn in_kernel(paths: &Paths) -> String {
    let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    let mut names = Vec::new();
    for anchor in paths.anchors() {
        names.push(match anchor {
            Anchor::Nothing => return "every file".to_owned(),
            Anchor::Leaf(name) => text(name),
            Anchor::Folder(name) => text(name) + "/",
            Anchor::Suffix(name) => format!("*{}", text(name)),
        });
    }
    names.sort_unstable();
    let more = names.len().saturating_sub(NAMES_SHOWN);
    names.truncate(NAMES_SHOWN);
    let names = names.join(", ");
    if more == 0 { names } else { format!("{names} and {more} more") }
}

/// What is put into containers; nothing where nothing is.
fn decoys(policies: &[Policy]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["POLICY", "DECOY", "MODE", "BYTES", "PATH"]);
    for decoy in policies.iter().flat_map(|policy| &policy.decoys) {
        let (mode, bytes) = (format!("{:04o}", decoy.mode), decoy.content.len().to_string());
        table.add_row([decoy.policy.clone(), decoy.name.clone(), mode, bytes, decoy.path.clone()]);
    }
    if table.is_empty() { String::new() } else { format!("\n{}\n", table.trim_fmt()) }
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
