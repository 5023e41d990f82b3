//! Figures that must not grow unseen: those that are the same in each run. `bench lookup` is not: its tables are large enough
//! for their hashers' seeds to show, by 3 %.
//!
//! They are of programs as tests are built, not of a release: the numbers are higher, and grow by the same changes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::{build, per_event, printed};

/// What a figure may grow by without a word.
const TOLERANCE: f64 = 0.02;
/// Events of the shorter run.
const EVENTS: u64 = 4_000;
/// Events of which no allocation is asked for.
const STEADY: u64 = 20_000;

/// By name.
pub type Figures = BTreeMap<String, f64>;

/// Measures the programs in a folder.
///
/// # Errors
/// `valgrind` is missing, or one of the programs cannot be run.
pub fn measure(programs: &Path) -> Result<Figures> {
    let [path, direct, allocations] =
        ["bench-path", "bench-direct", "bench-allocations"].map(|name| programs.join(name));
    let bytes = |compression| -> Result<_> { Ok(printed(&direct, EVENTS, &[compression])?[0] as f64 / EVENTS as f64) };
    let allocations = printed(&allocations, STEADY, &[])?;
    let figures = [
        ("instructions from record to request", per_event(&path, EVENTS, &["ours", "none"])?),
        ("instructions from record to request, new files", per_event(&path, EVENTS, &["ours", "none", "new"])?),
        ("instructions from event to request", per_event(&direct, EVENTS, &["none"])?),
        ("allocations beside requests", (allocations[0] - allocations[1]) as f64),
        ("bytes", bytes("none")?),
        ("bytes, zstd", bytes("zstd")?),
    ];
    // What lies below is not the same in each run.
    Ok(figures.map(|(name, figure)| (name.to_owned(), figure.round())).into())
}

/// The committed figures.
///
/// # Errors
/// The file cannot be read.
pub fn committed() -> Result<Figures> {
    let file = file();
    let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    Ok(serde_json::from_str(&text)?)
}

/// Builds the programs and writes the figures down.
///
/// # Errors
/// See [`measure`].
pub fn write() -> Result<()> {
    let programs = ["bench-allocations", "bench-direct", "bench-path"];
    let figures = measure(&build("dev", &programs)?)?;
    fs::write(file(), serde_json::to_string_pretty(&figures)? + "\n")?;
    Ok(())
}

/// Figures that are not what was committed, in words: those that have grown, and those that have become so much less that
/// they could grow again unseen.
#[must_use]
pub fn changes(committed: &Figures, now: &Figures) -> Vec<String> {
    let names = committed.keys().chain(now.keys().filter(|name| !committed.contains_key(*name)));
    let changed = names.filter_map(|name| {
        let (before, after) = (committed.get(name), now.get(name));
        let is_near = before.zip(after).is_some_and(|(before, after)| (after - before).abs() <= before * TOLERANCE);
        let number = |figure: Option<&f64>| figure.map_or_else(|| "nothing".to_owned(), f64::to_string);
        (!is_near).then(|| format!("{name}: {} is now {}", number(before), number(after)))
    });
    changed.collect()
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("baseline.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told() {
        let of = |figures: &[(&str, f64)]| figures.iter().map(|(name, figure)| ((*name).to_owned(), *figure)).collect();
        let committed = of(&[("a", 1000.0), ("b", 1000.0), ("c", 1000.0), ("none", 0.0), ("gone", 1.0)]);
        let now = of(&[("a", 1020.0), ("b", 1021.0), ("c", 979.0), ("none", 1.0), ("new", 1.0)]);
        let expected = [
            "b: 1000 is now 1021",
            "c: 1000 is now 979",
            "gone: 1 is now nothing",
            "none: 0 is now 1",
            "new: nothing is now 1",
        ];
        assert_eq!(changes(&committed, &now), expected);
        assert_eq!(changes(&committed, &committed), [""; 0]);
    }
}
