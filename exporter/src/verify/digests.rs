//! What lately seen records said, so that one that comes again is known from another under the same number.

use std::collections::{HashMap, VecDeque};

/// Numbers next to each other are often seen together.
const BLOCK: u64 = 64;
/// 16 million records, 64 MiB: a resend follows the first within an hour or so.
const BLOCKS_MAX: usize = 1 << 18;

/// A digest of 32 bits per record, of the records seen last.
#[derive(Debug)]
pub(super) struct Digests {
    blocks: HashMap<(u32, u64), Box<[u32; BLOCK as usize]>>,
    order: VecDeque<(u32, u64)>,
    most: usize,
}

impl Default for Digests {
    fn default() -> Self {
        Self { blocks: HashMap::new(), order: VecDeque::new(), most: BLOCKS_MAX }
    }
}

impl Digests {
    /// Keeps the digest of a record seen for the first time.
    pub(super) fn insert(&mut self, series: u32, number: u64, digest: u64) {
        let key = (series, number / BLOCK);
        let block = self.blocks.entry(key).or_insert_with(|| {
            self.order.push_back(key);
            Box::new([0; BLOCK as usize])
        });
        block[(number % BLOCK) as usize] = short(digest);
        if self.order.len() > self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.blocks.remove(&oldest);
        }
    }

    /// Whether the record under this number said the same; nothing where that is forgotten.
    pub(super) fn is_same(&self, series: u32, number: u64, digest: u64) -> Option<bool> {
        let kept = self.blocks.get(&(series, number / BLOCK))?[(number % BLOCK) as usize];
        (kept != 0).then(|| kept == short(digest))
    }
}

/// 0 stands for none.
fn short(digest: u64) -> u32 {
    ((digest >> 32) as u32).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten() {
        let mut digests = Digests { most: 2, ..Digests::default() };
        let digest = |number: u64| number << 32;
        for (series, number) in [(0, 1), (0, 2), (1, 1)] {
            digests.insert(series, number, digest(7));
        }
        assert_eq!(digests.is_same(0, 1, digest(7)), Some(true));
        assert_eq!(digests.is_same(0, 2, digest(8)), Some(false));
        assert_eq!(digests.is_same(0, 3, digest(7)), None);
        digests.insert(0, 1000, digest(7));
        assert_eq!((digests.is_same(0, 1, digest(7)), digests.is_same(1, 1, digest(7))), (None, Some(true)));
        assert_eq!(digests.blocks.len(), 2);
    }
}
