//! A runner of Vector's language, from `e2e/tools/vrl`: a package of its own, as its crates take minutes to build.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::{bin, cached, run};

/// What the package calls the program.
const NAME: &str = "vrl-events";
/// What it is made of.
const SOURCES: [&str; 3] = ["Cargo.toml", "Cargo.lock", "src/main.rs"];

/// `vrl-events`: the folder that holds it. It runs a VRL program on events, one JSON object per line.
///
/// # Errors
/// See [`super::loki`].
pub fn vrl() -> Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/vrl");
    let read = |name: &str| {
        fs::read_to_string(source.join(name)).with_context(|| format!("read {name} in {}", source.display()))
    };
    let sources = SOURCES.map(read).into_iter().collect::<Result<Vec<_>>>()?;
    let version = version(&sources[1]).context("Cargo.lock does not lock vrl")?;
    cached("vrl", &version, &sources.concat(), "from its crates, about 6 minutes the first time", |scratch| {
        let target = scratch.join("target");
        // With nothing of the settings that this program was built with.
        let settings = ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"];
        let mut cargo = Command::new("cargo");
        for name in settings {
            cargo.env_remove(name);
        }
        cargo.args(["build", "--quiet", "--locked", "--target-dir"]).arg(&target);
        run(cargo.current_dir(&source))?;
        fs::rename(target.join("debug").join(NAME), bin(scratch).join(NAME))?;
        Ok(fs::remove_dir_all(target)?)
    })
}

/// The version of `vrl` in a Cargo.lock.
fn version(lock: &str) -> Option<String> {
    let lock: toml::Table = lock.parse().ok()?;
    let is_vrl = |package: &&toml::Value| package.get("name").and_then(toml::Value::as_str) == Some("vrl");
    let package = lock.get("package")?.as_array()?.iter().find(is_vrl)?;
    package.get("version")?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn version_in_cargo_lock() {
        let lock = "[[package]]\nname = \"vr\"\nversion = \"9\"\n[[package]]\nname = \"vrl\"\nversion = \"0.38.0\"\n";
        assert_eq!(version(lock).as_deref(), Some("0.38.0"));
        assert_eq!(version("[[package]]\nname = \"vr\"\nversion = \"9\"\n"), None);
    }
}
