//! Programs that return at once: what the kernel's own way to a program takes, below which none can be.

use anyhow::{Context as _, Result};
use aya::programs::{FExit, KProbe};
use aya::{Btf, EbpfLoader};
use cookbook::program;

use super::COOKBOOK;
use super::peers::PERMISSION;
use super::rows::opens;

/// A way to such a program.
#[derive(Clone, Copy, Debug)]
pub(super) enum Floor {
    /// By fexit.
    Fexit,
    /// By kprobe.
    Kprobe,
}

impl Floor {
    pub(super) const ALL: [Self; 2] = [Self::Fexit, Self::Kprobe];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Fexit => "fexit that returns at once",
            Self::Kprobe => "kprobe that returns at once",
        }
    }

    /// Instructions of one open and close.
    ///
    /// # Errors
    /// The program does not load here.
    pub(super) fn cost(self) -> Result<f64> {
        let mut ebpf = EbpfLoader::new().load_file(COOKBOOK).with_context(|| format!("load {COOKBOOK}"))?;
        let name = match self {
            Self::Fexit => program::FLOOR_FEXIT,
            Self::Kprobe => program::FLOOR_KPROBE,
        };
        let program = ebpf.program_mut(name).with_context(|| format!("no program {name}"))?;
        match self {
            Self::Fexit => {
                let program: &mut FExit = program.try_into()?;
                program.load(PERMISSION, &Btf::from_sys_fs()?).context("load fexit")?;
                program.attach().context("attach fexit")?;
            }
            Self::Kprobe => {
                let program: &mut KProbe = program.try_into()?;
                program.load().context("load kprobe")?;
                program.attach(PERMISSION, 0).context("attach kprobe")?;
            }
        }
        opens()
    }
}
