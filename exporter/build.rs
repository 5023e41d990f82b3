//! Compiles the eBPF programs and the OCI hook, and tells the binary what it was built from.

#[path = "build/bpf.rs"]
mod bpf;
#[path = "build/oci_hook.rs"]
mod oci_hook;
#[path = "build/strip.rs"]
mod strip;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

/// Digits of a revision that are told.
const REVISION_LENGTH: usize = 12;

fn main() -> Result<()> {
    let out = PathBuf::from(env::var_os("OUT_DIR").context("cargo sets OUT_DIR")?);
    // As it is when this runs: another checkout may have compiled it, where two share a target directory.
    let package = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").context("cargo sets CARGO_MANIFEST_DIR")?);
    let workspace = package.parent().context("the crate lies in the workspace")?;
    for part in ["exporter/build.rs", "exporter/build", "ebpf/src", "ebpf/Cargo.toml", "oci-hook", "Cargo.toml"] {
        println!("cargo::rerun-if-changed={}", workspace.join(part).display());
    }
    let architecture = env::var("CARGO_CFG_TARGET_ARCH")?;
    let programs = bpf::Object {
        workspace,
        package: "inotrail-ebpf",
        program: "inotrail-programs",
        architecture: &architecture,
        flags: &[],
    };
    let object = programs.compile(&out.join("bpf"))?;
    let object = fs::read(&object).with_context(|| format!("reading {}", object.display()))?;
    let object = strip::debug_information(&object).context("the eBPF programs' object")?;
    fs::write(out.join("programs.o"), &object)?;
    oci_hook::compile(workspace, &out)?;
    let hash = Sha256::digest(&object);
    let hash = hash.iter().fold(String::new(), |hash, byte| hash + &format!("{byte:02x}"));
    println!("cargo::rustc-env=INOTRAIL_OBJECT_SHA256={hash}");
    println!("cargo::rustc-env=INOTRAIL_GIT_REVISION={}", revision(workspace));
    Ok(())
}

/// The revision of the source, or `unknown` outside a git checkout. Who builds from a copy without git's folder says it.
fn revision(workspace: &Path) -> String {
    println!("cargo::rerun-if-env-changed=INOTRAIL_REVISION");
    if let Some(given) = env::var("INOTRAIL_REVISION").ok().filter(|given| !given.is_empty()) {
        return given.chars().take(REVISION_LENGTH).collect();
    }
    let git = |arguments: &[&str]| {
        let output = Command::new("git").current_dir(workspace).args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
        (output.status.success() && !text.is_empty()).then_some(text)
    };
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={}", workspace.join(log).display());
    }
    git(&["rev-parse", &format!("--short={REVISION_LENGTH}"), "HEAD"]).unwrap_or_else(|| "unknown".to_owned())
}
