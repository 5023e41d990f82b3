//! Compiling the OCI hook: it is copied to nodes, whose libraries may be others, and is loaded once per container.

use std::env;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::bpf::{SEPARATOR, hidden_places};

const PACKAGE: &str = "inotrail-oci-hook";

/// Builds it for the target, and puts it into `out`.
///
/// # Errors
/// It does not build.
pub(crate) fn compile(workspace: &Path, out: &Path) -> Result<()> {
    let target = env::var("TARGET").context("cargo sets TARGET")?;
    let target_dir = out.join("oci-hook");
    // Static at a fixed address: the loader of a dynamic program takes longer than all the rest of a call.
    let mut flags = hidden_places();
    flags.extend(["-Ctarget-feature=+crt-static", "-Crelocation-model=static"].map(Into::into));
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .current_dir(workspace)
        .args(["build", "--package", PACKAGE, "--profile", "oci-hook", "--target", &target, "--target-dir"])
        .arg(&target_dir)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join(SEPARATOR));
    // What cargo, clippy and rustdoc set for the outer build must not reach the inner one.
    for name in ["RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "RUSTFLAGS", "CARGO_BUILD_TARGET"] {
        command.env_remove(name);
    }
    let status = command.status().context("starting cargo for the OCI hook")?;
    if !status.success() {
        bail!("the OCI hook did not build ({status}); the messages above say why");
    }
    let program = target_dir.join(target).join("oci-hook").join(PACKAGE);
    std::fs::copy(&program, out.join(PACKAGE)).with_context(|| format!("copying {}", program.display()))?;
    Ok(())
}
