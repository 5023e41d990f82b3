//! What files add to records, of the files seen lately: encoded once, and copied.

use crate::event::Sight;

/// Files that are kept, and bytes of each: together 512 KiB. What is longer is not kept.
const KEPT: usize = 1024;
const BYTES: usize = 496;

/// Parts of records, each at the place of its file.
#[derive(Debug, Default)]
pub(super) struct Parts(Vec<Part>);

#[derive(Debug)]
struct Part {
    /// [`Sight::number`] and [`Sight::view`]: all that the bytes are made of.
    of: [u64; 2],
    /// Where the first of both ends, and the second.
    ends: [u16; 2],
    bytes: [u8; BYTES],
}

impl Parts {
    /// Whether the parts of this file are kept.
    #[inline]
    pub(super) fn has(&self, sight: &Sight) -> bool {
        self.0.get(sight.place).is_some_and(|part| part.of == of(sight))
    }

    /// Both parts of a file that is kept: its names, and where it is.
    #[inline]
    pub(super) fn get(&self, sight: &Sight) -> [&[u8]; 2] {
        let Part { ends: [middle, end], bytes, .. } = &self.0[sight.place];
        let (names, place) = bytes[..usize::from(*end)].split_at(usize::from(*middle));
        [names, place]
    }

    /// Keeps both, unless they are too long.
    #[inline(never)]
    pub(super) fn keep(&mut self, sight: &Sight, [names, place]: [&[u8]; 2]) {
        let (middle, end) = (names.len(), names.len() + place.len());
        if end > BYTES || sight.place >= KEPT {
            return;
        }
        if self.0.len() <= sight.place {
            self.0.resize_with(sight.place + 1, || Part { of: [0; 2], ends: [0; 2], bytes: [0; BYTES] });
        }
        let part = &mut self.0[sight.place];
        (part.of, part.ends) = (of(sight), [middle as u16, end as u16]);
        part.bytes[..middle].copy_from_slice(names);
        part.bytes[middle..end].copy_from_slice(place);
    }
}

#[inline]
const fn of(sight: &Sight) -> [u64; 2] {
    [sight.number, sight.view]
}
