//! Encoded Resources of the containers seen lately.

use std::sync::Arc;

use crate::container::Container;
use crate::event::Node;
use crate::ids::IdMap;
use crate::otlp;

/// Containers that are kept between batches; a batch itself can have more.
const KEPT: usize = 512;

/// One entry per version of a container's metadata. An entry keeps its `Arc`, so that its address names it.
#[derive(Debug)]
pub(super) struct Resources {
    node: Node,
    entries: Vec<Entry>,
    by_address: IdMap<usize, usize>,
    /// The last container looked up: the next event is often of the same one.
    last: Option<(usize, usize)>,
}

#[derive(Debug)]
struct Entry {
    container: Arc<Container>,
    resource: Vec<u8>,
    /// Its group in the current batch.
    group: Option<usize>,
}

impl Resources {
    pub(super) fn new(node: Node) -> Self {
        Self { node, entries: Vec::new(), by_address: IdMap::default(), last: None }
    }

    /// The entry of a container, made if need be.
    pub(super) fn find(&mut self, container: &Arc<Container>) -> usize {
        let address = Arc::as_ptr(container).addr();
        if let Some((last, index)) = self.last
            && last == address
        {
            return index;
        }
        let index = *self.by_address.entry(address).or_insert_with(|| {
            let resource = otlp::resource(&self.node, container);
            self.entries.push(Entry { container: Arc::clone(container), resource, group: None });
            self.entries.len() - 1
        });
        self.last = Some((address, index));
        index
    }

    /// The encoded Resource.
    pub(super) fn get(&self, index: usize) -> &[u8] {
        &self.entries[index].resource
    }

    pub(super) fn group(&self, index: usize) -> Option<usize> {
        self.entries[index].group
    }

    pub(super) fn set_group(&mut self, index: usize, group: usize) {
        self.entries[index].group = Some(group);
    }

    /// Ends the groups of these entries, and forgets entries that had none once there are too many.
    pub(super) fn release(&mut self, used: impl Iterator<Item = usize>) {
        if self.entries.len() <= KEPT {
            used.for_each(|index| self.entries[index].group = None);
            return;
        }
        self.last = None;
        self.entries.retain_mut(|entry| entry.group.take().is_some());
        self.by_address.clear();
        let addresses = self.entries.iter().map(|entry| Arc::as_ptr(&entry.container).addr());
        self.by_address.extend(addresses.zip(0..));
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}
