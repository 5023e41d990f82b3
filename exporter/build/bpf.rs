//! Compiling a package for the BPF target: ours, and in the test bench those that ours are measured against.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

const TARGET: &str = "bpfel-unknown-none";
/// Between flags of the compiler, where spaces belong to them.
pub(crate) const SEPARATOR: &str = "\u{1f}";
/// The one command that installs whatever is missing.
const REMEDY: &str = "run `make setup` once, or see \"Building\" in README.md";

/// A program of the workspace, for the kernels of one architecture: registers differ.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Object<'a> {
    /// The workspace's folder.
    pub(crate) workspace: &'a Path,
    /// The package.
    pub(crate) package: &'a str,
    /// Its program.
    pub(crate) program: &'a str,
    /// The kernel's architecture as Rust names it.
    pub(crate) architecture: &'a str,
    /// More flags for the compiler.
    pub(crate) flags: &'a [&'a str],
}

impl Object<'_> {
    /// Builds it below `target_dir`. Returns where it is.
    ///
    /// # Errors
    /// A tool is missing, or it does not build.
    pub(crate) fn compile(&self, target_dir: &Path) -> Result<PathBuf> {
        if !["x86_64", "aarch64"].contains(&self.architecture) {
            bail!("inotrail runs on x86_64 and aarch64, not on {}", self.architecture);
        }
        let path = search_path();
        require(&path)?;
        let mut flags = hidden_places();
        flags.extend(
            ["-Clinker=bpf-linker", "-Clinker-plugin-lto", "-Cdebuginfo=2", "-Clink-arg=--btf"].map(Into::into),
        );
        flags.extend(self.flags.iter().map(|flag| (*flag).to_owned()));
        flags.push(format!("--cfg=bpf_target_arch=\"{}\"", self.architecture));
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command
            .current_dir(self.workspace)
            .args(["build", "--package", self.package, "--bin", self.program, "--profile", "bpf"])
            .args(["--target", TARGET, "-Z", "build-std=core", "--target-dir"])
            .arg(target_dir)
            .env("PATH", path)
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join(SEPARATOR))
            // The pinned stable compiler, allowed to build `core` for a target that ships none.
            .env("RUSTC_BOOTSTRAP", "1");
        // What cargo, clippy and rustdoc set for the host's build must not reach the inner one.
        for name in ["RUSTC", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "RUSTFLAGS", "CARGO_BUILD_TARGET"] {
            command.env_remove(name);
        }
        let status = command.status().context("starting cargo for the eBPF programs")?;
        if !status.success() {
            bail!(
                "the eBPF programs did not build ({status}); the messages above say why. If a tool is missing: {REMEDY}"
            );
        }
        Ok(target_dir.join(TARGET).join("bpf").join(self.program))
    }
}

/// What the outer build's flags leave out of the program, so that equal sources make equal bytes: where they lie.
pub(crate) fn hidden_places() -> Vec<String> {
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    flags.split(SEPARATOR).filter(|flag| flag.starts_with("--remap-path-prefix=")).map(Into::into).collect()
}

/// `PATH`, with cargo's own folder behind it: that is where `cargo install` puts bpf-linker.
fn search_path() -> OsString {
    let mut path: Vec<PathBuf> = env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect();
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    path.extend(home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo"))).map(|home| home.join("bin")));
    env::join_paths(path).unwrap_or_default()
}

/// Says in one line what is missing, before cargo fails with a page.
fn require(path: &OsString) -> Result<()> {
    if !env::split_paths(path).any(|folder| folder.join("bpf-linker").is_file()) {
        bail!("bpf-linker is not installed: {REMEDY}");
    }
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).args(["--print", "sysroot"]).output().context("asking rustc for its sysroot")?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if !sysroot.join("lib/rustlib/src/rust/library/core").is_dir() {
        bail!("the toolchain's component rust-src is not installed: {REMEDY}");
    }
    Ok(())
}
