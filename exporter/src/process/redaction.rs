//! Secrets in argument lists, taken out before anything is kept. What counts as one is in the README.

use globset::{Candidate, Glob, GlobBuilder, GlobSet, GlobSetBuilder};

mod shapes;

/// Whose values are secrets: globs for names without dashes in front, in any case.
pub const NAMES: [&str; 13] = [
    "*password*",
    "*passwd*",
    "*passphrase*",
    "pass",
    "*_pass",
    "*secret*",
    "*token*",
    "*api*key*",
    "*access*key*",
    "*private*key*",
    "*credential*",
    "*authorization*",
    "*cookie*",
];
/// Options whose value is `NAME:SECRET`, as curl's.
pub const USER_OPTIONS: [&str; 3] = ["-u", "--user", "--proxy-user"];
/// What stands where a secret was.
const MASK: &[u8] = b"***";

/// Which values are secrets.
#[derive(Clone, Debug)]
pub struct Redaction {
    names: GlobSet,
}

/// What the argument behind one is.
enum Next {
    Plain,
    Secret,
    /// `NAME:SECRET`.
    User,
}

/// A name whose value is a secret.
enum Named {
    /// `NAME=VALUE` or `NAME: VALUE`: where in the word the value starts, and whether the word starts with the name.
    Here { value: usize, at_start: bool },
    /// `--NAME`: the value is what follows.
    Option,
}

/// A glob for names, as [`Redaction::new`] takes it.
///
/// # Errors
/// Not a glob.
pub fn pattern(text: &str) -> Result<Glob, String> {
    GlobBuilder::new(text).case_insensitive(true).build().map_err(|error| error.kind().to_string())
}

impl Redaction {
    /// The values of [`NAMES`], and those of further names.
    ///
    /// # Errors
    /// The globs together are too large to compile.
    pub fn new(more: &[Glob]) -> Result<Self, globset::Error> {
        let mut names = GlobSetBuilder::new();
        for name in NAMES {
            names.add(GlobBuilder::new(name).case_insensitive(true).build()?);
        }
        for glob in more {
            names.add(glob.clone());
        }
        Ok(Self { names: names.build()? })
    }

    /// A list of arguments, each ended by NUL but perhaps the last, without its secrets.
    pub(super) fn apply(&self, list: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(list.len());
        let mut next = Next::Plain;
        for piece in list.split_inclusive(|byte| *byte == 0) {
            let argument = piece.strip_suffix(&[0]).unwrap_or(piece);
            next = match next {
                Next::Secret => {
                    mask(argument, &mut out);
                    // Or else it was an option without a value.
                    if matches!(self.named(argument), Some(Named::Option)) { Next::Secret } else { Next::Plain }
                }
                Next::User if !argument.starts_with(b"-") => {
                    user(argument, &mut out);
                    Next::Plain
                }
                Next::User | Next::Plain => self.argument(argument, &mut out),
            };
            out.extend_from_slice(&piece[argument.len()..]);
        }
        out
    }

    /// One argument, word by word: a shell's script is one too.
    fn argument(&self, argument: &[u8], out: &mut Vec<u8>) -> Next {
        if USER_OPTIONS.iter().any(|option| option.as_bytes() == argument) {
            return copied(argument, Next::User, out);
        }
        let mut at = 0;
        while at < argument.len() {
            let word = word(&argument[at..]);
            let end = at + word.len();
            let hidden = match self.named(word) {
                Some(Named::Option) if word.len() == argument.len() => return copied(argument, Next::Secret, out),
                Some(Named::Option) => Some((end, value_end(argument, end))),
                // The value may hold spaces: it is all the rest.
                Some(Named::Here { value, at_start: true }) if at == 0 => Some((value, argument.len())),
                Some(Named::Here { value, .. }) => Some((at + value, quoted_end(argument, at, at + value))),
                None if is_scheme(word) => Some((end, value_end(argument, end))),
                None => None,
            };
            let (start, until) = hidden.unwrap_or((end, end));
            let start = start + argument[start..until].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            if hidden.is_some() {
                out.extend_from_slice(&argument[at..start]);
                mask(&argument[start..until], out);
            } else {
                shapes::push(word, out);
            }
            let space = argument[until..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            out.extend_from_slice(&argument[until..until + space]);
            at = until + space;
        }
        Next::Plain
    }

    /// The first name in a word whose value is a secret.
    fn named(&self, word: &[u8]) -> Option<Named> {
        for (at, _) in word.iter().enumerate().filter(|(_, byte)| matches!(byte, b'=' | b':')) {
            let start = word[..at].iter().rposition(|byte| !is_of_a_name(*byte)).map_or(0, |before| before + 1);
            if self.is_secret(&word[start..at]) {
                return Some(Named::Here { value: at + 1, at_start: start == 0 });
            }
        }
        (word.starts_with(b"-") && self.is_secret(word)).then_some(Named::Option)
    }

    fn is_secret(&self, name: &[u8]) -> bool {
        let dashes = name.iter().take_while(|byte| **byte == b'-').count();
        self.names.is_match_candidate(&Candidate::from_bytes(&name[dashes..]))
    }
}

fn copied(argument: &[u8], next: Next, out: &mut Vec<u8>) -> Next {
    out.extend_from_slice(argument);
    next
}

fn mask(value: &[u8], out: &mut Vec<u8>) {
    if !value.is_empty() {
        out.extend_from_slice(MASK);
    }
}

fn user(argument: &[u8], out: &mut Vec<u8>) {
    let name = argument.iter().position(|byte| matches!(byte, b':' | b'=')).map_or(argument.len(), |at| at + 1);
    let (name, secret) = argument.split_at(name);
    out.extend_from_slice(name);
    mask(secret, out);
}

fn is_of_a_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

/// `Bearer`, in a header that was put together by a shell's script.
fn is_scheme(word: &[u8]) -> bool {
    let start = word.iter().position(|byte| is_of_a_name(*byte)).unwrap_or(word.len());
    word[start..].eq_ignore_ascii_case(b"bearer")
}

/// Up to the next white space.
fn word(text: &[u8]) -> &[u8] {
    &text[..text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len())]
}

/// Where a value ends that starts behind white space: with its word, or with the quote that it starts with.
fn value_end(argument: &[u8], at: usize) -> usize {
    let start = at + argument[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    quoted_end(argument, start, start)
}

/// Where a value ends whose name is in the word at `at`: behind the quote that closes the value, at the one that
/// closes the word, else with the word, or the next one where the value is not in the same.
fn quoted_end(argument: &[u8], at: usize, value: usize) -> usize {
    let quote = |at: usize| argument.get(at).copied().filter(|byte| matches!(byte, b'"' | b'\'' | b'`'));
    let closing = |quote: u8, from: usize| {
        argument[from..].iter().position(|byte| *byte == quote).map_or(argument.len(), |length| from + length)
    };
    if let Some(quote) = quote(value) {
        return argument.len().min(closing(quote, value + 1) + 1);
    }
    if let Some(quote) = quote(at) {
        return closing(quote, value);
    }
    let end = value + word(&argument[value..]).len();
    let is_header = value > at && argument[value - 1] == b':';
    if end == value && is_header { value_end(argument, value) } else { end }
}

#[cfg(test)]
mod tests;
