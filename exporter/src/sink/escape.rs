//! File and process names made fit for a terminal: a name is whatever another process chose.

use std::fmt::{self, Write as _};

/// Shows bytes as text in which nothing but printable characters stands.
///
/// Control and formatting characters (also those that change the writing direction) become `\u{1b}`, invalid UTF-8
/// `\xff`, and a backslash `\\`, so that the text is unambiguous.
pub(crate) struct Escaped<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                match character {
                    // Quotes need no escape here: nothing is quoted.
                    '\'' | '"' => f.write_char(character)?,
                    _ => write!(f, "{}", character.escape_debug())?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        let check = |bytes: &[u8], expected| assert_eq!(Escaped(bytes).to_string(), expected);
        check(b"/etc/passwd", "/etc/passwd");
        check("/home/zo\u{eb}/\u{4f60}\u{597d} 'x' \"y\"".as_bytes(), "/home/zo\u{eb}/\u{4f60}\u{597d} 'x' \"y\"");
        check(b"/tmp/\x1b[2Jx\n\r\t\x07\0\x7f", "/tmp/\\u{1b}[2Jx\\n\\r\\t\\u{7}\\0\\u{7f}");
        check(b"/tmp/\xc2\x9b31m", "/tmp/\\u{9b}31m");
        check(b"/tmp/\x9b\xff\xe2\x82", "/tmp/\\x9b\\xff\\xe2\\x82");
        check(
            "/tmp/\u{202e}gpj.exe\u{200b}\u{2066}\u{2028}\u{feff}".as_bytes(),
            "/tmp/\\u{202e}gpj.exe\\u{200b}\\u{2066}\\u{2028}\\u{feff}",
        );
        check(br"/tmp/\x1b", r"/tmp/\\x1b");
        check(b"", "");
    }

    proptest::proptest! {
        #[test]
        fn nothing_unprintable_is_left(bytes: Vec<u8>) {
            let text = Escaped(&bytes).to_string();
            proptest::prop_assert!(!text.chars().any(char::is_control), "{text:?}");
        }
    }
}
