//! Programs that tests and the demo run for real, most of them built from their Go modules, once and kept in the cache.
//!
//! A *tool module* (`e2e/tools/<name>/go.mod`) pins a program and everything it is made of; `go.sum` holds the hashes.

mod charts;
mod collector;
mod coredns;
mod debian;
mod grafana;
mod servers;
mod vrl;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use clap::ValueEnum as _;

pub use charts::{helm, helm_3, helm_docs, helm_unittest, kubeconform, kubernetes_schemas};
pub use collector::{collector, collector_filelog, lock_collector};
pub use coredns::coredns;
pub use debian::{OldContainerd, old_containerd};
pub use grafana::{grafana, grafana_preview};
pub use servers::{containerd, kubernetes, loki, prometheus, runc};
pub use vrl::vrl;

use crate::digest::sha256;
use crate::interrupt;
use crate::kernels::cache;

/// Build the servers that tests and the demo run.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Programs to build [default: all that tests and the demo run]
    #[arg(value_enum)]
    programs: Vec<Program>,
    /// Write go.mod and go.sum of the Collectors anew, after a change of a manifest
    #[arg(long)]
    lock_collector: bool,
}

/// Something to build.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Program {
    Containerd,
    #[value(name = "containerd-1.6")]
    Containerd1_6,
    #[value(name = "containerd-1.7")]
    Containerd1_7,
    Runc,
    Collector,
    CollectorFilelog,
    Loki,
    Kubernetes,
    Coredns,
    Prometheus,
    Grafana,
    Vrl,
    Helm,
    #[value(name = "helm-3")]
    Helm3,
    Kubeconform,
    HelmUnittest,
    HelmDocs,
    KubernetesSchemas,
}

/// A program, or several of one module.
struct Tool {
    /// Folder of the tool module, and the name in the cache.
    name: &'static str,
    /// The module that has the programs.
    module: &'static str,
    /// Their packages, below the module.
    packages: &'static [&'static str],
    /// Build tags.
    tags: &'static str,
    /// A variable of the programs that takes the version.
    stamp: Option<&'static str>,
    /// Whether C is part of it.
    cgo: bool,
    /// How long a build takes on two cores with nothing cached.
    takes: &'static str,
}

impl Args {
    /// Builds what is missing and prints the folders.
    ///
    /// # Errors
    /// See [`loki`].
    #[expect(clippy::print_stdout, reason = "the answer of this subcommand")]
    pub fn run(self) -> Result<()> {
        if self.lock_collector {
            lock_collector()?;
        }
        let mut programs = self.programs;
        if programs.is_empty() {
            programs = Program::value_variants().to_vec();
            programs.retain(|program| !matches!(program, Program::CollectorFilelog));
        }
        for program in programs {
            let folder = match program {
                Program::Containerd => containerd(),
                Program::Containerd1_6 => old_containerd(OldContainerd::V1_6),
                Program::Containerd1_7 => old_containerd(OldContainerd::V1_7),
                Program::Runc => runc(),
                Program::Collector => collector(),
                Program::CollectorFilelog => collector_filelog(),
                Program::Loki => loki(),
                Program::Kubernetes => kubernetes(),
                Program::Coredns => coredns(),
                Program::Prometheus => prometheus(),
                Program::Grafana => grafana(),
                Program::Vrl => vrl(),
                Program::Helm => helm(),
                Program::Helm3 => helm_3(),
                Program::Kubeconform => kubeconform(),
                Program::HelmUnittest => helm_unittest(),
                Program::HelmDocs => helm_docs(),
                Program::KubernetesSchemas => kubernetes_schemas(),
            };
            println!("{}", folder?.display());
        }
        Ok(())
    }
}

impl Tool {
    fn source(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tools").join(self.name)
    }

    /// Where the programs are; builds them first where they are not there yet.
    fn folder(&self) -> Result<PathBuf> {
        let source = self.source();
        let modules = fs::read_to_string(source.join("go.mod"))
            .with_context(|| format!("read go.mod in {}", source.display()))?;
        let version = version(&modules, self.module)?;
        let inputs = [self.tags, &modules, &fs::read_to_string(source.join("go.sum"))?].concat();
        let how = format!("from its Go modules, about {} the first time", self.takes);
        cached(self.name, version, &inputs, &how, |scratch| {
            let packages = self.packages.iter().map(|package| format!("{}/{package}", self.module));
            let mut go = go(self.cgo);
            let stamp = self.stamp.map(|variable| format!(" -X {variable}={version}")).unwrap_or_default();
            go.args(["build", "-trimpath"]).arg(format!("-ldflags=-s -w{stamp}")).arg(format!("-tags={}", self.tags));
            go.arg("-o").arg(bin(scratch)).args(packages.map(|package| package.trim_end_matches('/').to_owned()));
            run(go.current_dir(&source))
        })
    }
}

/// The `bin` folder of `name` in the cache; where there is none, `build` makes one in a scratch folder, and it appears
/// in the cache whole or not at all. Whoever else wants it meanwhile waits.
fn cached(
    name: &str,
    version: &str,
    inputs: &str,
    how: &str,
    build: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let cache = cache()?;
    let folder = cache.join(format!("{name}-{version}-{:.8}", sha256(inputs.as_bytes())));
    if folder.exists() {
        return Ok(folder.join("bin"));
    }
    fs::create_dir_all(&cache).with_context(|| format!("create {}", cache.display()))?;
    let lock = File::create(cache.join(format!(".{name}.lock"))).context("create a lock file in the cache")?;
    lock.lock().with_context(|| format!("wait for another build of {name}"))?;
    if !folder.exists() {
        // So that Ctrl-C, which ends the build, does not leave the scratch folder.
        interrupt::defer();
        eprintln!("making {name} {version}, {how} ...");
        let started = Instant::now();
        let scratch = tempfile::Builder::new().prefix(".build-").tempdir_in(&cache)?;
        fs::create_dir(bin(scratch.path()))?;
        build(scratch.path()).with_context(|| format!("make {name} {version}"))?;
        fs::rename(scratch.keep(), &folder)?;
        eprintln!("made {name} {version} in {} s", started.elapsed().as_secs());
    }
    Ok(folder.join("bin"))
}

fn bin(folder: &Path) -> PathBuf {
    folder.join("bin")
}

/// `go`, with nothing of the user's settings that would change what is built.
fn go(cgo: bool) -> Command {
    let mut go = Command::new("go");
    go.env("CGO_ENABLED", if cgo { "1" } else { "0" }).env("GOFLAGS", "-mod=readonly -buildvcs=false");
    go.env("GOWORK", "off").env_remove("GOOS").env_remove("GOARCH");
    go
}

fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_owned();
    let output =
        command.output().with_context(|| format!("run {}: `make setup` says what is missing", program.display()))?;
    ensure!(output.status.success(), "{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// The version that a `go.mod` requires of a module.
fn version<'a>(modules: &'a str, module: &str) -> Result<&'a str> {
    for line in modules.lines() {
        let mut words = line.trim().trim_start_matches("require ").split_whitespace();
        if words.next() == Some(module)
            && let Some(version) = words.next()
        {
            return Ok(version);
        }
    }
    bail!("go.mod does not require {module}")
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn version_in_go_mod() {
        let check = |text: &str, expected: Option<&str>| assert_eq!(version(text, "a.b/c").ok(), expected, "{text}");
        check("require a.b/c v1.2.3\n", Some("v1.2.3"));
        check("require (\n\ta.b/cd v9.9.9\n\ta.b/c v1.2.3 // indirect\n)\n", Some("v1.2.3"));
        check("require a.b/cd v1.2.3\n", None);
    }
}
