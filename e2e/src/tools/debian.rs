//! containerd as Debian's releases have it, for nodes that run an older one.

use std::env::consts::ARCH;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::{bin, cached};
use crate::kernels::apt::Archive;

const PACKAGE: &str = "containerd";
const PROGRAMS: [&str; 3] = ["containerd", "ctr", "containerd-shim-runc-v2"];

/// An older containerd.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum OldContainerd {
    /// The last one without NRI.
    #[value(name = "1.6")]
    V1_6,
    /// The first one with NRI.
    #[value(name = "1.7")]
    V1_7,
}

/// `containerd`, `ctr` and `containerd-shim-runc-v2`: the folder that holds them.
///
/// # Errors
/// Where they are not in the cache and the archive cannot be read.
pub fn old_containerd(which: OldContainerd) -> Result<PathBuf> {
    let (version, suite) = match which {
        OldContainerd::V1_6 => ("1.6", "bookworm"),
        OldContainerd::V1_7 => ("1.7", "trixie"),
    };
    cached(PACKAGE, version, suite, "from Debian's package", |scratch| {
        let (apt, root) = (scratch.join("apt"), scratch.join("root"));
        let archive = Archive::open(&apt, suite, ARCH)?;
        archive.unpack(PACKAGE, &apt, &root)?;
        for name in PROGRAMS {
            let program = Path::new("usr/bin").join(name);
            fs::rename(root.join(&program), bin(scratch).join(name)).with_context(|| format!("move {name}"))?;
        }
        fs::remove_dir_all(apt)?;
        Ok(fs::remove_dir_all(root)?)
    })
}
