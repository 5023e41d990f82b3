//! Whose a file is, where it is not its reader's.

use std::cmp::Ordering;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::Container;
use super::mounts::{Content, HostMounts, Mount, Mounts, below};
use super::volume::{Object, Volume};
use crate::ids::IdMap;

/// Whose file another one has accessed.
#[derive(Clone, Copy, Debug)]
pub enum FileOwner<'a> {
    /// The node's own.
    Host,
    /// In a container's root.
    Container(&'a Container),
    /// In a volume of one pod of this node.
    Pod(&'a Container),
    /// In a volume that several pods of this node have mounted, who acted maybe among them; one of them.
    Shared(&'a Container),
}

/// All that containers of this node have mounted, by device, and by directory where a device has others' files as well.
#[derive(Debug, Default)]
pub(super) struct Owners {
    devices: IdMap<u32, Owner>,
    /// In order of device and path.
    folders: Vec<Folder>,
    pub(super) host: Arc<HostMounts>,
}

#[derive(Debug)]
struct Folder {
    device: u32,
    /// In its file system; ends with a slash.
    path: Box<[u8]>,
    /// The one that it is in.
    outer: Option<usize>,
    owner: Owner,
}

#[derive(Clone, Debug)]
struct Owner {
    /// One that has it mounted.
    container: Arc<Container>,
    /// `None`: it is the container's root.
    volume: Option<Arc<Volume>>,
    shared: bool,
}

/// What is known of a file by its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owned<'a> {
    pub(super) owner: FileOwner<'a>,
    pub(super) volume: Option<&'a Arc<Volume>>,
    pub(super) object: Option<Object<'a>>,
}

/// A path in a file system: what a mount shows of it, and what comes below that.
pub(super) type Parts<'a> = [&'a [u8]; 2];

impl FileOwner<'_> {
    /// The value of `inotrail.owner.kind`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Container(_) => "container",
            Self::Pod(_) => "pod",
            Self::Shared(_) => "volume",
        }
    }
}

