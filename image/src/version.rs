//! One version in all files that name it.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use semver::Version;

/// Files, and what stands before the version in each, once. `Cargo.lock` is cargo's; what the chart makes of it is Helm's.
const PLACES: [(&str, &str); 7] = [
    ("Cargo.toml", "\nversion = \""),
    ("Dockerfile", "org.opencontainers.image.version=\""),
    ("README.md", "docker://registry.example/inotrail:"),
    ("README.md", "image.tag="),
    ("helm/Chart.yaml", "\nversion: "),
    ("helm/Chart.yaml", "\nappVersion: "),
    ("helm/operating.md", "`ghcr.io/inotrail/inotrail:"),
];
const CHANGELOG: &str = "CHANGELOG.md";
const UNRELEASED: &str = "## [Unreleased]\n";

/// Each place of a checkout, and the version that it names.
///
/// # Errors
/// A file cannot be read, or does not name it once.
pub fn named(folder: &Path) -> Result<Vec<(String, String)>> {
    let place = |(file, before): (&str, &str)| {
        let text = read(folder, file)?;
        let (start, end) =
            find(&text, before).with_context(|| format!("{file}: no place, or several, of {before:?}"))?;
        Ok((format!("{file}: {}", before.trim()), text[start..end].to_owned()))
    };
    PLACES.into_iter().map(place).collect()
}

/// Has all places name a version, and gives what is unreleased in the list of changes its name and a day (`2026-01-31`).
///
/// # Errors
/// It is no semantic version, it is released already, nothing is unreleased, or a file is not as [`named`] expects it.
pub fn set(folder: &Path, version: &str, day: &str) -> Result<()> {
    Version::parse(version).with_context(|| format!("{version} is no version (https://semver.org)"))?;
    let changes = released(&read(folder, CHANGELOG)?, version, day)?;
    named(folder)?;
    for (file, before) in PLACES {
        let mut text = read(folder, file)?;
        let (start, end) = find(&text, before).with_context(|| format!("{file} has changed meanwhile"))?;
        text.replace_range(start..end, version);
        write(folder, file, &text)?;
    }
    write(folder, CHANGELOG, &changes)
}

/// Where the version is that follows the only `before`.
fn find(text: &str, before: &str) -> Option<(usize, usize)> {
    let (at, _) = text.match_indices(before).next().filter(|_| text.matches(before).count() == 1)?;
    let start = at + before.len();
    let length = text[start..].find(|letter: char| !letter.is_ascii_alphanumeric() && !".+-".contains(letter))?;
    (length > 0).then_some((start, start + length))
}

/// The list of changes with a heading for what was unreleased.
fn released(changes: &str, version: &str, day: &str) -> Result<String> {
    ensure!(!changes.contains(&format!("## [{version}]")), "{CHANGELOG} has {version} already");
    let (before, new) = changes.split_once(UNRELEASED).with_context(|| format!("{CHANGELOG} has no {UNRELEASED:?}"))?;
    let first = new.lines().find(|line| line.starts_with("- ") || line.starts_with("## "));
    ensure!(first.is_some_and(|line| line.starts_with("- ")), "{CHANGELOG}: nothing is unreleased");
    Ok(format!("{before}{UNRELEASED}\n## [{version}] - {day}\n{new}"))
}

fn read(folder: &Path, file: &str) -> Result<String> {
    fs::read_to_string(folder.join(file)).with_context(|| format!("read {file}"))
}

fn write(folder: &Path, file: &str, text: &str) -> Result<()> {
    fs::write(folder.join(file), text).with_context(|| format!("write {file}"))
}
