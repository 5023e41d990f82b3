//! Protobuf's wire format, as far as OTLP logs need it.
//!
//! Attributes of a log record are the bulk of all bytes. Their keys are laid out at compile time ([`key`]), so that one
//! of them costs a copy of the key, a copy of the value and three lengths.

/// Tag of a length-delimited field.
pub(super) const fn tag(field: u8) -> u8 {
    field << 3 | 2
}

/// `KeyValue.value`, and `AnyValue`'s variants.
pub(super) const KEY: u8 = tag(1);
pub(super) const VALUE: u8 = tag(2);
/// `AnyValue.string_value`
pub(super) const STRING: u8 = tag(1);
const BOOL: u8 = 2 << 3;
pub(super) const INT: u8 = 3 << 3;
const ARRAY: u8 = tag(5);

/// `LogRecord.attributes`
pub(super) const RECORD_ATTRIBUTES: u8 = tag(6);
/// Bytes of an encoded [`key`] beside the key itself.
pub(super) const KEY_OVERHEAD: usize = 8;

/// Bytes of a varint.
pub(super) const fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Appends a varint.
#[inline]
pub(super) fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The same bytes without a place for them: nothing is allocated.
pub(super) fn varint_bytes(value: usize) -> impl Iterator<Item = u8> {
    let len = varint_len(value as u64);
    (0..len).map(move |index| (value >> (7 * index)) as u8 & 0x7f | if index + 1 < len { 0x80 } else { 0 })
}

/// A record's tag and its length in two bytes, which is the shortest form but for very long paths; then it is 0.
#[inline]
pub(super) fn short_head(len: usize) -> [u8; 3] {
    let is_short = (0x80..0x4000).contains(&len);
    [tag(2), if is_short { len as u8 | 0x80 } else { 0 }, (len >> 7) as u8]
}

