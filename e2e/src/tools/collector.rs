//! The OpenTelemetry Collector, from `otel-collector/manifest.yaml` by its own builder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::{Tool, bin, cached, go, run};

const BUILDER: Tool = Tool {
    name: "builder",
    module: "go.opentelemetry.io/collector/cmd/builder",
    packages: &[""],
    tags: "",
    stamp: None,
    cgo: false,
    takes: "20 seconds",
};

/// What the manifest calls the program.
const NAME: &str = "otelcol-inotrail";
/// Pins every module, as the builder alone would not.
const LOCK: [&str; 2] = ["go.mod", "go.sum"];

/// `otelcol-inotrail`: the folder that holds it.
///
/// # Errors
/// See [`super::loki`].
pub fn collector() -> Result<PathBuf> {
    let source = source();
    let read = |name: &str| {
        fs::read_to_string(source.join(name)).with_context(|| format!("read {name} in {}", source.display()))
    };
    let manifest = read("manifest.yaml")?;
    let version = manifest.lines().find_map(|line| line.trim().strip_prefix("version: "));
    let version = version.context("manifest.yaml has no version")?.to_owned();
    let inputs = [manifest, read(LOCK[0])?, read(LOCK[1])?].concat();
    cached("collector", &version, &inputs, "from its Go modules, about 2 minutes the first time", |scratch| {
        let generated = scratch.join("src");
        run(builder(&generated)?.args(["--skip-compilation", "--skip-get-modules"]))?;
        for file in LOCK {
            fs::copy(source.join(file), generated.join(file))?;
        }
        run(builder(&generated)?.args(["--skip-generate", "--skip-get-modules", "--ldflags=-s -w"]))?;
        fs::rename(generated.join(NAME), bin(scratch).join(NAME))?;
        Ok(fs::remove_dir_all(generated)?)
    })
}

/// Writes `otel-collector/go.mod` and `go.sum` anew, after a change of the manifest.
///
/// # Errors
/// Where the builder refuses the manifest or a module cannot be had.
pub fn lock_collector() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    run(builder(scratch.path())?.arg("--skip-compilation").env("GOFLAGS", "-mod=mod"))?;
    for file in LOCK {
        fs::copy(scratch.path().join(file), source().join(file))?;
    }
    Ok(())
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../otel-collector")
}

fn builder(output: &Path) -> Result<Command> {
    let mut command = Command::new(BUILDER.folder()?.join("builder"));
    for (key, value) in go(false).get_envs() {
        match value {
            Some(value) => command.env(key, value),
            None => command.env_remove(key),
        };
    }
    command.arg("--config").arg(source().join("manifest.yaml")).arg("--output-path").arg(output);
    Ok(command)
}
