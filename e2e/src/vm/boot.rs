//! What the first programs of machines have in common, and what they find.

use std::fs::{self, File};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use rustix::mount::{MountFlags, mount};
use rustix::system::{RebootCommand, finit_module, reboot};

use super::{MODULES, console_lines};
use crate::initramfs::Initramfs;
use crate::kernels::Kernel;

/// Says on the console how the first program ended, and switches the machine off.
#[must_use]
pub fn end(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => eprintln!("{}", console_lines::PASS),
        Err(error) => eprintln!("{}{error:#}", console_lines::FAIL),
    }
    if let Err(error) = reboot(RebootCommand::PowerOff) {
        eprintln!("the machine cannot be powered off: {error}");
    }
    // Process 1 must not end: the kernel would say so with a page of registers. Here it does only outside a machine.
    ExitCode::FAILURE
}

/// Puts modules, and those that they need, where [`load_modules`] looks.
///
/// # Errors
/// The kernel has no such module.
pub fn add_modules(archive: &mut Initramfs, kernel: &Kernel, names: &[&str]) -> Result<()> {
    for (number, (name, content)) in kernel.modules(names)?.into_iter().enumerate() {
        archive.file(&format!("{MODULES}/{number:02}-{name}.ko"), &content)?;
    }
    Ok(())
}

/// Loads the modules that the machine was given, in order of their names.
///
/// # Errors
/// The kernel refuses one.
pub fn load_modules() -> Result<()> {
    let mut modules = fs::read_dir(MODULES)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    modules.sort();
    for module in modules {
        let file = File::open(&module)?;
        finit_module(&file, c"", 0).with_context(|| format!("load {}", module.display()))?;
    }
    Ok(())
}

/// Mounts file systems: kind and place of each.
///
/// # Errors
/// The kernel refuses one.
pub fn mount_all(mounts: &[(&str, &str)]) -> Result<()> {
    for (kind, target) in mounts {
        fs::create_dir_all(target).with_context(|| format!("create {target}"))?;
        mount(*kind, *target, *kind, MountFlags::empty(), None).with_context(|| format!("mount {kind} on {target}"))?;
    }
    Ok(())
}
