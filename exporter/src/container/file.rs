//! The accessed file's own identity: which volume and object it is of, and whose it is.

use super::mounts::{Content, Mounts};
use super::owners::{FileOwner, Owned, Owners};
use super::volume::{Object, Volume};
use super::{Container, Origin};
use inotrail_ebpf::Header;
use std::sync::Arc;

/// What is known of a file by where it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct File<'a> {
    /// The volume it is in.
    pub volume: Option<&'a Arc<Volume>>,
    /// The object it is made of.
    pub object: Option<Object<'a>>,
    /// Whose it is, where that is not who acted.
    pub owner: Option<FileOwner<'a>>,
}

/// The type of volumes that are the host's own files.
const HOST_PATH: &str = "hostPath";

impl<'a> File<'a> {
    /// Looks a file up; `path` as who acted sees it. The second: the container's mounts are unknown, or not as they were.
    pub(super) fn of(header: &Header, path: &'a [u8], actor: &'a Container, owners: &'a Owners) -> (Self, bool) {
        if header.inode == 0 {
            return (Self::default(), false);
        }
        // Only containers have mounts of their own.
        let (mut file, stale) = match (&actor.mounts, &actor.origin) {
            (Some(mounts), _) => Self::in_container(header.device, path, (actor, mounts), owners),
            (None, Origin::Container { .. }) => (Self::owned(owners.of_device(header.device, path)), !path.is_empty()),
            _ => (Self::on_host(header.device, path, owners), false),
        };
        if file.owner.is_some_and(|owner| owner.is(actor)) {
            file.owner = None;
        }
        (file, stale)
    }

    fn in_container(
        device: u32,
        path: &'a [u8],
        (actor, mounts): (&'a Container, &'a Mounts<Content>),
        owners: &'a Owners,
    ) -> (Self, bool) {
        let Some((mount, rest)) = mounts.find(device, path) else {
            // Somebody else's view of something: a file system of the container's own is not the host's.
            let foreign = owners.of_device(device, path);
            let host = (!mounts.has(device) && owners.host.has(device)).then_some(FileOwner::Host);
            let file = Self::owned(foreign);
            return (Self { owner: file.owner.or(host), ..file }, !path.is_empty());
        };
        let others = || Self::owned(owners.of(device, [&mount.root, rest]));
        let file = match &mount.content {
            Content::Image(_) => Self { object: Some(Object::IMAGE), ..Self::default() },
            Content::Runtime => Self::default(),
            Content::Volume(volume, _) if &*volume.kind == HOST_PATH => {
                let file = others();
                Self { volume: Some(volume), owner: file.owner.or(Some(FileOwner::Host)), ..file }
            }
            Content::Volume(volume, part) => {
                // Only claims are more than one pod's.
                let owner = if volume.claim.is_empty() { None } else { others().owner };
                let owner = owner.filter(|owner| matches!(owner, FileOwner::Shared(_)));
                Self { volume: Some(volume), object: volume.object([part, rest]), owner }
            }
            Content::Foreign => {
                let file = others();
                let host = owners.host.has(device) && knows_its_volumes(actor);
                Self { owner: file.owner.or(host.then_some(FileOwner::Host)), ..file }
            }
        };
        (file, false)
    }

    fn on_host(device: u32, path: &'a [u8], owners: &'a Owners) -> Self {
        let place = owners.host.find(device, path);
        let owned = place.and_then(|(mount, rest)| owners.of(device, [&mount.root, rest]));
        Self::owned(owned.or_else(|| owners.of_device(device, path)))
    }

    fn owned(owned: Option<Owned<'a>>) -> Self {
        let Some(Owned { owner, volume, object }) = owned else { return Self::default() };
        Self { volume, object, owner: Some(owner) }
    }
}

/// Until a pod's specification is known, a claim's directory on the node's disk looks like the node's own.
fn knows_its_volumes(actor: &Container) -> bool {
    let named = matches!(actor.origin, Origin::Container { resolved: true, .. });
    actor.pod.as_ref().is_none_or(|pod| named && pod.details.is_some())
}

impl FileOwner<'_> {
    /// Whether that is who acts himself.
    fn is(&self, actor: &Container) -> bool {
        match self {
            Self::Host => !matches!(actor.origin, Origin::Container { .. }),
            Self::Container(owner) => owner.origin == actor.origin,
            Self::Pod(owner) => actor.pod.is_some() && owner.pod_uid() == actor.pod_uid(),
            Self::Shared(_) => false,
        }
    }
}
