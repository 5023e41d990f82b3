//! File and process names made fit for a terminal: a name is whatever another process chose.

use std::fmt::{self, Write as _};
use std::io::{self, Write};

use serde_json::ser::Formatter;

/// Shows bytes as text in which nothing but printable characters stands.
///
/// Control and formatting characters (also those that change the writing direction) become `\u{1b}`, invalid UTF-8
/// `\xff`, and a backslash `\\`, so that the text is unambiguous.
pub(crate) struct Printable<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                if is_printable(character) && character != '\\' {
                    f.write_char(character)?;
                } else {
                    write!(f, "{}", character.escape_debug())?;
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

/// Writes JSON whose strings hold nothing but printable characters; to a reader of JSON it is the same.
pub(crate) struct Escape;

impl Formatter for Escape {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, character)) = rest.char_indices().find(|(_, character)| !is_printable(*character)) {
            out.write_all(&rest.as_bytes()[..at])?;
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
            rest = &rest[at + character.len_utf8()..];
        }
        out.write_all(rest.as_bytes())
    }
}

/// What Rust shows without an escape; it escapes quotes only because it would quote them.
fn is_printable(character: char) -> bool {
    matches!(character, '\'' | '"' | '\\') || character.escape_debug().len() == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        let check = |bytes: &[u8], expected| assert_eq!(Printable(bytes).to_string(), expected);
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

    fn json(text: &str) -> String {
        use serde::Serialize;
        let mut out = Vec::new();
        text.serialize(&mut serde_json::Serializer::with_formatter(&mut out, Escape)).expect("serialize");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn json_escapes() {
        let check = |text, expected| assert_eq!(json(text), expected);
        check("/home/zo\u{eb}/'x' \"y\" \\", "\"/home/zo\u{eb}/'x' \\\"y\\\" \\\\\"");
        check("\u{1b}[2J\u{9b}31m\n\u{7f}", r#""\u001b[2J\u009b31m\n\u007f""#);
        check("\u{202e}x\u{e0041}", r#""\u202ex\udb40\udc41""#);
    }

    proptest::proptest! {
        #[test]
        fn json_reads_the_same(text: String) {
            let written = json(&text);
            proptest::prop_assert!(!written.chars().any(char::is_control), "{written:?}");
            proptest::prop_assert_eq!(serde_json::from_str::<String>(&written).expect("JSON"), text);
        }


        #[test]
        fn nothing_unprintable_is_left(bytes: Vec<u8>) {
            let text = Printable(&bytes).to_string();
            proptest::prop_assert!(!text.chars().any(char::is_control), "{text:?}");
        }
    }
}
