//! OpenTelemetry Collectors, from their manifests by their own builder.

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

/// The one that is shipped.
const SHIPPED: Distribution =
    Distribution { name: "collector", folder: "../otel-collector", program: "otelcol-inotrail" };
/// A peer to measure against.
const FILELOG: Distribution =
    Distribution { name: "collector-filelog", folder: "tools/collector-filelog", program: "otelcol-filelog" };
/// Pins every module, as the builder alone would not.
const LOCK: [&str; 2] = ["go.mod", "go.sum"];

/// A Collector of chosen components.
struct Distribution {
    /// In the cache.
    name: &'static str,
    /// Of its manifest and lock, from this package.
    folder: &'static str,
    /// What the manifest calls the program.
    program: &'static str,
}

/// `otelcol-inotrail`: the folder that holds it.
///
/// # Errors
/// See [`super::loki`].
pub fn collector() -> Result<PathBuf> {
    SHIPPED.build()
}

/// `otelcol-filelog`, which tails files: the folder that holds it.
///
/// # Errors
/// See [`super::loki`].
pub fn collector_filelog() -> Result<PathBuf> {
    FILELOG.build()
}

/// Writes `go.mod` and `go.sum` of the Collectors anew, after a change of a manifest.
///
/// # Errors
/// Where the builder refuses a manifest or a module cannot be had.
pub fn lock_collector() -> Result<()> {
    [SHIPPED, FILELOG].iter().try_for_each(Distribution::lock)
}

impl Distribution {
    fn build(&self) -> Result<PathBuf> {
        let source = self.source();
        let read = |name: &str| {
            fs::read_to_string(source.join(name)).with_context(|| format!("read {name} in {}", source.display()))
        };
        let manifest = read("manifest.yaml")?;
        let version = manifest.lines().find_map(|line| line.trim().strip_prefix("version: "));
        let version = version.context("manifest.yaml has no version")?.to_owned();
        let inputs = [manifest, read(LOCK[0])?, read(LOCK[1])?].concat();
        cached(self.name, &version, &inputs, "from its Go modules, about 2 minutes the first time", |scratch| {
            let generated = scratch.join("src");
            run(self.builder(&generated)?.args(["--skip-compilation", "--skip-get-modules"]))?;
            for file in LOCK {
                fs::copy(source.join(file), generated.join(file))?;
            }
            run(self.builder(&generated)?.args(["--skip-generate", "--skip-get-modules", "--ldflags=-s -w"]))?;
            fs::rename(generated.join(self.program), bin(scratch).join(self.program))?;
            Ok(fs::remove_dir_all(generated)?)
        })
    }

    fn lock(&self) -> Result<()> {
        let scratch = tempfile::tempdir()?;
        run(self.builder(scratch.path())?.arg("--skip-compilation").env("GOFLAGS", "-mod=mod"))?;
        for file in LOCK {
            fs::copy(scratch.path().join(file), self.source().join(file))?;
        }
        Ok(())
    }

    fn source(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(self.folder)
    }

    fn builder(&self, output: &Path) -> Result<Command> {
        let mut command = Command::new(BUILDER.folder()?.join("builder"));
        for (key, value) in go(false).get_envs() {
            match value {
                Some(value) => command.env(key, value),
                None => command.env_remove(key),
            };
        }
        command.arg("--config").arg(self.source().join("manifest.yaml")).arg("--output-path").arg(output);
        Ok(command)
    }
}
