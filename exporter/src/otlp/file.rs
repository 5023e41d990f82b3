//! The accessed file as attributes.

use std::sync::Arc;

use crate::container::{Container, File, FileOwner, Object, Origin, Volume};
use crate::event::Event;

use super::deed::Deed;
use super::memo::Memo;
use super::names::Files;
use super::wire::attribute;
use super::{attribute, body};

/// An attribute, unless it is empty.
macro_rules! named {
    ($out:expr, $key:expr, $value:expr) => {
        if !$value.is_empty() {
            attribute!(string, $out, $key, $value);
        }
    };
}

/// Devices, and volumes, that are kept.
const PLACES: usize = 256;

/// Attributes of the places seen lately.
#[derive(Debug)]
pub(super) struct Places {
    devices: Memo<u32, Vec<u8>>,
    /// By address of the volume, and of its object's kind and name.
    volumes: Memo<[usize; 3], Kept>,
}

/// A volume's attributes, and what keeps the addresses its own.
type Kept = (Option<Arc<Volume>>, Vec<u8>);

impl Default for Places {
    fn default() -> Self {
        Self { devices: Memo::new(PLACES), volumes: Memo::new(PLACES) }
    }
}

impl Places {
    fn device(&mut self, device: u32, text: &mut Vec<u8>) -> &[u8] {
        self.devices.get(device ^ device >> 20, device, |out| {
            text.clear();
            body::device(text, device);
            out.clear();
            attribute!(string, out, attribute::FILE_DEVICE, text);
        })
    }

    /// A volume's attributes, and those of an object that is borrowed from it, but for the object's key.
    fn volume(&mut self, volume: &Arc<Volume>, object: Option<&Object<'_>>) -> &[u8] {
        let address = Arc::as_ptr(volume).addr();
        let [kind, name] = object.map_or([0; 2], |object| [object.kind, object.name].map(|text| text.as_ptr().addr()));
        let key = [address, kind, name];
        let (_, attributes) = self.volumes.get((address >> 4) as u32, key, |(kept, out)| {
            *kept = Some(Arc::clone(volume));
            out.clear();
            named!(out, attribute::K8S_VOLUME_NAME, volume.name.as_bytes());
            named!(out, attribute::K8S_VOLUME_TYPE, volume.kind.as_bytes());
            named!(out, attribute::K8S_PERSISTENTVOLUMECLAIM_NAME, volume.claim.as_bytes());
            if let Some(object) = object {
                push_object(out, object);
            }
        });
        attributes
    }
}

/// What was accessed, and how.
pub(super) fn push(
    out: &mut Vec<u8>,
    event: &Event<'_>,
    files: &Files<'_>,
    (deed, places): (&Deed, &mut Places),
    text: &mut Vec<u8>,
) {
    let header = event.access.header;
    if !files.path.is_empty() {
        attribute!(string, out, attribute::FILE_PATH, files.path);
    }
    if !files.target.is_empty() {
        attribute!(string, out, attribute::FILE_TARGET_PATH, files.target);
    }
    out.extend_from_slice(deed.attributes(!files.path.is_empty() || !files.requested.is_empty()));
    if header.inode != 0 {
        attribute!(string, out, attribute::FILE_INODE, itoa::Buffer::new().format(header.inode).as_bytes());
        out.extend_from_slice(places.device(header.device, text));
    }
    if files.requested_otherwise {
        attribute!(string, out, attribute::FILE_REQUESTED_PATH, files.requested);
    }
    if header.flags != 0 || files.escaped {
        flags(out, event, files.escaped, text);
    }
    place(out, event.file, places);
}

fn flags(out: &mut Vec<u8>, event: &Event<'_>, escaped: bool, text: &mut Vec<u8>) {
    text.clear();
    for name in event.access.flags().chain(escaped.then_some(attribute::ESCAPED)) {
        if !text.is_empty() {
            text.push(b',');
        }
        text.extend_from_slice(name.as_bytes());
    }
    if !text.is_empty() {
        attribute!(string, out, attribute::FILE_FLAGS, text);
    }
}

/// Of what the file is, and whose.
fn place(out: &mut Vec<u8>, file: File<'_>, places: &mut Places) {
    let object = file.object.as_ref();
    // What a directory of the host shows may be another volume's.
    let is_own = |object: &&Object<'_>| {
        let names =
            |volume: &Arc<Volume>| volume.sources.iter().any(|source| std::ptr::eq(source.name.as_str(), object.name));
        file.volume.is_some_and(names)
    };
    let own = object.filter(is_own);
    if let Some(volume) = file.volume {
        out.extend_from_slice(places.volume(volume, own));
    }
    if let Some(object) = object {
        if own.is_none() {
            push_object(out, object);
        }
        named!(out, attribute::VOLUME_OBJECT_KEY, object.key);
    }
    if let Some(file_owner) = file.owner {
        attribute!(string, out, attribute::OWNER_KIND, file_owner.kind().as_bytes());
        owner(out, file_owner);
    }
}

/// What one object's keys have in common.
fn push_object(out: &mut Vec<u8>, object: &Object<'_>) {
    named!(out, attribute::VOLUME_OBJECT_KIND, object.kind.as_bytes());
    named!(out, attribute::VOLUME_OBJECT_NAME, object.name.as_bytes());
}

fn owner(out: &mut Vec<u8>, owner: FileOwner<'_>) {
    let (container, is_one) = match owner {
        FileOwner::Host => return,
        FileOwner::Container(container) | FileOwner::Pod(container) => (container, true),
        FileOwner::Shared(container) => (container, false),
    };
    if let Some(pod) = &container.pod {
        named!(out, attribute::OWNER_NAMESPACE_NAME, pod.namespace.as_bytes());
        if is_one {
            named!(out, attribute::OWNER_POD_NAME, pod.name.as_bytes());
            named!(out, attribute::OWNER_POD_UID, pod.uid.as_bytes());
        }
    }
    if let FileOwner::Container(Container { origin: Origin::Container { id, name, .. }, .. }) = owner {
        named!(out, attribute::OWNER_CONTAINER_ID, id.as_bytes());
        named!(out, attribute::OWNER_CONTAINER_NAME, name.as_bytes());
    }
}
