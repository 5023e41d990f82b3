//! Compiles the eBPF programs, and tells the binary what it was built from.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

const TARGET: &str = "bpfel-unknown-none";
const PROGRAMS: &str = "inotrail-programs";
/// The one command that installs whatever is missing.
const REMEDY: &str = "run `make setup` once, or see \"Building\" in README.md";

fn main() -> Result<()> {
    let out = PathBuf::from(env::var_os("OUT_DIR").context("cargo sets OUT_DIR")?);
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the crate lies in the workspace")?;
    for part in ["ebpf/src", "ebpf/Cargo.toml", "Cargo.toml"] {
        println!("cargo::rerun-if-changed={}", workspace.join(part).display());
    }
    let object = compile(workspace, &out)?;
    let copy = out.join("programs.o");
    fs::copy(&object, &copy).with_context(|| format!("copying {}", object.display()))?;
    let hash = Sha256::digest(fs::read(&copy)?);
    let hash = hash.iter().fold(String::new(), |hash, byte| hash + &format!("{byte:02x}"));
    println!("cargo::rustc-env=INOTRAIL_OBJECT_SHA256={hash}");
    println!("cargo::rustc-env=INOTRAIL_GIT_REVISION={}", revision(workspace));
    Ok(())
}

/// Builds the package `ebpf` for the BPF target: one object per architecture, because registers differ.
fn compile(workspace: &Path, out: &Path) -> Result<PathBuf> {
    let architecture = env::var("CARGO_CFG_TARGET_ARCH")?;
    if !["x86_64", "aarch64"].contains(&architecture.as_str()) {
        bail!("inotrail runs on x86_64 and aarch64, not on {architecture}");
    }
    let path = search_path();
    require(&path)?;
    let flags = [
        "-Clinker=bpf-linker",
        "-Clinker-plugin-lto",
        &format!("--cfg=bpf_target_arch=\"{architecture}\""),
        "-Cdebuginfo=2",
        "-Clink-arg=--btf",
    ]
    .join("\u{1f}");
    let target_dir = out.join("bpf");
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .current_dir(workspace)
        .args(["build", "--package", "inotrail-ebpf", "--bin", PROGRAMS, "--profile", "bpf"])
        .args(["--target", TARGET, "-Z", "build-std=core", "--target-dir"])
        .arg(&target_dir)
        .env("PATH", path)
        .env("CARGO_ENCODED_RUSTFLAGS", flags)
        // The pinned stable compiler, allowed to build `core` for a target that ships none.
        .env("RUSTC_BOOTSTRAP", "1");
    // What cargo, clippy and rustdoc set for the host's build must not reach the inner one.
    for name in ["RUSTC", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "RUSTFLAGS", "CARGO_BUILD_TARGET"] {
        command.env_remove(name);
    }
    let status = command.status().context("starting cargo for the eBPF programs")?;
    if !status.success() {
        bail!("the eBPF programs did not build ({status}); the messages above say why. If a tool is missing: {REMEDY}");
    }
    Ok(target_dir.join(TARGET).join("bpf").join(PROGRAMS))
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

/// The revision of the source, or `unknown` outside a git checkout.
fn revision(workspace: &Path) -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").current_dir(workspace).args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
        (output.status.success() && !text.is_empty()).then_some(text)
    };
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={}", workspace.join(log).display());
    }
    git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(|| "unknown".to_owned())
}
