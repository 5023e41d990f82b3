//! File names are bytes; OTLP's strings are UTF-8.

/// Appends the bytes as UTF-8: what is not UTF-8 as `\xNN` (lower case) and each backslash as `\\`.
///
/// The text alone does not tell whether it was escaped: whoever shows it says so beside it.
pub(super) fn push(out: &mut Vec<u8>, raw: &[u8]) {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn escaped(raw: &[u8]) -> String {
        let mut out = Vec::new();
        push(&mut out, raw);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn invalid_bytes_are_numbered_and_backslashes_doubled() {
        let check = |raw: &[u8], expected| assert_eq!(escaped(raw), expected);
        check(b"", "");
        check("/tmp/größe".as_bytes(), "/tmp/größe");
        check(b"/tmp/\\xff\xff\\a", r"/tmp/\\xff\xff\\a");
        check(b"\xe2\x82", r"\xe2\x82");
        check(b"\\\xf0\x9f\x98", r"\\\xf0\x9f\x98");
    }

    /// What a reader does to get the bytes back.
    fn undo(text: &str) -> Vec<u8> {
        let mut bytes = text.bytes();
        let mut raw = Vec::new();
        while let Some(byte) = bytes.next() {
            if byte != b'\\' {
                raw.push(byte);
                continue;
            }
            match bytes.next() {
                Some(b'x') => {
                    let digits: String = bytes.by_ref().take(2).map(char::from).collect();
                    raw.push(u8::from_str_radix(&digits, 16).unwrap());
                }
                other => raw.push(other.unwrap()),
            }
        }
        raw
    }

    proptest! {
        #[test]
        fn the_original_can_be_had_back(raw: Vec<u8>) {
            prop_assert_eq!(undo(&escaped(&raw)), raw);
        }
    }
}
