//! One machine: what it boots with, and how its tests ended.

use std::{
    fs,
    path::Path,
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context as _, Result};
use inotrail::event::Backend;

use super::{
    ARGUMENTS, Cell, Facts, MODULES, Outcome, Programs, Test, Verdict, boot,
    qemu::{self, Ended},
};
use crate::{
    initramfs::Initramfs,
    kernels::{self, Kernel},
    simulated,
};

/// A machine that tests can run in.
#[derive(Clone, Debug)]
pub struct Machine {
    /// What kind of machine it is.
    pub cell: Cell,
    /// The kernel it boots.
    pub kernel: Kernel,
    /// What runs in it.
    pub programs: Programs,
    /// Keep the log of a test that passes.
    pub keep: bool,
}

/// What a boot of a machine told.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) facts: Option<Facts>,
    pub(super) verdicts: Vec<Verdict>,
}

impl Machine {
    /// Runs a test on these backends. A machine that dies takes only the backend with it that was being tested: the
    /// others get another one.
    ///
    /// # Errors
    /// Where a machine cannot be made.
    pub(super) fn run(&self, test: &Test, backends: &[Backend]) -> Result<Told> {
        let mut told = Told::default();
        while told.verdicts.len() < backends.len() {
            let left = &backends[told.verdicts.len()..];
            let (Told { facts, verdicts }, ended) = self.boot(test, left)?;
            told.facts = told.facts.or(facts);
            let named = verdicts.into_iter().zip(left).take_while(|(verdict, asked)| verdict.backend == asked.as_str());
            told.verdicts.extend(named.map(|(verdict, _)| verdict));
            // The guest tests them in this order, so the next one is the one that it did not come back from.
            if let Some(lost) = backends.get(told.verdicts.len()) {
                let outcome = Outcome::Fail(ended);
                told.verdicts.push(Verdict { backend: lost.as_str().to_owned(), outcome });
            }
        }
        Ok(told)
    }

    /// Boots the machine, and again where it does not come up, because emulation fails now and then before the kernel
    /// has started.
    fn boot(&self, test: &Test, backends: &[Backend]) -> Result<(Told, String)> {
        static BOOTS: AtomicU32 = AtomicU32::new(0);
        let what = format!("{} {}", self.cell, test.name);
        let number = BOOTS.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{}-{number}", what.replace(' ', "-"), process::id());
        let folder = kernels::cache()?.join("vm").join(name);
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        let initramfs = folder.join("initramfs");
        self.initramfs(test, backends, &initramfs)?;
        let mut told = Told::default();
        let boot = |told: &mut Told, log: &str| {
            qemu::run(&self.kernel, self.cell.preempt.as_deref(), test, &initramfs, &folder.join(log), told)
        };
        let mut ended = boot(&mut told, "console.log");
        if let Ended::NotUp(why) = &ended {
            eprintln!("{what}: the machine did not come up ({why}), once more");
            ended = boot(&mut told, "console-again.log");
        }
        let failed = told.verdicts.iter().any(|verdict| matches!(verdict.outcome, Outcome::Fail(_)));
        let ended = match ended {
            Ended::Pass if !failed => "the guest said nothing about it".to_owned(),
            ended => {
                eprintln!("{what}: {ended}; see {}", folder.display());
                return Ok((told, format!("{ended}; see {}", folder.display())));
            }
        };
        if !self.keep {
            fs::remove_dir_all(&folder).with_context(|| format!("remove {}", folder.display()))?;
        }
        Ok((told, ended))
    }

    fn initramfs(&self, test: &Test, backends: &[Backend], path: &Path) -> Result<()> {
        let mut archive = Initramfs::create(path)?;
        for folder in ["/dev", "/proc", "/sys", "/tmp", MODULES] {
            archive.folder(folder)?;
        }
        archive.program(&self.programs.init, "/init")?;
        archive.program(&self.programs.guest, "/bin/guest")?;
        if let Some(program) = &self.programs.image {
            archive.program(program, simulated::PROGRAM)?;
        }
        let backends = backends.iter().flat_map(|backend| ["--backend", backend.as_str()]);
        let arguments: String =
            test.guest.iter().copied().chain(backends).flat_map(|argument| [argument, "\0"]).collect();
        archive.file(ARGUMENTS, arguments.as_bytes())?;
        boot::add_modules(&mut archive, &self.kernel, &["overlay"])?;
        archive.finish()
    }
}
