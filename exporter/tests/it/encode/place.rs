//! Volumes, objects and owners of all kinds.

use std::sync::Arc;

use inotrail::container::{Container, File, FileOwner, Object, Volume};
use proptest::prelude::*;

use super::word;

/// What is known of a file's place, owned.
#[derive(Clone, Debug)]
pub(super) struct Place {
    volume: Option<Arc<Volume>>,
    object: Option<(&'static str, String, String)>,
    owner: Option<(u8, usize)>,
}

impl Place {
    pub(super) fn file<'a>(&'a self, containers: &'a [Arc<Container>]) -> File<'a> {
        let object = self.object.as_ref();
        File {
            volume: self.volume.as_ref(),
            object: object.map(|(kind, name, key)| Object { kind, name, key: key.as_bytes() }),
            owner: self.owner.map(|(kind, index)| {
                let container = &containers[index % containers.len()];
                match kind {
                    0 => FileOwner::Host,
                    1 => FileOwner::Container(container),
                    2 => FileOwner::Pod(container),
                    _ => FileOwner::Shared(container),
                }
            }),
        }
    }
}

pub(super) fn place() -> impl Strategy<Value = Place> {
    let volume = (word(), word(), word());
    let volume =
        volume.prop_map(|(name, kind, claim)| Volume { name, kind: kind.into(), claim, sources: vec![] }.into());
    let object = (prop::sample::select(vec!["Secret", "Image"]), word(), word());
    let owner = (0..4u8, any::<usize>());
    let all = (prop::option::of(volume), prop::option::of(object), prop::option::of(owner));
    all.prop_map(|(volume, object, owner)| Place { volume, object, owner })
}
