//! The accessed file as attributes.

use std::sync::Arc;

use crate::container::{Container, File, FileOwner, Object, Origin, Volume};
use crate::event::Event;

use super::memo::Memo;
use super::names::Files;
use super::phrase::Phrase;
use super::room::{Writer, put};
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
    devices: Memo<u32, Phrase<DEVICE>>,
    /// By [`key()`].
    volumes: Memo<[usize; 3], Kept>,
}

/// Bytes of nearly every device's attribute.
const DEVICE: usize = 48;

/// A volume's attributes, and what keeps the addresses its own.
type Kept = (Option<Arc<Volume>>, Vec<u8>);

/// What is known of a file by where it is, encoded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    device: &'a Phrase<DEVICE>,
    volume: &'a [u8],
    /// The object's key, if its other attributes are among the volume's.
    key: &'a [u8],
    /// [`owned`] has nothing to add.
    pub(super) is_all: bool,
}

impl Default for Places {
    fn default() -> Self {
        Self { devices: Memo::new(PLACES), volumes: Memo::new(PLACES) }
    }
}

impl Places {
    /// The place of an event's file. `text` and `out` are buffers.
    #[inline]
    pub(super) fn of<'a>(&'a mut self, event: &Event<'a>, [text, out]: [&mut Vec<u8>; 2]) -> Place<'a> {
        let device = event.access.header.device;
        let File { volume, object, owner } = event.file;
        let device = self.devices.get(device ^ device >> 20, device, |phrase| {
            text.clear();
            body::device(text, device);
            out.clear();
            attribute!(string, out, attribute::FILE_DEVICE, text);
            phrase.set(&[out]);
        });
        let mut place = Place { device, volume: b"", key: b"", is_all: owner.is_none() };
        if volume.is_none() && object.is_none() {
            return place;
        }
        let key = key(volume, object.as_ref());
        let known = self.volumes.find(hash(key), &key);
        let (_, attributes) = if let Some(at) = known {
            place.key = object.map_or(b"", |object| object.key);
            self.volumes.at(at)
        } else if object.is_none_or(|object| is_own(volume, &object)) {
            place.key = object.map_or(b"", |object| object.key);
            self.volumes.get(hash(key), key, |kept| fill(kept, volume, object.as_ref()))
        } else {
            place.is_all = false;
            let key = self::key(volume, None);
            self.volumes.get(hash(key), key, |kept| fill(kept, volume, None))
        };
        place.volume = attributes;
        place
    }
}

impl Place<'_> {
    /// Bytes of all but names of attributes.
    pub(super) const fn len(&self) -> usize {
        self.device.len() + self.volume.len() + self.key.len()
    }
}

/// What a volume's attributes are kept by, with those of an object. Of a volume that is kept nobody else gets the addresses: an
/// object is told by its name's where that is the volume's. No volume's, and no name's, are 0.
fn key(volume: Option<&Arc<Volume>>, object: Option<&Object<'_>>) -> [usize; 3] {
    let name = |object: &Object<'_>| if object.name.is_empty() { 0 } else { object.name.as_ptr().addr() };
    let [kind, name] = object.map_or([0; 2], |object| [object.kind.as_ptr().addr(), name(object)]);
    [volume.map_or(0, |volume| Arc::as_ptr(volume).addr()), kind, name]
}

const fn hash([volume, ..]: [usize; 3]) -> u32 {
    (volume >> 4) as u32
}

fn fill((kept, out): &mut Kept, volume: Option<&Arc<Volume>>, object: Option<&Object<'_>>) {
    *kept = volume.cloned();
    out.clear();
    if let Some(volume) = volume {
        named!(out, attribute::K8S_VOLUME_NAME, volume.name.as_bytes());
        named!(out, attribute::K8S_VOLUME_TYPE, volume.kind.as_bytes());
        named!(out, attribute::K8S_PERSISTENTVOLUMECLAIM_NAME, volume.claim.as_bytes());
    }
    if let Some(object) = object {
        push_object(out, object);
    }
}

/// Whether the object's name is the volume's, or it has none: what a directory of the host shows may be another volume's.
fn is_own(volume: Option<&Arc<Volume>>, object: &Object<'_>) -> bool {
    let names =
        |volume: &Arc<Volume>| volume.sources.iter().any(|source| std::ptr::eq(source.name.as_str(), object.name));
    object.name.is_empty() || volume.is_some_and(names)
}

/// What was accessed. `flags` and `owner` are encoded.
#[inline]
pub(super) fn push(out: &mut Writer<'_>, inode: u64, files: &Files<'_>, place: &Place<'_>, [flags, owner]: [&[u8]; 2]) {
    if !files.path.is_empty() {
        put!(out.string, attribute::FILE_PATH, files.path);
    }
    if !files.target.is_empty() {
        put!(out.string, attribute::FILE_TARGET_PATH, files.target);
    }
    if inode != 0 {
        put!(out.string, attribute::FILE_INODE, itoa::Buffer::new().format(inode).as_bytes());
        out.phrase(place.device);
    }
    if files.requested_otherwise {
        put!(out.string, attribute::FILE_REQUESTED_PATH, files.requested);
    }
    if !flags.is_empty() {
        out.copy(flags);
    }
    if !place.volume.is_empty() {
        out.copy(place.volume);
    }
    if !place.key.is_empty() {
        put!(out.string, attribute::VOLUME_OBJECT_KEY, place.key);
    }
    if !owner.is_empty() {
        out.copy(owner);
    }
}

/// What is special about the record; `text` is a buffer.
pub(super) fn flags(out: &mut Vec<u8>, event: &Event<'_>, escaped: bool, text: &mut Vec<u8>) {
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

/// Whose the file is, and what [`Place`] leaves out of its object.
pub(super) fn owned(out: &mut Vec<u8>, file: File<'_>) {
    if let Some(object) = file.object.filter(|object| !is_own(file.volume, object)) {
        push_object(out, &object);
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
