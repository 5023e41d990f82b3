//! Whether the image is the same when somebody else builds it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::layout::digest;
use crate::program::{answer, cargo};
use crate::workspace;

/// Builds the images that are in `folder` once more, of a copy of the committed source in `place`, which may have none yet, with
/// nothing of what is built here. Returns digest and name of each archive.
///
/// # Errors
/// Something is not committed; it does not build; or an archive differs.
pub fn check(folder: &Path, place: &Path) -> Result<Vec<(String, String)>> {
    let git = |arguments: &[&str]| answer(Command::new("git").current_dir(workspace()).args(arguments));
    let changed = git(&["status", "--porcelain"])?;
    ensure!(changed.is_empty(), "commit first, so that a copy can be built:\n{changed}");
    let (revision, epoch) = (git(&["rev-parse", "HEAD"])?, git(&["log", "-1", "--format=%ct"])?);
    fs::create_dir_all(place).with_context(|| format!("create {}", place.display()))?;
    let source = place.join("a copy");
    git(&["clone", "--quiet", "--no-hardlinks", ".", &source.to_string_lossy()])?;
    let names = archives(folder)?;
    ensure!(!names.is_empty(), "there is no image in {}: run `make image`", folder.display());
    let (again, platforms) = (place.join("images"), platforms(&names));
    let mut build = Command::new(cargo());
    build.current_dir(&source).env_remove("CARGO_TARGET_DIR").env("SOURCE_DATE_EPOCH", epoch);
    build.args(["run", "--quiet", "--locked", "--package", "inotrail-image", "--", "archive", "--revision", &revision]);
    build.args(platforms.iter().flat_map(|platform| ["--platform", platform])).arg("--to").arg(&again);
    let status = build.stdout(Stdio::null()).status().context("run cargo")?;
    ensure!(status.success(), "the copy does not build: {status}");
    let mut same = Vec::new();
    for name in names {
        let read = |folder: &Path| anyhow::Ok(digest(&fs::read(folder.join(&name))?));
        let (one, other) = (read(folder)?, read(&again)?);
        ensure!(one == other, "{name}: {one} here, {other} of a copy in {}", place.display());
        same.push((one, name));
    }
    Ok(same)
}

fn archives(folder: &Path) -> Result<Vec<String>> {
    let names = fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
    let names = names.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<Result<Vec<_>>>()?;
    names.retain(|name| Path::new(name).extension().is_some_and(|extension| extension == "tar"));
    names.sort();
    Ok(names)
}

/// Those that have an archive of their own.
fn platforms(names: &[String]) -> Vec<&str> {
    names.iter().filter_map(|name| name.strip_prefix("inotrail-")?.strip_suffix(".tar")).collect()
}
