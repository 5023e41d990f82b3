//! One version in all files, and the command that sets it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use inotrail_image::release::VERSION;
use inotrail_image::{version, workspace};

const DAY: &str = "2026-01-31";

#[test]
fn all_places_name_the_same() {
    for (place, named) in version::named(workspace()).unwrap() {
        assert_eq!(named, VERSION, "{place}");
    }
}

/// What Helm makes of the chart is written by another command, which `make version` runs too.
#[test]
fn so_do_the_charts_examples() {
    for example in fs::read_dir(workspace().join("helm/examples")).unwrap() {
        let path = example.unwrap().path().join("rendered.yaml");
        let text = fs::read_to_string(&path).unwrap();
        let charts: BTreeSet<_> = text.lines().filter_map(|line| line.trim().strip_prefix("helm.sh/chart: ")).collect();
        assert_eq!(charts, [&*format!("inotrail-{VERSION}")].into(), "{}: run `make version`", path.display());
    }
}

#[test]
fn another_version() {
    let folder = copy();
    version::set(folder.path(), "1.20.3-rc.1", DAY).unwrap();
    for (place, named) in version::named(folder.path()).unwrap() {
        assert_eq!(named, "1.20.3-rc.1", "{place}");
    }
    let changes = fs::read_to_string(folder.path().join("CHANGELOG.md")).unwrap();
    let headings: Vec<_> = changes.lines().filter(|line| line.starts_with("## ")).take(2).collect();
    assert_eq!(headings, ["## [Unreleased]", "## [1.20.3-rc.1] - 2026-01-31"]);
    let why = version::set(folder.path(), "1.20.3-rc.1", DAY).unwrap_err().to_string();
    assert_eq!(why, "CHANGELOG.md has 1.20.3-rc.1 already");
    let why = version::set(folder.path(), "1.20.3", DAY).unwrap_err().to_string();
    assert_eq!(why, "CHANGELOG.md: nothing is unreleased");
}

#[test]
fn nothing_is_written_where_something_is_wrong() {
    let folder = copy();
    let chart = folder.path().join("helm/Chart.yaml");
    let before = files().map(|file| fs::read_to_string(folder.path().join(file)).unwrap());
    for wrong in ["v1.2.3", "1.2", "1.2.3 ", ""] {
        let why = version::set(folder.path(), wrong, DAY).unwrap_err().to_string();
        assert!(why.contains("is no version"), "{wrong}: {why}");
    }
    assert_eq!(files().map(|file| fs::read_to_string(folder.path().join(file)).unwrap()), before);
    fs::write(&chart, "version: 1.0.0\n").unwrap();
    let why = version::set(folder.path(), "1.2.3", DAY).unwrap_err().to_string();
    assert!(why.starts_with("helm/Chart.yaml: no place"), "{why}");
    assert_eq!(fs::read_to_string(folder.path().join("Cargo.toml")).unwrap(), before[0]);
}

/// Every file of the workspace that names the version.
fn files() -> [&'static str; 6] {
    ["Cargo.toml", "CHANGELOG.md", "Dockerfile", "README.md", "helm/Chart.yaml", "helm/operating.md"]
}

fn copy() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in files() {
        let to: PathBuf = folder.path().join(file);
        fs::create_dir_all(to.parent().unwrap_or(Path::new("/"))).unwrap();
        fs::copy(workspace().join(file), to).unwrap();
    }
    folder
}
