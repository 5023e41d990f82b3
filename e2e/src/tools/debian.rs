//! containerd as an older Debian has it, for nodes that run such a one.

use std::env::consts::ARCH;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::{bin, cached};
use crate::kernels::apt::Archive;

const SUITE: &str = "bookworm";
const PACKAGE: &str = "containerd";
/// What `bookworm` has of it.
const VERSION: &str = "1.6";
const PROGRAMS: [&str; 3] = ["containerd", "ctr", "containerd-shim-runc-v2"];

/// `containerd`, `ctr` and `containerd-shim-runc-v2` 1.6: the folder that holds them.
///
/// # Errors
/// Where they are not in the cache and the archive cannot be read.
pub fn old_containerd() -> Result<PathBuf> {
    cached(PACKAGE, VERSION, SUITE, "from Debian's package", |scratch| {
        let (apt, root) = (scratch.join("apt"), scratch.join("root"));
        let archive = Archive::open(&apt, SUITE, ARCH)?;
        archive.unpack(PACKAGE, &apt, &root)?;
        for name in PROGRAMS {
            let program = Path::new("usr/bin").join(name);
            fs::rename(root.join(&program), bin(scratch).join(name)).with_context(|| format!("move {name}"))?;
        }
        fs::remove_dir_all(apt)?;
        Ok(fs::remove_dir_all(root)?)
    })
}
