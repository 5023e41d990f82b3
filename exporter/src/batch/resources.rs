//! Encoded Resources of the containers seen lately.

use std::sync::Arc;

use crate::container::Container;
use crate::event::Node;
use crate::ids::IdMap;
use crate::otlp;

/// Containers that are kept between batches; a batch itself can have more.
const KEPT: usize = 512;

/// Places of those looked up last.
const NEAR: usize = 256;

/// One entry per version of a container's metadata. An entry keeps its `Arc`, so that its address names it.
#[derive(Debug)]
pub(super) struct Resources {
    node: Node,
    entries: Vec<Entry>,
    by_address: IdMap<usize, usize>,
    /// Of `by_address` what was looked up last of all that have a place in common: it is quicker, and nearly always enough.
    near: Box<[(usize, usize)]>,
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
        Self { node, entries: Vec::new(), by_address: IdMap::default(), near: vec![(0, 0); NEAR].into() }
    }

    /// The entry of a container, made if need be.
    #[inline]
    pub(super) fn find(&mut self, container: &Arc<Container>) -> usize {
        let address = Arc::as_ptr(container).addr();
        // The lowest bits of addresses are all the same.
        let place = (address >> 4) % NEAR;
        let (known, index) = self.near[place];
        if known == address {
            return index;
        }
        let index = self.find_far(container, address);
        self.near[place] = (address, index);
        index
    }

    #[inline(never)]
    fn find_far(&mut self, container: &Arc<Container>, address: usize) -> usize {
        *self.by_address.entry(address).or_insert_with(|| {
            let resource = otlp::resource(&self.node, container);
            self.entries.push(Entry { container: Arc::clone(container), resource, group: None });
            self.entries.len() - 1
        })
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
        self.near.fill((0, 0));
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
