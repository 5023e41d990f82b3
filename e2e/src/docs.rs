//! Sections of documents that a command writes.

use anyhow::{Context as _, Result};

/// The text with another section between the comments of `command`, which writes it.
///
/// # Errors
/// The comments are not there.
pub fn replaced(text: &str, command: &str, section: &str) -> Result<String> {
    let [start, end] = comments(command);
    let (before, _, after) = between(text, command).with_context(|| format!("a comment is missing: {start}"))?;
    Ok([before, &start, section, &end, after].concat())
}

/// What lies before, between and behind the two comments.
#[must_use]
pub fn between<'a>(text: &'a str, command: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let [start, end] = comments(command);
    let (before, rest) = text.split_once(&start)?;
    let (section, after) = rest.split_once(&end)?;
    Some((before, section, after))
}

fn comments(command: &str) -> [String; 2] {
    [format!("<!-- written by `{command}` -->\n"), format!("<!-- end of what `{command}` writes -->\n")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_replaces_another() {
        let [start, end] = comments("make x");
        let text = replaced(&format!("a\n{start}former\n{end}b\n"), "make x", "new\n").unwrap();
        assert_eq!(text, format!("a\n{start}new\n{end}b\n"));
        assert!(replaced(&text, "make y", "new\n").is_err());
    }
}
