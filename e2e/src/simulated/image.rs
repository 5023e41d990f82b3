//! The image's program, which is static, where there is no other: on either architecture.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use inotrail::event::Backend;
use inotrail_image::release::VERSION;

use super::{Scene, named};
use crate::load::Opens;

/// Where the machine has it, as the image does.
pub const PROGRAM: &str = "/inotrail";

/// Asks it for its version and for what works here, and has it report accesses, send them, and verify what it sent.
///
/// # Errors
/// It does not run, or does one of these otherwise than any exporter.
pub fn prove_image(backend: Backend, guest: &Path) -> Result<String> {
    let version = answer(&["--version"])?;
    ensure!(version.starts_with(&format!("inotrail {VERSION} (revision ")), "its version: {version}");
    let check = answer(&["check"])?;
    ensure!(check.contains("\nchosen: "), "it says {check}");
    let mut scene = Scene::start(backend, guest, Path::new(PROGRAM), &[])?;
    scene.make(Opens::new(2, 500))?;
    scene.close()
}

/// What it writes, where all is well.
fn answer(arguments: &[&str]) -> Result<String> {
    let output = named(Path::new(PROGRAM)).args(arguments).output().with_context(|| format!("run {PROGRAM}"))?;
    let why = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "inotrail {}: {}: {why}", arguments.join(" "), output.status);
    Ok(String::from_utf8(output.stdout)?)
}
