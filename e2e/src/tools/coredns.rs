//! `CoreDNS`, from a main of our own: its own one is linked with the libraries of every cloud.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::{bin, cached, go, run, version};

const MODULE: &str = "github.com/coredns/coredns";

/// `coredns`: the folder that holds it.
///
/// # Errors
/// See [`super::loki`].
pub fn coredns() -> Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/coredns");
    let read = |name: &str| {
        fs::read_to_string(source.join(name)).with_context(|| format!("read {name} in {}", source.display()))
    };
    let modules = read("go.mod")?;
    let inputs = [&modules, &read("go.sum")?, &read("main.go")?].map(String::as_str).concat();
    cached(
        "coredns",
        version(&modules, MODULE)?,
        &inputs,
        "from its Go modules, about 2 minutes the first time",
        |scratch| {
            let mut go = go(false);
            go.args(["build", "-trimpath", "-ldflags=-s -w", "-o"]).arg(bin(scratch).join("coredns")).arg(".");
            run(go.current_dir(&source))
        },
    )
}
