//! Performing one case and comparing what is told of it.

use std::{fs, io::Write as _, path::Path};

use anyhow::{Context as _, Result, bail, ensure};
use inotrail::{
    event::Backend,
    sensor::{Record, btf::Btf, layout},
};

use super::{
    Case, Feature, Place, Seen, cases,
    feature::is_before,
    groups, mutations,
    watch::{Watch, spawn},
};

/// The sensor's usual size of the ring.
pub const RING_BYTES: u32 = 16 << 20;

/// Runs the whole list on a backend. What needs a feature that this kernel lacks is left out, and named.
/// Returns how many cases it ran.
///
/// # Errors
/// Where the backend tells of a case anything but what is expected; the cases are in the error.
pub fn prove(backend: Backend, guest: &Path) -> Result<usize> {
    prove_list(&mut Watch::start(backend, RING_BYTES)?, groups(), guest)
}

/// The same with the list of mutations; then as on a kernel without `CONFIG_SECURITY_PATH`, by type information that knows
/// nothing of it.
///
/// # Errors
/// As [`prove`].
pub fn prove_mutations(backend: Backend, guest: &Path) -> Result<usize> {
    let kernel = Path::new("/sys/kernel/btf/vmlinux");
    let mut watch = Watch::start_with_mutations(backend, RING_BYTES, kernel)?;
    // A new owner is a structure, which kernels before 6.1 give to no program at a function's return.
    let all = if backend == Backend::Fexit && is_before(&[6, 1]) {
        ensure!(watch.all_mutations().is_err(), "this kernel gives structures to programs at a function's return");
        eprintln!(
            "fexit: changes of owners: skipped: this kernel gives no structures to programs at a function's return"
        );
        prove_list(&mut watch, mutations::groups_without_owners(), guest)?
    } else {
        watch.all_mutations()?;
        prove_list(&mut watch, mutations::groups(), guest)?
    };
    drop(watch);
    let without = tempfile::NamedTempFile::new().context("make a file")?;
    let mut types = fs::read(kernel).context("read the kernel's types")?;
    let name = b"security_path_";
    let places: Vec<_> = (0..types.len() - name.len()).filter(|at| types[*at..].starts_with(name)).collect();
    for at in places {
        types[at] = b'#';
    }
    fs::write(&without, types).context("write the kernel's types")?;
    let mut watch = Watch::start_with_mutations(backend, RING_BYTES, without.path())?;
    watch.all_mutations()?;
    ensure!(watch.knows_no_mounts(), "the same functions tell of mutations");
    Ok(all + prove_list(&mut watch, mutations::without_mounts(), guest)?)
}

fn prove_list(
    watch: &mut Watch,
    groups: impl Iterator<Item = (Option<Feature>, &'static [Case])>,
    guest: &Path,
) -> Result<usize> {
    let backend = watch.backend();
    let (name, io_uring_is_told) = (backend.as_str(), io_uring_is_told()?);
    let (mut ran, mut wrong) = (0, Vec::new());
    for (feature, cases) in groups {
        if let Some(feature) = feature
            && !feature.is_here()?
        {
            for case in cases {
                eprintln!("{name}: {}: skipped: this kernel has no {feature}", case.name);
            }
            continue;
        }
        for case in cases {
            ran += 1;
            if let Err(error) = prove_case(watch, case, guest, io_uring_is_told) {
                eprintln!("{name}: {}: {error:#}", case.name);
                wrong.push(case.name);
            }
        }
    }
    eprintln!("{name}: {ran} cases of accesses, {} wrong, missed calls {:?}", wrong.len(), watch.misses());
    if wrong.is_empty() { Ok(ran) } else { bail!("{name} tells wrong of {}", wrong.join(", ")) }
}

/// Whether `io_uring_complete` names the request: since 5.19. Hooks on system calls see no open by `io_uring` otherwise.
pub(super) fn io_uring_is_told() -> Result<bool> {
    let btf = Btf::load(Path::new("/sys/kernel/btf/vmlinux"))?;
    let (_, features) = layout::resolve(&btf, None, 0)?;
    Ok(features.io_uring.is_some())
}

fn prove_case(watch: &mut Watch, case: &Case, guest: &Path, io_uring_is_told: bool) -> Result<()> {
    let (place, seen) = see(watch, case, guest, io_uring_is_told)?;
    let expected = case.seen_by(watch.backend(), &place);
    ensure!(seen == expected, "\n  expected {expected:#?}\n  and saw  {seen:#?}");
    Ok(())
}

/// What is told of a case, and where it ran.
pub(super) fn see(watch: &mut Watch, case: &Case, guest: &Path, io_uring_is_told: bool) -> Result<(Place, Vec<Seen>)> {
    let backend = watch.backend();
    let mut child = spawn(guest, &["access", case.name], &watch.procs())?;
    let place = Place::of(&child, case.name, watch, io_uring_is_told);
    let status = child.wait().context("wait for the guest")?;
    let mut seen = Vec::new();
    watch.settle(|record| {
        if let Record::Access(access) | Record::Exec(access) = record {
            seen.extend(Seen::of(backend, access));
        }
    })?;
    ensure!(status.success(), "{status}, and saw {seen:#?}");
    Ok((place?, seen))
}

/// The part of the guest: prepares the case, enters the cgroup that is watched, and accesses.
///
/// # Errors
/// Where there is no such case, or it does not work out as the case says.
pub fn access(name: &str, base: &Path, procs: &Path) -> Result<()> {
    let case =
        cases().chain(super::mutations()).find(|case| case.name == name).with_context(|| format!("no case {name}"))?;
    let folder = base.join(name);
    fs::create_dir(&folder)?;
    // Opened now: the case may have another root afterwards.
    let mut procs = fs::OpenOptions::new().write(true).open(procs).context("open the cgroup")?;
    (case.setup)(&folder).with_context(|| format!("{name}: setup"))?;
    procs.write_all(b"0").context("enter the cgroup")?;
    (case.access)(&folder).with_context(|| format!("{name}: access"))
}
