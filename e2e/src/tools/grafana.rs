//! Grafana's own published packages, which check dashboards without a Grafana: from npm, as `grafana/check/package-lock.json` pins them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::{bin, cached, run};

/// What the folder is made of.
const SOURCES: [&str; 4] = ["package.json", "package-lock.json", "tsconfig.json", "schema-types.ts"];
/// Made of Grafana's types, which takes longer than to check all dashboards with it.
const SCHEMA: &str = "dashboard.schema.json";

/// `node_modules` of what draws the dashboards: the folder that holds it.
///
/// # Errors
/// See [`super::loki`].
pub fn grafana_preview() -> Result<PathBuf> {
    packages("preview", &SOURCES[..2], |_| Ok(()))
}

/// `node_modules` and `dashboard.schema.json`: the folder that holds them.
///
/// # Errors
/// See [`super::loki`].
pub fn grafana() -> Result<PathBuf> {
    packages("check", &SOURCES, |folder| {
        let mut generator = Command::new("node_modules/.bin/ts-json-schema-generator");
        generator.args(["--path", "schema-types.ts", "--tsconfig", "tsconfig.json", "--type", "Dashboard"]);
        generator.args(["--no-type-check", "--expose", "none", "--jsDoc", "none", "-o", SCHEMA]);
        run(generator.current_dir(folder))
    })
}

/// The packages that `grafana/<name>` pins, with the given files of it and whatever `make` makes of them.
fn packages(name: &str, files: &[&str], make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../grafana").join(name);
    let read = |name: &&str| {
        fs::read_to_string(source.join(name)).with_context(|| format!("read {name} in {}", source.display()))
    };
    let texts = files.iter().map(read).collect::<Result<Vec<_>>>()?;
    let version = version(&texts[0]).context("package.json does not pin @grafana/data")?;
    let (name, how) = (format!("grafana-{name}"), "from npm, about a minute the first time");
    cached(&name, &version, &texts.concat(), how, |scratch| {
        let folder = bin(scratch);
        for (name, text) in files.iter().zip(&texts) {
            fs::write(folder.join(name), text)?;
        }
        // No script of a package runs: none of these needs one.
        run(Command::new("npm").args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&folder))?;
        make(&folder)
    })
}

/// The version of `@grafana/data` in a package.json.
fn version(package: &str) -> Option<String> {
    let package: serde_json::Value = serde_json::from_str(package).ok()?;
    package["dependencies"]["@grafana/data"].as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn version_in_package_json() {
        assert_eq!(version(r#"{"dependencies": {"@grafana/data": "13.2.2"}}"#).as_deref(), Some("13.2.2"));
        assert_eq!(version(r#"{"dependencies": {"@grafana/schema": "1.0.0"}}"#), None);
    }
}
