//! fexit and kprobe, in a machine with Debian's kernel: the development machine's own has neither.

use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use anyhow::{Context as _, Result};
use e2e::{
    kernels::Line,
    vm::{Machine, TESTS},
};

/// One machine at a time: emulation needs every CPU there is.
static ALONE: Mutex<()> = Mutex::new(());

fn prove(test: &str) -> Result<()> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let machine = Machine {
        kernel: Line::named("6.12", "x86_64")?.fetch(false)?,
        init: PathBuf::from(env!("CARGO_BIN_EXE_init")),
        guest: PathBuf::from(env!("CARGO_BIN_EXE_guest")),
        keep: false,
    };
    machine.prove(TESTS.iter().find(|known| known.name == test).context("no such test")?)
}

#[test]
fn fexit_and_kprobe_tell_every_access_of_the_list() -> Result<()> {
    prove("accesses")
}

#[test]
fn fexit_and_kprobe_tell_every_mutation_of_the_list() -> Result<()> {
    prove("mutations")
}

#[test]
fn fexit_and_kprobe_report_every_open_under_load() -> Result<()> {
    prove("opens")
}

#[test]
fn fexit_and_kprobe_tear_no_path() -> Result<()> {
    prove("renames")
}
