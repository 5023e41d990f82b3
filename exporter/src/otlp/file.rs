//! The accessed file as attributes.

use crate::container::{Container, File, FileOwner, Origin};
use crate::event::{Event, Outcome};

use super::decimal::decimal;
use super::names::Names;
use super::wire::attribute;
use super::{attribute, body};

/// What was accessed, and how.
pub(super) fn push(out: &mut Vec<u8>, event: &Event<'_>, names: &Names<'_>, text: &mut Vec<u8>) {
    let (access, header) = (&event.access, event.access.header);
    if !names.path.is_empty() {
        attribute!(string, out, attribute::FILE_PATH, names.path);
    }
    if !names.target.is_empty() {
        attribute!(string, out, attribute::FILE_TARGET_PATH, names.target);
    }
    attribute!(string, out, attribute::FILE_OPERATION, access.operation().as_str().as_bytes());
    if let Some(mode) = access.access_mode() {
        attribute!(string, out, attribute::FILE_ACCESS_MODE, mode.as_str().as_bytes());
    }
    outcome(out, access.outcome(), text);
    if let Some(flags) = access.open_flags() {
        attribute!(int, out, attribute::FILE_OPEN_FLAGS, flags.into());
    }
    if header.inode != 0 {
        attribute!(string, out, attribute::FILE_INODE, decimal(&mut [0; 20], header.inode));
        text.clear();
        body::device(text, header.device);
        attribute!(string, out, attribute::FILE_DEVICE, text);
    }
    if !names.requested.is_empty() && names.requested != names.path {
        attribute!(string, out, attribute::FILE_REQUESTED_PATH, names.requested);
    }
    if !names.path.is_empty() || !names.requested.is_empty() {
        attribute!(string, out, attribute::FILE_CONFIDENCE, access.confidence().as_bytes());
    }
    if header.flags != 0 || names.escaped {
        flags(out, event, names, text);
    }
    place(out, event.file);
    attribute!(string, out, attribute::BACKEND, event.backend.as_str().as_bytes());
}

fn outcome(out: &mut Vec<u8>, outcome: Outcome, text: &mut Vec<u8>) {
    let name: &[u8] = match outcome {
        Outcome::Success => b"success",
        Outcome::Failure(_) => b"failure",
        Outcome::Unknown => b"unknown",
    };
    attribute!(string, out, attribute::FILE_OUTCOME, name);
    if let Outcome::Failure(errno) = outcome {
        text.clear();
        body::error(text, errno);
        attribute!(string, out, attribute::ERROR_TYPE, text);
    }
}

fn flags(out: &mut Vec<u8>, event: &Event<'_>, names: &Names<'_>, text: &mut Vec<u8>) {
    text.clear();
    for name in event.access.flags().chain(names.escaped.then_some(attribute::ESCAPED)) {
        if !text.is_empty() {
            text.push(b',');
        }
        text.extend_from_slice(name.as_bytes());
    }
    if !text.is_empty() {
        attribute!(string, out, attribute::FILE_FLAGS, text);
    }
}

/// An attribute, unless it is empty.
macro_rules! named {
    ($out:expr, $key:expr, $value:expr) => {
        if !$value.is_empty() {
            attribute!(string, $out, $key, $value);
        }
    };
}

/// Of what the file is, and whose.
fn place(out: &mut Vec<u8>, file: File<'_>) {
    if let Some(volume) = file.volume {
        named!(out, attribute::K8S_VOLUME_NAME, volume.name.as_bytes());
        named!(out, attribute::K8S_VOLUME_TYPE, volume.kind.as_bytes());
        named!(out, attribute::K8S_PERSISTENTVOLUMECLAIM_NAME, volume.claim.as_bytes());
    }
    if let Some(object) = file.object {
        named!(out, attribute::VOLUME_OBJECT_KIND, object.kind.as_bytes());
        named!(out, attribute::VOLUME_OBJECT_NAME, object.name.as_bytes());
        named!(out, attribute::VOLUME_OBJECT_KEY, object.key);
    }
    if let Some(file_owner) = file.owner {
        attribute!(string, out, attribute::OWNER_KIND, file_owner.kind().as_bytes());
        owner(out, file_owner);
    }
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
