//! Where records are written: bytes that are there already, so that nothing grows, and nothing is cleared, while one is.

use super::phrase::Phrase;
use super::wire::{INT, KEY, RECORD_ATTRIBUTES, STRING, VALUE, bytes_len, varint_len};

/// Records, one behind the other. It grows to the longest batch seen and stays.
#[derive(Debug, Default)]
pub struct Room {
    bytes: Vec<u8>,
    len: usize,
}

impl Room {
    /// Bytes that are written.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What is written.
    #[must_use]
    pub fn written(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Forgets what is written.
    pub const fn clear(&mut self) {
        self.len = 0;
    }

    /// Appends these bytes.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.spare(bytes.len())[..bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    /// At least so many bytes behind what is written, of any value; the first ones are to be taken by [`Self::advance`].
    #[inline]
    pub(super) fn spare(&mut self, least: usize) -> &mut [u8] {
        let end = self.len + least;
        if self.bytes.len() < end {
            self.grow(end);
        }
        &mut self.bytes[self.len..]
    }

    /// So many more bytes are written.
    #[inline]
    pub(super) const fn advance(&mut self, written: usize) {
        self.len += written;
    }

    #[cold]
    fn grow(&mut self, end: usize) {
        self.bytes.resize(end + end / 4, 0);
    }
}

/// Writes into bytes that are enough: whoever makes it has added up what will be written at most.
pub(super) struct Writer<'a>(&'a mut [u8]);

impl<'a> Writer<'a> {
    pub(super) const fn new(room: &'a mut [u8]) -> Self {
        Self(room)
    }

    /// Bytes that are not written.
    pub(super) const fn left(&self) -> usize {
        self.0.len()
    }

    /// The next bytes, to be written now or later.
    #[inline]
    pub(super) fn take<const N: usize>(&mut self) -> &'a mut [u8; N] {
        let Some((head, rest)) = std::mem::take(&mut self.0).split_first_chunk_mut() else { full() };
        self.0 = rest;
        head
    }

    #[inline]
    pub(super) fn put<const N: usize>(&mut self, bytes: &[u8; N]) {
        *self.take() = *bytes;
    }

    /// Writes the first `len` bytes, and more where others will come: to copy a number that is known is a few instructions.
    #[inline]
    pub(super) fn put_some<const N: usize>(&mut self, bytes: &[u8; N], len: usize) {
        let Some(head) = self.0.first_chunk_mut() else { full() };
        *head = *bytes;
        self.0 = &mut std::mem::take(&mut self.0)[len..];
    }

    #[inline]
    pub(super) fn copy(&mut self, bytes: &[u8]) {
        let (head, rest) = std::mem::take(&mut self.0).split_at_mut(bytes.len());
        head.copy_from_slice(bytes);
        self.0 = rest;
    }

    #[inline]
    pub(super) fn phrase<const SHORT: usize>(&mut self, phrase: &Phrase<SHORT>) {
        match phrase.short() {
            Some(start) => self.put_some(start, phrase.len()),
            None => self.copy(phrase.text()),
        }
    }

    #[inline]
    pub(super) fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.put(&[value as u8 | 0x80]);
            value >>= 7;
        }
        self.put(&[value as u8]);
    }

    /// An attribute of the record with a string value. `key` is made by [`super::wire::key`].
    #[inline]
    pub(super) fn string<const N: usize>(&mut self, key: &'static [u8; N], value: &[u8]) {
        let len = value.len();
        if N - 2 + len >= 0x80 {
            return self.long_string(&key[4..N - 4], value);
        }
        let head = self.take::<N>();
        *head = *key;
        head[1] = (N - 2 + len) as u8;
        head[N - 3] = (2 + len) as u8;
        head[N - 2] = STRING;
        head[N - 1] = len as u8;
        self.copy(value);
    }

    #[cold]
    fn long_string(&mut self, name: &[u8], value: &[u8]) {
        let any = bytes_len(value.len());
        self.put(&[RECORD_ATTRIBUTES]);
        self.varint((bytes_len(name.len()) + bytes_len(any)) as u64);
        self.put(&[KEY, name.len() as u8]);
        self.copy(name);
        self.put(&[VALUE]);
        self.varint(any as u64);
        self.put(&[STRING]);
        self.varint(value.len() as u64);
        self.copy(value);
    }

    /// The same with an integer value.
    #[inline]
    pub(super) fn int<const N: usize>(&mut self, key: &'static [u8; N], value: u64) {
        let len = varint_len(value);
        let mut head = *key;
        head[1] = (N - 3 + len) as u8;
        head[N - 3] = (1 + len) as u8;
        head[N - 2] = INT;
        self.put_some(&head, N - 1);
        self.varint(value);
    }
}

/// Calls [`Writer::string`] or [`Writer::int`] with a key laid out at compile time.
macro_rules! put {
    ($out:ident.$write:ident, $name:expr, $value:expr) => {
        $out.$write(
            const { &$crate::otlp::wire::key::<{ $name.len() + $crate::otlp::wire::KEY_OVERHEAD }>($name) },
            $value,
        )
    };
}
pub(super) use put;

#[cold]
fn full() -> ! {
    unreachable!("a record is longer than all that it is made of")
}

#[cfg(test)]
mod tests {
    use super::super::wire::attribute;
    use super::*;

    const NAME: &str = "file.path";

    fn check(expected: &[u8], write: impl FnOnce(&mut Writer<'_>)) {
        let mut room = Room::default();
        room.extend(b"before");
        let spare = room.spare(expected.len() + 32);
        let all = spare.len();
        let mut writer = Writer::new(spare);
        write(&mut writer);
        let written = all - writer.left();
        room.advance(written);
        assert_eq!(room.written(), [b"before", expected].concat());
    }

    #[test]
    fn attributes_of_every_length() {
        for len in (0..300).chain([16_382, 16_384, 70_000]) {
            let (text, mut expected) = (vec![b'x'; len], Vec::new());
            attribute!(string, &mut expected, NAME, &text);
            check(&expected, |out| put!(out.string, NAME, &text));
        }
        for shift in 0..64 {
            for value in [0, 1 << shift, u64::MAX >> shift] {
                let mut expected = Vec::new();
                attribute!(int, &mut expected, NAME, value);
                check(&expected, |out| put!(out.int, NAME, value));
            }
        }
    }

    #[test]
    fn what_is_forgotten_is_written_over() {
        let mut room = Room::default();
        for text in ["a long one", "short", ""] {
            room.clear();
            room.extend(text.as_bytes());
            assert_eq!((room.written(), room.len(), room.is_empty()), (text.as_bytes(), text.len(), text.is_empty()));
        }
    }
}