impl Owners {
    pub(super) fn new<'a>(containers: impl Iterator<Item = &'a Arc<Container>>, host: Arc<HostMounts>) -> Self {
        let mut this = Self { devices: IdMap::default(), folders: Vec::new(), host };
        for container in containers {
            for mount in container.mounts.iter().flat_map(Mounts::iter) {
                this.add(container, mount);
            }
        }
        this.folders.sort_by(|a, b| (a.device, &a.path).cmp(&(b.device, &b.path)));
        this.folders.dedup_by(|later, first| {
            let same = (later.device, &later.path) == (first.device, &first.path);
            if same {
                first.owner.join(&later.owner);
            }
            same
        });
        this.nest();
        this
    }

    /// What a mount makes the container's. Another one's, the host's and the kernel's files stay theirs.
    fn add(&mut self, container: &Arc<Container>, mount: &Mount<Content>) {
        let owner = |volume| Owner { container: Arc::clone(container), volume, shared: false };
        match &mount.content {
            Content::Image(upper) => {
                if let Some((device, path)) = self.host.locate(upper).filter(|_| !upper.is_empty()) {
                    self.folder(device, &path, owner(None));
                }
                self.claim(mount, &mount.root, owner(None));
            }
            Content::Volume(volume, part) if &*volume.kind != "hostPath" => {
                let root = mount.root.strip_suffix(&**part).unwrap_or(&mount.root);
                self.claim(mount, root, owner(Some(Arc::clone(volume))));
            }
            Content::Volume(..) | Content::Runtime | Content::Foreign => {}
        }
    }

    fn claim(&mut self, mount: &Mount<Content>, root: &[u8], owner: Owner) {
        if !root.is_empty() {
            self.folder(mount.device, root, owner);
        } else if !self.is_hosts_root(mount.device) {
            match self.devices.entry(mount.device) {
                Entry::Occupied(mut known) => known.get_mut().join(&owner),
                Entry::Vacant(free) => drop(free.insert(owner)),
            }
        }
    }

    /// A volume may be the node's whole disk; that makes nobody its owner.
    fn is_hosts_root(&self, device: u32) -> bool {
        self.host.on(device).any(|mount| mount.point.is_empty())
    }

    fn folder(&mut self, device: u32, path: &[u8], owner: Owner) {
        self.folders.push(Folder { device, path: [path, b"/"].concat().into(), outer: None, owner });
    }

    fn nest(&mut self) {
        let mut open: Vec<usize> = Vec::new();
        for index in 0..self.folders.len() {
            let folder = &self.folders[index];
            while let Some(outer) = open.last().map(|outer| &self.folders[*outer])
                && !(outer.device == folder.device && folder.path.starts_with(&outer.path))
            {
                open.pop();
            }
            self.folders[index].outer = open.last().copied();
            open.push(index);
        }
    }

    /// Whose the file at these parts of its file system is.
    pub(super) fn of<'a>(&'a self, device: u32, parts: Parts<'a>) -> Option<Owned<'a>> {
        match self.devices.get(&device) {
            Some(owner) => Some(owner.owned(parts)),
            None => self.in_folder(device, parts),
        }
    }

    /// Whose it is where its path is one of its owner's own view, as of `/proc/PID/root`.
    pub(super) fn of_device<'a>(&'a self, device: u32, path: &'a [u8]) -> Option<Owned<'a>> {
        let owner = self.devices.get(&device)?;
        let seen = owner.container.mounts.as_ref().and_then(|mounts| mounts.find(device, path));
        let Some((mount, rest)) = seen else { return Some(Owned { object: None, ..owner.owned([b"", b""]) }) };
        Some(owner.owned([&mount.root, rest]))
    }

    fn in_folder<'a>(&'a self, device: u32, parts: Parts<'a>) -> Option<Owned<'a>> {
        let is_before = |folder: &Folder| {
            folder.device.cmp(&device).then_with(|| compare(&folder.path, parts)) != Ordering::Greater
        };
        let mut at = self.folders.partition_point(is_before).checked_sub(1);
        while let Some(index) = at {
            let folder = &self.folders[index];
            if folder.device == device
                && let Some(rest) = rest(parts, &folder.path[..folder.path.len() - 1])
            {
                return Some(folder.owner.owned(rest));
            }
            at = folder.outer;
        }
        None
    }
}

impl Owner {
    /// Two containers have the same.
    fn join(&mut self, other: &Self) {
        self.shared |= self.container.pod_uid() != other.container.pod_uid();
    }

    fn owned<'a>(&'a self, parts: Parts<'a>) -> Owned<'a> {
        let container = &*self.container;
        match &self.volume {
            None => Owned { owner: FileOwner::Container(container), volume: None, object: Some(Object::IMAGE) },
            Some(volume) => Owned {
                owner: if self.shared { FileOwner::Shared(container) } else { FileOwner::Pod(container) },
                volume: Some(volume),
                object: volume.object(parts),
            },
        }
    }
}

/// A folder's path, which ends with a slash, against both parts and a slash.
fn compare(folder: &[u8], parts: Parts<'_>) -> Ordering {
    let mut folder = folder;
    for part in [parts[0], parts[1], b"/"] {
        let (start, end) = folder.split_at(folder.len().min(part.len()));
        let order = start.cmp(part);
        if order != Ordering::Equal {
            return order;
        }
        folder = end;
    }
    folder.cmp(b"")
}

/// What is left of both parts below a folder.
fn rest<'a>([head, tail]: Parts<'a>, folder: &[u8]) -> Option<Parts<'a>> {
    match folder.len().checked_sub(head.len()) {
        None | Some(0) => Some([below(head, folder)?, tail]),
        Some(_) => Some([b"", below(tail, folder.strip_prefix(head)?)?]),
    }
}

#[cfg(test)]
mod tests;
