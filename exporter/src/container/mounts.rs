//! What a container has mounted, and what each mount is of.

mod identify;
mod queue;
mod read;

use std::sync::Arc;

pub(super) use identify::{host as of_host, named as of_container};
pub(super) use queue::{MountQueue, MountsRead};
pub use read::MountReader;
pub(super) use read::Wanted;

use super::volume::Volume;

/// Mounts by where they are, each with what it is of.
///
/// An event looks its device up among those of 500 containers: they are two cache lines of each, and the mounts are many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mounts<T> {
    /// The device of each mount, in order.
    devices: Arc<[u32]>,
    mounts: Arc<[Mount<T>]>,
}

/// Mounts of the host, as its first process sees them.
pub(super) type HostMounts = Mounts<()>;

/// One mount; in a cache line of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
#[repr(align(64))]
pub(super) struct Mount<T> {
    /// As records have it.
    pub(super) device: u32,
    /// Where it is mounted, without a slash at its end: empty is the root.
    pub(super) point: Box<[u8]>,
    /// What of the file system is seen there, in the same form.
    pub(super) root: Box<[u8]>,
    pub(super) content: T,
}

/// What a mount of a container is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// The container's own root, and where what it wrote over its image is kept, as the host sees it; empty where unknown.
    Image(Box<[u8]>),
    /// A volume of its pod, and which part of it (`subPath`).
    Volume(Arc<Volume>, Box<[u8]>),
    /// What every container gets: `/proc`, `/dev`, `/etc/hosts`...
    Runtime,
    /// Something of the host's, or of another container's.
    Foreign,
}

/// Mounts of one container that are kept; whoever mounts more than that may do anything.
const MOUNTS_MAX: usize = 65_536;

impl<T> Mounts<T> {
    /// Later mounts cover earlier ones at the same place.
    pub(super) fn new(mounts: impl IntoIterator<Item = Mount<T>>) -> Self {
        let mut mounts: Vec<_> = mounts.into_iter().take(MOUNTS_MAX).collect();
        mounts.reverse();
        // The longest point first: it is the one that a path is in.
        mounts.sort_by(|a, b| a.device.cmp(&b.device).then(b.point.len().cmp(&a.point.len())));
        Self { devices: mounts.iter().map(|mount| mount.device).collect(), mounts: mounts.into() }
    }

    /// The mount that shows a file of this device at `path`, and where below the mount's point: empty, or `/` first.
    pub(super) fn find<'a>(&self, device: u32, path: &'a [u8]) -> Option<(&Mount<T>, &'a [u8])> {
        self.on(device).find_map(|mount| Some((mount, below(path, &mount.point)?)))
    }

    /// All mounts of a device.
    pub(super) fn on(&self, device: u32) -> impl Iterator<Item = &Mount<T>> {
        let start = self.devices.partition_point(|known| *known < device);
        self.mounts[start..].iter().take_while(move |mount| mount.device == device)
    }

    /// All mounts.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Mount<T>> {
        self.mounts.iter()
    }

    /// Whether any mount is of this device.
    pub(super) fn has(&self, device: u32) -> bool {
        self.on(device).next().is_some()
    }
}

impl HostMounts {
    /// Device, and path in its file system, of what the host sees at `path`: from the mount with the longest point.
    pub(super) fn locate(&self, path: &[u8]) -> Option<(u32, Vec<u8>)> {
        let holding = self.iter().filter(|mount| below(path, &mount.point).is_some());
        let mount = holding.max_by_key(|mount| mount.point.len())?;
        Some((mount.device, [&*mount.root, below(path, &mount.point)?].concat()))
    }
}

/// What comes after `above` in a path: empty, or `/` first. `None`: it is not below.
pub(super) fn below<'a>(path: &'a [u8], above: &[u8]) -> Option<&'a [u8]> {
    let rest = path.strip_prefix(above)?;
    let rest = if rest == b"/" { b"" } else { rest };
    (rest.is_empty() || rest.starts_with(b"/")).then_some(rest)
}

#[cfg(test)]
pub(super) mod tests;
