//! The kernel's filters: which number has which content.

use std::collections::{HashMap as Counts, VecDeque};
use std::io;
use std::sync::{Arc, Weak};

use aya::maps::{HashMap, MapData, MapError};
use inotrail_ebpf::filter::{self as contract, FILTERS_MAX, FileKey, HINT_WORDS, NAME_BYTES, NameKey};

use super::memory::FilterMap;
use crate::container::{FileId, FilterUsage};
use crate::policy::filter::Filter;

/// Keys as the kernel's maps take them: plain words.
type NameWords = [u64; size_of::<NameKey>() / 8];
type FileWords = [u64; size_of::<FileKey>() / 8];

/// All filters of a node. A number is given to each content, and stays while somebody holds that.
pub(super) struct Filters {
    numbers: FilterMap,
    names: HashMap<MapData, NameWords, u32>,
    files: HashMap<MapData, FileWords, u32>,
    slots: Vec<Slot>,
    /// Longest unused first: whatever still points to a number that was given back loses nothing meanwhile.
    free: VecDeque<u32>,
    names_used: usize,
    /// By file in how many containers it is watched.
    watched: Counts<FileId, usize>,
    limit: usize,
}

#[derive(Default)]
struct Slot {
    filter: Weak<Filter>,
    keys: Vec<NameWords>,
}

impl Filters {
    /// Empties the maps: an earlier run may have left something. `limit`: entries that each of the two maps holds.
    pub(super) fn new(
        numbers: FilterMap,
        names: HashMap<MapData, NameWords, u32>,
        files: HashMap<MapData, FileWords, u32>,
        limit: u32,
    ) -> Result<Self, MapError> {
        let slots = (0..FILTERS_MAX).map(|_| Slot::default()).collect();
        let free = (0..FILTERS_MAX).collect();
        for number in 0..FILTERS_MAX {
            numbers.set(number, &contract::Filter::EVERYTHING);
        }
        let watched = Counts::new();
        let mut this = Self { numbers, names, files, slots, free, names_used: 0, watched, limit: limit as usize };
        for key in this.names.keys().collect::<Result<Vec<_>, _>>()? {
            this.names.remove(&key)?;
        }
        for key in this.files.keys().collect::<Result<Vec<_>, _>>()? {
            this.files.remove(&key)?;
        }
        Ok(this)
    }

    /// The number of this content, which the kernel knows from now on.
    ///
    /// # Errors
    /// There is no room.
    pub(super) fn number(&mut self, filter: &Arc<Filter>) -> io::Result<u32> {
        let is_it = |slot: &Slot| slot.filter.upgrade().is_some_and(|known| known == *filter);
        if let Some(number) = self.slots.iter().position(is_it) {
            return Ok(number as u32);
        }
        self.sweep();
        let number = self.free.pop_front().ok_or_else(|| io::Error::other("all filters are in use"))?;
        let keys: Vec<_> = filter.names.keys().map(|(kind, name)| key(number, *kind, name)).collect();
        for (done, (key, operations)) in keys.iter().zip(filter.names.values()).enumerate() {
            if let Err(error) = self.names.insert(key, operations, 0) {
                self.forget(&keys[..done]);
                self.free.push_back(number);
                return Err(io::Error::other(error));
            }
        }
        let mut hints = [0; HINT_WORDS];
        for ([_, name @ ..], (kind, _)) in keys.iter().zip(filter.names.keys()) {
            let (word, bit) = contract::hint(*kind, name);
            hints[word] |= 1 << bit;
        }
        self.numbers.set(number, &contract::Filter { any: filter.any, every: filter.every, hints });
        self.names_used += keys.len();
        self.slots[number as usize] = Slot { filter: Arc::downgrade(filter), keys };
        Ok(number)
    }

    /// Has files pass under whatever name in one more container, or in one less.
    ///
    /// # Errors
    /// There is no room for one of them; the others pass.
    pub(super) fn watch(&mut self, new: &[FileId], gone: &[FileId]) -> io::Result<()> {
        let mut result = Ok(());
        // What stays must not be away for a moment.
        for id in new {
            if let Some(count) = self.watched.get_mut(id) {
                *count += 1;
            } else if let Err(error) = self.files.insert(&file(*id), &1, 0) {
                result = Err(io::Error::other(error));
            } else {
                self.watched.insert(*id, 1);
            }
        }
        for id in gone {
            let Some(count) = self.watched.get_mut(id) else { continue };
            *count -= 1;
            if *count == 0 {
                self.watched.remove(id);
                let _absent = self.files.remove(&file(*id));
            }
        }
        result
    }

    pub(super) fn usage(&self) -> FilterUsage {
        FilterUsage { names: self.names_used, files: self.watched.len(), limit: self.limit }
    }

    /// Takes numbers back whose content nobody holds.
    fn sweep(&mut self) {
        for number in 0..FILTERS_MAX {
            let slot = &mut self.slots[number as usize];
            if slot.keys.is_empty() && slot.filter.ptr_eq(&Weak::new()) || slot.filter.strong_count() > 0 {
                continue;
            }
            let keys = std::mem::take(slot).keys;
            self.numbers.set(number, &contract::Filter::EVERYTHING);
            self.names_used -= keys.len();
            self.forget(&keys);
            self.free.push_back(number);
        }
    }

    fn forget(&mut self, keys: &[NameWords]) {
        for key in keys {
            let _absent = self.names.remove(key);
        }
    }
}

fn key(filter: u32, kind: u32, name: &[u8]) -> NameWords {
    let mut bytes = [0; NAME_BYTES];
    let length = name.len().min(NAME_BYTES - 1);
    bytes[..length].copy_from_slice(&name[..length]);
    let [first, second, third, fourth] = zerocopy::transmute!(bytes);
    [zerocopy::transmute!([filter, kind]), first, second, third, fourth]
}

fn file((device, inode): FileId) -> FileWords {
    [inode, zerocopy::transmute!([device, 0])]
}
