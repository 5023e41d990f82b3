//! Volumes of pods, and which Kubernetes object a file in one is made of.

use std::sync::Arc;

/// A volume of a pod, as its specification names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// `k8s.volume.name`
    pub name: String,
    /// `k8s.volume.type`: the name of the field that makes it what it is, as `configMap`.
    pub kind: Box<str>,
    /// `k8s.persistentvolumeclaim.name`; empty where it is no claim.
    pub claim: String,
    /// What its files are made of; empty where they are nobody's but the pod's.
    pub sources: Vec<VolumeSource>,
}

/// An object whose keys are files of a volume.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VolumeSource {
    /// `Secret`, `ConfigMap`, `ServiceAccount` (its token), `Pod` (its own fields), `ClusterTrustBundle`.
    pub kind: &'static str,
    /// `metadata.name`
    pub name: String,
    /// Files and the keys they are made of; empty: all keys, each in a file that is called like it.
    pub items: Vec<(String, String)>,
}

/// The volumes of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodVolumes {
    /// Every one, in the specification's order.
    pub volumes: Vec<Arc<Volume>>,
    /// Where a container (by name) wants which of them: a path, and an index.
    pub mounts: Vec<(String, String, usize)>,
}

/// A Kubernetes object, or one key of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Object<'a> {
    /// [`VolumeSource::kind`], or `Image`: the container's own root, its image and what was written over it.
    pub kind: &'static str,
    /// `metadata.name`; empty for an image, which the Resource names.
    pub name: &'a str,
    /// Which part of it; empty: no single one.
    pub key: &'a [u8],
}

impl Object<'_> {
    /// The container's own root.
    pub(super) const IMAGE: Self = Self { kind: "Image", name: "", key: b"" };
}

impl PodVolumes {
    /// The volume with this name.
    pub(super) fn get(&self, name: &[u8]) -> Option<&Arc<Volume>> {
        self.volumes.iter().find(|volume| volume.name.as_bytes() == name)
    }

    /// What the container wants at each path.
    pub(super) fn of<'a>(&'a self, container: &'a str) -> impl Iterator<Item = (&'a str, &'a Arc<Volume>)> {
        let own = self.mounts.iter().filter(move |(name, ..)| name == container);
        own.filter_map(|(_, path, index)| Some((path.as_str(), self.volumes.get(*index)?)))
    }
}

impl Volume {
    /// What the file at `parts`, one below the other and seen from the volume's root, is made of.
    ///
    /// The kubelet keeps files in a directory of their own per version, `..2026_11_22_10_00_00.1`, and swaps a link to it: that
    /// part of the path says nothing of the object.
    pub(super) fn object<'a>(&'a self, parts: [&'a [u8]; 2]) -> Option<Object<'a>> {
        let [above, below] = parts.map(trim);
        let (above, below) =
            if above.is_empty() { (above, without_version(below)) } else { (without_version(above), below) };
        let listed = self.sources.iter().find_map(|source| {
            let (_, key) = source.items.iter().find(|(path, _)| is_joined(path.as_bytes(), above, below))?;
            Some(Object { kind: source.kind, name: &source.name, key: key.as_bytes() })
        });
        listed.or_else(|| self.unlisted(above, below))
    }

    /// A key that no source lists. Of two objects with all their keys, nobody but the kubelet knows which one it is of.
    fn unlisted<'a>(&'a self, above: &'a [u8], below: &'a [u8]) -> Option<Object<'a>> {
        let mut whole = self.sources.iter().filter(|source| source.items.is_empty());
        let source = whole.next().filter(|_| whole.next().is_none());
        // The directory itself belongs to a volume's only object.
        let source = source.or_else(|| self.sources.first().filter(|_| self.sources.len() == 1))?;
        let key = match (above, below) {
            (key, b"") | (b"", key) => key,
            _ => b"",
        };
        let is_key = source.items.is_empty() && is_name(key);
        Some(Object { kind: source.kind, name: &source.name, key: if is_key { key } else { b"" } })
    }
}

/// What keys of objects are made of: letters, digits, `-`, `_` and `.`.
const NAME: [bool; 256] = {
    let mut name = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        name[byte] = matches!(byte as u8, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.');
        byte += 1;
    }
    name
};

fn is_name(key: &[u8]) -> bool {
    key.iter().all(|byte| NAME[usize::from(*byte)])
}

fn trim(part: &[u8]) -> &[u8] {
    let part = part.strip_prefix(b"/").unwrap_or(part);
    part.strip_suffix(b"/").unwrap_or(part)
}

/// A path without its first component where that is one of the kubelet's own.
fn without_version(path: &[u8]) -> &[u8] {
    match path {
        [b'.', b'.', ..] => memchr::memchr(b'/', path).map_or(b"", |slash| &path[slash + 1..]),
        _ => path,
    }
}

/// Whether `path` is `above/below`.
fn is_joined(path: &[u8], above: &[u8], below: &[u8]) -> bool {
    match (above, below) {
        (b"", whole) | (whole, b"") => path == whole,
        _ => path.strip_prefix(above).and_then(|rest| rest.strip_prefix(b"/")) == Some(below),
    }
}

#[cfg(test)]
mod tests;
