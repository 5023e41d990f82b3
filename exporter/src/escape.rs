//! File names are bytes; OTLP strings, JSON and terminals want UTF-8.

use std::borrow::Cow;

/// The bytes as text from which they can be had back: valid UTF-8 as it is, anything else as [`push`] writes it.
#[must_use]
pub fn text(raw: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = str::from_utf8(raw) {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(raw.len() + 16);
    push(&mut out, raw);
    Cow::Owned(String::from_utf8(out).unwrap_or_default())
}

/// Appends the bytes as UTF-8: what is not UTF-8 as `\xNN` (lower case) and each backslash as `\\`.
///
/// The text alone does not tell whether it was escaped: whoever shows it says so beside it.
pub fn push(out: &mut Vec<u8>, raw: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for chunk in raw.utf8_chunks() {
        for piece in chunk.valid().as_bytes().split_inclusive(|byte| *byte == b'\\') {
            out.extend_from_slice(piece);
            if piece.ends_with(b"\\") {
                out.push(b'\\');
            }
        }
        for byte in chunk.invalid() {
            out.extend_from_slice(&[b'\\', b'x', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
}

/// The bytes that [`push`] was given. What it never writes stays as it is.
#[must_use]
pub fn undo(text: &str) -> Vec<u8> {
    let mut raw = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, more @ ..] = rest {
        (rest, raw) = match (byte, more) {
            (b'\\', [b'\\', after @ ..]) => (after, with(raw, b'\\')),
            (b'\\', [b'x', high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (after, with(raw, digit(*high) << 4 | digit(*low)))
            }
            _ => (more, with(raw, *byte)),
        };
    }
    raw
}

fn with(mut raw: Vec<u8>, byte: u8) -> Vec<u8> {
    raw.push(byte);
    raw
}

fn digit(hex: u8) -> u8 {
    char::from(hex).to_digit(16).unwrap_or_default() as u8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(raw: &[u8], expected: &str) {
        assert_eq!(text(raw), expected);
    }

    #[test]
    fn valid_text_is_left_alone() {
        check(b"", "");
        check("/tmp/größe\\x41\n".as_bytes(), "/tmp/größe\\x41\n");
    }

    #[test]
    fn invalid_bytes_are_numbered_and_backslashes_doubled() {
        check(b"/tmp/\xff\\a", r"/tmp/\xff\\a");
        check(b"\xe2\x82", r"\xe2\x82");
        check(b"\\\xf0\x9f\x98", r"\\\xf0\x9f\x98");
    }

    #[test]
    fn what_was_never_written_stays() {
        for text in [r"\", r"a\b", r"\x4", r"\xzz"] {
            assert_eq!(undo(text), text.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn the_original_can_be_had_back(raw: Vec<u8>) {
            let mut out = Vec::new();
            push(&mut out, &raw);
            prop_assert_eq!(undo(str::from_utf8(&out).unwrap()), raw);
        }
    }
}
