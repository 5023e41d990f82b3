//! The sensor on the oldest and the newest kernels, in machines of both architectures: what takes five minutes on a quiet
//! machine. `make matrix` runs all.

use std::{
    env::consts::ARCH,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use anyhow::{Result, ensure};
use e2e::vm::{BACKENDS, Cell, Plan, Programs, Test, passed};
use inotrail::event::Backend;

/// One machine at a time: emulation needs every CPU there is.
static ALONE: Mutex<()> = Mutex::new(());

fn prove(line: &str, arch: &str, preempt: Option<&str>, test: &str, backends: &[Backend]) -> Result<()> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let native = Programs {
        init: PathBuf::from(env!("CARGO_BIN_EXE_init")),
        guest: PathBuf::from(env!("CARGO_BIN_EXE_guest")),
        image: None,
    };
    let mut plan = Plan::new(
        &[Cell::named(line, arch, preempt)?],
        &[Test::named(test)?],
        [(ARCH.to_owned(), native)].into(),
        false,
    )?;
    plan.backends = backends.to_vec();
    let rows = plan.run(None)?;
    ensure!(passed(&rows), "not all passed; the lines above say why");
    Ok(())
}

#[test]
fn the_oldest_kernel() -> Result<()> {
    prove("5.10", "x86_64", None, "accesses", &[Backend::Fexit])
}

#[test]
fn a_kernel_that_is_not_preemptible() -> Result<()> {
    prove("6.12", "x86_64", Some("none"), "mutations", &[Backend::Fexit])
}

#[test]
fn a_kernel_that_is_preemptible() -> Result<()> {
    prove("6.12", "x86_64", Some("full"), "changes", &[Backend::Kprobe])
}

#[test]
fn a_filter_of_policies() -> Result<()> {
    prove("6.12", "x86_64", Some("voluntary"), "filtered", &[Backend::Kprobe])
}

/// Natively, where the machine's containers are in cgroup version 1, nothing is remembered.
#[test]
fn what_is_remembered_of_a_cgroup_is_renewed() -> Result<()> {
    prove("6.12", "x86_64", Some("voluntary"), "scopes", &BACKENDS)
}

#[test]
fn watched_files_by_whatever_name() -> Result<()> {
    prove("6.1", "x86_64", None, "watched", &[Backend::Fexit])
}

#[test]
fn the_calendar_jumps() -> Result<()> {
    prove("6.12", ARCH, None, "jumps", &[Backend::Kprobe])
}

#[test]
fn an_hour_without_a_destination() -> Result<()> {
    prove("6.12", ARCH, None, "away", &[Backend::Kprobe])
}

#[test]
fn the_newest_kernel() -> Result<()> {
    prove("7.3", "x86_64", Some("lazy"), "check", &BACKENDS)
}

#[test]
fn the_oldest_kernel_on_aarch64() -> Result<()> {
    prove("5.10", "aarch64", None, "check", &BACKENDS)
}

#[test]
fn the_newest_kernel_on_aarch64() -> Result<()> {
    prove("7.3", "aarch64", Some("lazy"), "accesses", &[Backend::Kprobe])
}
