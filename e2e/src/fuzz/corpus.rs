//! Seeds, and inputs made from them by damage that knows where the fields are.

use super::random::Random;

/// Changes of one input, at most.
const CHANGES: usize = 5;

/// A valid input, or one that is wrong on purpose.
#[derive(Clone, Debug)]
pub(super) struct Seed {
    /// Its bytes.
    pub(super) bytes: Vec<u8>,
    /// Its numbers: offset and size (2, 4 or 8 bytes).
    pub(super) fields: Vec<(usize, usize)>,
}

/// Seeds in groups: small ones are many and fast, large ones real.
#[derive(Debug)]
pub(super) struct Corpus {
    small: Vec<Seed>,
    large: Vec<Seed>,
}

/// One of this many inputs begins with a large seed.
const LARGE: usize = 500;

impl Corpus {
    /// Small seeds make most inputs; there must be one. Large ones may be none.
    pub(super) fn new(small: Vec<Seed>, large: Vec<Seed>) -> Self {
        Self { small, large }
    }

    /// How many there are.
    pub(super) fn seeds(&self) -> usize {
        self.small.len() + self.large.len()
    }

    /// The input of this number, instead of what `into` holds. The first are the seeds as they are.
    pub(super) fn input(&self, seed: u64, index: u64, into: &mut Vec<u8>) {
        into.clear();
        let mut random = Random::new(seed, index);
        if let Some(whole) = self.small.iter().chain(&self.large).nth(index as usize) {
            into.extend_from_slice(&whole.bytes);
            return;
        }
        let group = if random.below(LARGE) == 0 && !self.large.is_empty() { &self.large } else { &self.small };
        let base = &group[random.below(group.len())];
        into.extend_from_slice(&base.bytes);
        for _ in 0..=random.below(CHANGES) {
            change(into, &base.fields, &mut random);
        }
    }
}

fn change(bytes: &mut Vec<u8>, fields: &[(usize, usize)], random: &mut Random) {
    let at = random.below(bytes.len());
    match random.below(16) {
        0 | 1 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        2 => bytes.truncate(at),
        3 => {
            let end = bytes.len().min(at + random.below(64));
            bytes.drain(at..end);
        }
        4 => {
            let end = bytes.len().min(at + random.below(64));
            let copy = bytes[at..end].to_vec();
            bytes.splice(at..at, copy);
        }
        5 => {
            let value = random.next();
            bytes.splice(at..at, value.to_ne_bytes().into_iter().take(random.below(9)));
        }
        6 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = random.next() as u8;
            }
        }
        _ => change_field(bytes, fields, random),
    }
}

/// Another number in one of the fields: one from the edge, a neighbour, or one that another field holds.
fn change_field(bytes: &mut [u8], fields: &[(usize, usize)], random: &mut Random) {
    let Some((offset, size)) = random.pick(fields) else { return };
    let read = |bytes: &[u8], (offset, size): (usize, usize)| {
        let mut value = [0; 8];
        let field = bytes.get(offset..offset + size)?;
        value[..size].copy_from_slice(field);
        Some(u64::from_le_bytes(value))
    };
    let Some(old) = read(bytes, (offset, size)) else { return };
    let value = match random.below(9) {
        0 => 0,
        1 => u64::MAX,
        2 => u64::MAX >> 1,
        3 => old ^ (1 << random.below(8 * size)),
        4 => old.wrapping_add(1),
        5 => old.wrapping_sub(1),
        6 => random.below(64) as u64,
        7 => random.next(),
        _ => random.pick(fields).and_then(|field| read(bytes, field)).unwrap_or(bytes.len() as u64),
    };
    bytes[offset..offset + size].copy_from_slice(&value.to_le_bytes()[..size]);
}
