//! What files add to records, of the files seen lately: encoded once, and copied.

use crate::event::Sight;

/// Files that are kept, and bytes of each: together 512 KiB. What is longer is not kept.
const KEPT: usize = 1024;
const BYTES: usize = 488;

/// Parts of records, each at the place of its file.
#[derive(Debug, Default)]
pub(super) struct Parts(Vec<Part>);

#[derive(Debug)]
struct Part {
    /// [`Sight::number`] and [`Sight::view`]: all that the bytes are made of.
    of: [u64; 2],
    len: usize,
    bytes: [u8; BYTES],
}

impl Parts {
    /// Whether the parts of this file are kept.
    #[inline]
    pub(super) fn has(&self, sight: &Sight) -> bool {
        self.0.get(sight.place as usize).is_some_and(|part| part.of == of(sight))
    }

    /// The part of a file that is kept.
    #[inline]
    pub(super) fn get(&self, sight: &Sight) -> &[u8] {
        let Part { len, bytes, .. } = &self.0[sight.place as usize];
        &bytes[..*len]
    }

    /// Keeps it, unless it is too long.
    #[inline(never)]
    pub(super) fn keep(&mut self, sight: &Sight, bytes: &[u8]) {
        let (place, len) = (sight.place as usize, bytes.len());
        if len > BYTES || place >= KEPT {
            return;
        }
        if self.0.len() <= place {
            self.0.resize_with(place + 1, || Part { of: [0; 2], len: 0, bytes: [0; BYTES] });
        }
        let part = &mut self.0[place];
        (part.of, part.len) = (of(sight), len);
        part.bytes[..len].copy_from_slice(bytes);
    }
}

#[inline]
const fn of(sight: &Sight) -> [u64; 2] {
    [sight.number, sight.view]
}