/// Appends tag, length and bytes.
pub(super) fn bytes(out: &mut Vec<u8>, tag: u8, value: &[u8]) {
    out.push(tag);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// Bytes that [`bytes`] appends for a value of `len` bytes.
pub(super) const fn bytes_len(len: usize) -> usize {
    1 + varint_len(len as u64) + len
}

/// Appends a fixed64 field, unless it is 0: that is what its absence means.
#[inline]
pub(super) fn fixed64(out: &mut Vec<u8>, field: u8, value: u64) {
    if value != 0 {
        let mut bytes = [field << 3 | 1; 9];
        bytes[1..].copy_from_slice(&value.to_le_bytes());
        out.extend_from_slice(&bytes);
    }
}

/// Starts a message of unknown length, to be ended by [`close`] with what this returns.
#[inline]
pub(super) fn open(out: &mut Vec<u8>, tag: u8) -> usize {
    // Two bytes of length: a log record has between 128 and 16383 bytes, but for very long paths.
    out.extend_from_slice(&[tag, 0, 0]);
    out.len()
}

/// Ends a message: writes its length before it, moving it where two bytes are not the shortest form.
#[inline]
pub(super) fn close(out: &mut Vec<u8>, start: usize) {
    let len = out.len() - start;
    if (0x80..0x4000).contains(&len) {
        out[start - 2] = len as u8 | 0x80;
        out[start - 1] = (len >> 7) as u8;
    } else {
        out.splice(start - 2..start, varint_bytes(len));
    }
}

/// An attribute of a log record up to its value, lengths left 0: tag, length, key, tag of the value, length, tag of the
/// value's variant, and a byte for the length of a string.
pub(super) const fn key<const N: usize>(name: &str) -> [u8; N] {
    // Every length but a string's own is then one byte, also with the longest integer.
    assert!(name.len() + KEY_OVERHEAD == N && N < 100);
    let mut out = [0; N];
    out[0] = RECORD_ATTRIBUTES;
    out[2] = KEY;
    out[3] = name.len() as u8;
    let mut index = 0;
    while index < name.len() {
        out[4 + index] = name.as_bytes()[index];
        index += 1;
    }
    out[N - 4] = VALUE;
    out
}

/// Appends a record's attribute with a string value. `key` is made by [`key`]: that its length is known here makes the
/// copy a few instructions.
#[inline]
pub(super) fn string<const N: usize>(out: &mut Vec<u8>, key: &'static [u8; N], value: &[u8]) {
    let len = value.len();
    if N - 2 + len >= 0x80 {
        return key_value(out, RECORD_ATTRIBUTES, &key[4..N - 4], STRING, value);
    }
    let mut head = *key;
    head[1] = (N - 2 + len) as u8;
    head[N - 3] = (2 + len) as u8;
    head[N - 2] = STRING;
    head[N - 1] = len as u8;
    out.extend_from_slice(&head);
    out.extend_from_slice(value);
}

/// Appends a record's attribute with a string value, whose key a user has chosen.
pub(super) fn named_string(out: &mut Vec<u8>, key: &str, value: &str) {
    key_value(out, RECORD_ATTRIBUTES, key.as_bytes(), STRING, value.as_bytes());
}

/// Appends a record's attribute with an array of strings, made by [`element`]. `key` is made by [`key`].
pub(super) fn array<const N: usize>(out: &mut Vec<u8>, key: &'static [u8; N], elements: &[u8]) {
    key_value(out, RECORD_ATTRIBUTES, &key[4..N - 4], ARRAY, elements);
}

/// Appends one string of an array.
pub(super) fn element(array: &mut Vec<u8>, value: &[u8]) {
    array.push(tag(1));
    varint(array, bytes_len(value.len()) as u64);
    bytes(array, STRING, value);
}

/// Appends a record's attribute with an integer value. `key` is made by [`key`].
#[inline]
pub(super) fn int<const N: usize>(out: &mut Vec<u8>, key: &'static [u8; N], value: u64) {
    let len = varint_len(value);
    let mut head = *key;
    head[1] = (N - 3 + len) as u8;
    head[N - 3] = (1 + len) as u8;
    head[N - 2] = INT;
    out.extend_from_slice(&head[..N - 1]);
    varint(out, value);
}

/// Appends a record's attribute with a boolean value. `key` is made by [`key`].
pub(super) fn boolean<const N: usize>(out: &mut Vec<u8>, key: &'static [u8; N], value: bool) {
    let mut head = *key;
    head[1] = (N - 2) as u8;
    head[N - 3] = 2;
    head[N - 2] = BOOL;
    head[N - 1] = u8::from(value);
    out.extend_from_slice(&head);
}

/// A record's attribute with an integer below 128, at compile time.
pub(super) const fn short_int<const N: usize>(name: &str, value: u8) -> [u8; N] {
    assert!(value < 0x80);
    let mut out = key(name);
    out[1] = (N - 2) as u8;
    out[N - 3] = 2;
    out[N - 2] = INT;
    out[N - 1] = value;
    out
}

/// [`bytes`] of a short text, at compile time.
pub(super) const fn short<const N: usize>(tag: u8, text: &str) -> [u8; N] {
    assert!(text.len() + 2 == N && N < 0x80);
    let mut out = [0; N];
    (out[0], out[1]) = (tag, text.len() as u8);
    let mut index = 0;
    while index < text.len() {
        out[2 + index] = text.as_bytes()[index];
        index += 1;
    }
    out
}

/// Calls [`string`], [`array`], [`int`] or [`boolean`] with a key laid out at compile time.
macro_rules! attribute {
    ($write:ident, $out:expr, $name:expr, $value:expr) => {
        $crate::otlp::wire::$write(
            $out,
            const { &$crate::otlp::wire::key::<{ $name.len() + $crate::otlp::wire::KEY_OVERHEAD }>($name) },
            $value,
        )
    };
}
pub(super) use attribute;

/// Appends a `KeyValue` of any message with one length-delimited value.
#[cold]
fn key_value(out: &mut Vec<u8>, field: u8, name: &[u8], variant: u8, value: &[u8]) {
    let any = bytes_len(value.len());
    out.push(field);
    varint(out, (bytes_len(name.len()) + bytes_len(any)) as u64);
    bytes(out, KEY, name);
    out.push(VALUE);
    varint(out, any as u64);
    bytes(out, variant, value);
}

/// Appends an attribute of a Resource, unless it is empty.
pub(super) fn resource_string(out: &mut Vec<u8>, name: &str, value: &str) {
    if !value.is_empty() {
        key_value(out, tag(1), name.as_bytes(), STRING, value.as_bytes());
    }
}

/// Appends an attribute of a Resource, unless it is empty.
pub(super) fn resource_strings(out: &mut Vec<u8>, name: &str, values: &[String]) {
    if !values.is_empty() {
        let mut array = Vec::new();
        for value in values {
            element(&mut array, value.as_bytes());
        }
        key_value(out, tag(1), name.as_bytes(), ARRAY, &array);
    }
}

/// Appends an attribute of a Resource whose value is true.
pub(super) fn resource_true(out: &mut Vec<u8>, name: &str) {
    out.push(tag(1));
    varint(out, (bytes_len(name.len()) + 4) as u64);
    bytes(out, KEY, name.as_bytes());
    out.extend_from_slice(&[VALUE, 2, BOOL, 1]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_have_the_length_they_say() {
        for shift in 0..64 {
            for value in [(1u64 << shift) - 1, 1 << shift, u64::MAX >> shift] {
                let mut out = Vec::new();
                varint(&mut out, value);
                assert_eq!(out.len(), varint_len(value), "{value}");
            }
        }
    }

    #[test]
    fn messages_of_every_length_are_closed_in_the_shortest_form() {
        for len in [0, 1, 127, 128, 16383, 16384, 70_000] {
            let body = vec![7; len];
            let (mut opened, mut expected) = (vec![1, 2], vec![1, 2]);
            let start = open(&mut opened, 0x12);
            opened.extend_from_slice(&body);
            close(&mut opened, start);
            bytes(&mut expected, 0x12, &body);
            assert_eq!(opened, expected, "{len}");
        }
    }
}
