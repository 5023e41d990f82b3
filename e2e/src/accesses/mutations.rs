//! The golden list of mutations: what is done to files without opening them. Only hooks tell of them, so the list is for
//! fexit and kprobe.

mod changes;
mod mounted;
mod names;
mod refusals;

use std::{ffi::OsStr, path::Path};

use anyhow::{Result, ensure};
use inotrail::event::Operation;
use inotrail_ebpf::flags;
use rustix::io::Errno;

use super::{
    Case, Expected, Feature, Place, base,
    program::{Call, Entry},
};

/// The list, in groups that need something that not every kernel has.
pub(super) fn groups() -> impl Iterator<Item = (Option<Feature>, &'static [Case])> {
    let owners = (None, changes::OWNERS);
    groups_without_owners().chain([owners])
}

/// The same for backends that do not see owners change.
pub(super) fn groups_without_owners() -> impl Iterator<Item = (Option<Feature>, &'static [Case])> {
    let anywhere = [names::CASES, changes::CASES, mounted::CASES, refusals::CASES].map(|cases| (None, cases));
    let somewhere = [(Feature::Landlock, refusals::LANDLOCK), (Feature::AttributeRights, refusals::RIGHTS)];
    anywhere.into_iter().chain(somewhere.map(|(feature, cases)| (Some(feature), cases)))
}

/// Those for kernels that ask without naming the mount, and when the rights have been looked at.
pub(super) fn without_mounts() -> impl Iterator<Item = (Option<Feature>, &'static [Case])> {
    [names::CASES, changes::CASES, changes::OWNERS].map(|cases| (None, cases)).into_iter()
}

/// A mutation of a file in the case's folder.
fn of(place: &Place, operation: Operation, name: &str) -> Expected {
    Expected::mutation(operation, place.folder.join(name))
}

/// Of two.
fn of_two(place: &Place, operation: Operation, name: &str, target: &str) -> Expected {
    of(place, operation, name).target(place.folder.join(target))
}

/// An attribute is set: its hook knows no mount, so the path starts at the root of the file system.
fn attribute(root: &Path, path: &Path) -> Expected {
    let path = Path::new("/").join(path.strip_prefix(root).unwrap_or(path));
    Expected::mutation(Operation::Setxattr, path).flags(flags::MOUNT_UNKNOWN)
}

/// The same in the case's folder.
fn attribute_of(place: &Place, name: impl AsRef<OsStr>) -> Expected {
    attribute(&base(), &place.folder.join(Path::new(name.as_ref())))
}

/// A program ends as its last call does: this one always succeeds (getpid).
fn ends_well() -> Call {
    let number = if cfg!(target_arch = "x86_64") { 39 } else { 172 };
    Call { entry: Entry::Native, number, arguments: Vec::new() }
}

/// It must fail with this error.
fn fails<T>(result: Result<T, Errno>, errno: Errno) -> Result<()> {
    let found = result.err();
    ensure!(found == Some(errno), "expected {errno}, and got {found:?}");
    Ok(())
}
