//! What becomes of a cgroup's accesses, changed between one access and the next: the programs remember it, and each CPU for
//! itself.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use inotrail::{
    container::{KernelFilter as _, Recorded, cgroup::Hierarchy},
    event::Backend,
    sensor::{Options, Record, Sensor},
};
use inotrail_ebpf::program;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::RING_BYTES;

const ROUNDS: usize = 20;
/// Opens after each change: the first is looked up, the others are remembered.
const OPENS: usize = 3;

/// Has accesses of this process's cgroup told and not told in turn. Where containers are in cgroup version 1, or on aarch64, the
/// programs remember nothing: there this cannot show that what they remember is renewed.
///
/// # Errors
/// A change does not count from the next access on, or an access that is turned away is not counted.
pub fn prove_scopes(backend: Backend) -> Result<String> {
    stay()?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("file");
    fs::write(&file, "")?;
    let hierarchy = Hierarchy::detect()?;
    let own = hierarchy.own_cgroup()?;
    let id = hierarchy.id_of(&own)?;
    let options = Options { backend: Some(backend), include_self: true, ..Options::new(hierarchy, RING_BYTES) };
    let mut sensor = Sensor::start(&options).with_context(|| format!("start {}", backend.as_str()))?;
    let mut scopes = sensor.take_scopes().context("there is a filter")?;
    let counters = sensor.counters();
    let ignored = || (0..program::COUNT).map(|program| counters.totals(program).ignored).sum::<u64>();
    for round in 1..=ROUNDS {
        scopes.record(id, &own, &Recorded::Nothing)?;
        let before = ignored();
        let told = told(&mut sensor, &file)?;
        ensure!(told == 0, "round {round}: {told} of {OPENS} opens were told that nobody wants");
        let counted = ignored() - before;
        ensure!(counted >= OPENS as u64, "round {round}: {counted} of {OPENS} were counted as turned away");
        scopes.record(id, &own, &Recorded::Everything)?;
        let told = self::told(&mut sensor, &file)?;
        ensure!(told == OPENS, "round {round}: {told} of {OPENS} opens were told");
    }
    Ok(format!("{ROUNDS} times, from the next open on"))
}

/// Keeps this thread on one CPU.
fn stay() -> Result<()> {
    let allowed = sched_getaffinity(None)?;
    let mut one = CpuSet::new();
    one.set((0..CpuSet::MAX_CPU).find(|cpu| allowed.is_set(*cpu)).context("a CPU")?);
    Ok(sched_setaffinity(None, &one)?)
}

/// Opens the file; how many of these opens are told.
fn told(sensor: &mut Sensor, file: &Path) -> Result<usize> {
    for _ in 0..OPENS {
        File::open(file)?;
    }
    let inode = fs::metadata(file)?.ino();
    let mut told = 0;
    sensor.drain(|record| {
        if let Ok(Record::Access(access)) = record {
            told += usize::from(access.header.inode == inode);
        }
    });
    Ok(told)
}
