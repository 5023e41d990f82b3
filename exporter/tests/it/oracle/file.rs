//! Of what a file is and whose, attribute by attribute.

use inotrail::container::{File, FileOwner, Origin};

use super::Attributes;

pub(super) fn place(out: &mut Attributes, file: &File<'_>) {
    let volume = file.volume.cloned().unwrap_or_default();
    out.string("k8s.volume.name", volume.name.clone());
    out.string("k8s.volume.type", volume.kind.clone());
    out.string("k8s.persistentvolumeclaim.name", volume.claim.clone());
    if let Some(object) = &file.object {
        out.string("inotrail.volume.object.kind", object.kind);
        out.string("inotrail.volume.object.name", object.name);
        out.string("inotrail.volume.object.key", String::from_utf8(object.key.to_vec()).unwrap());
    }
    let (kind, owner) = match file.owner {
        None => return,
        Some(FileOwner::Host) => return out.string("inotrail.owner.kind", "host"),
        Some(FileOwner::Container(owner)) => ("container", owner),
        Some(FileOwner::Pod(owner)) => ("pod", owner),
        Some(FileOwner::Shared(owner)) => ("volume", owner),
    };
    out.string("inotrail.owner.kind", kind);
    let pod = owner.pod.clone().unwrap_or_default();
    out.string("inotrail.owner.k8s.namespace.name", pod.namespace);
    if kind != "volume" {
        out.string("inotrail.owner.k8s.pod.name", pod.name);
        out.string("inotrail.owner.k8s.pod.uid", pod.uid);
    }
    if let (Origin::Container { id, name, .. }, "container") = (&owner.origin, kind) {
        out.string("inotrail.owner.container.id", id);
        out.string("inotrail.owner.container.name", name);
    }
}
