//! Names of containers, images and programs that a rule or a policy takes, or leaves out.

use globset::{Candidate, GlobBuilder, GlobSet, GlobSetBuilder};

/// Globs, of which those behind a `!` leave out.
#[derive(Clone, Debug, Default)]
pub struct Globs {
    taken: GlobSet,
    left_out: GlobSet,
}

/// What `*` stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Star {
    /// Any text without a slash: for paths.
    Name,
    /// Any text: for names of images.
    Text,
}

/// Why a glob cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Invalid {
    /// There is nothing.
    #[error("it is empty: leave it out to take everything")]
    Empty,
    /// It is longer than what it is to match.
    #[error("it has {0} bytes: {LENGTH_MAX} are the most")]
    Long(usize),
    /// Alternatives would multiply.
    #[error("it has a brace: write each alternative as a glob of its own")]
    Brace,
    /// It is not a glob.
    #[error("it is not a glob: {0}")]
    Glob(#[from] globset::Error),
}

/// `PATH_MAX` (include/uapi/linux/limits.h); an image's reference is shorter.
const LENGTH_MAX: usize = 4096;

impl Globs {
    /// Understands globs; with what is wrong comes the number of the glob, from 0.
    ///
    /// # Errors
    /// [`Invalid`]
    pub fn parse<'a>(globs: impl IntoIterator<Item = &'a str>, star: Star) -> Result<Self, (usize, Invalid)> {
        let (mut taken, mut left_out) = (GlobSetBuilder::new(), GlobSetBuilder::new());
        let mut last = 0;
        for (number, text) in globs.into_iter().enumerate() {
            let (text, set) = match text.strip_prefix('!') {
                Some(rest) => (rest, &mut left_out),
                None => (text, &mut taken),
            };
            set.add(glob(text, star).map_err(|error| (number, error))?);
            last = number;
        }
        let build = |set: GlobSetBuilder| set.build().map_err(|error| (last, error.into()));
        Ok(Self { taken: build(taken)?, left_out: build(left_out)? })
    }

    /// Whether there is no glob: all names are taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.taken.is_empty() && self.left_out.is_empty()
    }

    /// Whether a name is taken: by one of the globs, or where none takes by all of them, and left out by none. Allocates
    /// nothing.
    #[must_use]
    pub fn matches(&self, name: &[u8]) -> bool {
        let name = Candidate::from_bytes(name);
        let is_in = |set: &GlobSet| set.is_match_candidate(&name);
        (self.taken.is_empty() || is_in(&self.taken)) && (self.left_out.is_empty() || !is_in(&self.left_out))
    }
}

fn glob(text: &str, star: Star) -> Result<globset::Glob, Invalid> {
    match text {
        "" => Err(Invalid::Empty),
        _ if text.len() > LENGTH_MAX => Err(Invalid::Long(text.len())),
        _ if text.contains(['{', '}']) => Err(Invalid::Brace),
        _ => Ok(GlobBuilder::new(text).literal_separator(star == Star::Name).backslash_escape(true).build()?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches() {
        let check = |globs: &[&str], star, yes: &[&str], no: &[&str]| {
            let set = Globs::parse(globs.iter().copied(), star).expect("globs");
            for (names, expected) in [(yes, true), (no, false)] {
                for name in names {
                    assert_eq!(set.matches(name.as_bytes()), expected, "{globs:?} {name}");
                }
            }
        };
        check(&[], Star::Text, &["web", ""], &[]);
        check(&["web*", "db"], Star::Text, &["web", "web-1", "db"], &["my-web", "db-1", ""]);
        check(&["!web*"], Star::Text, &["db", ""], &["web", "web-1"]);
        check(&["web*", "!web-1"], Star::Text, &["web", "web-2"], &["web-1", "db"]);
        check(&["*/nginx:*"], Star::Text, &["docker.io/library/nginx:1.29"], &["nginx"]);
        check(&["/usr/bin/*"], Star::Name, &["/usr/bin/cat"], &["/usr/bin/x/cat", "/bin/cat"]);
        check(&["!/usr/**"], Star::Name, &["/bin/cat"], &["/usr/bin/cat", "/usr/x"]);
    }

    #[test]
    fn says_which_is_wrong() {
        let check = |globs: &[&str], number, expected: &str| {
            let (at, error) = Globs::parse(globs.iter().copied(), Star::Text).expect_err("globs");
            assert!(at == number && error.to_string().contains(expected), "{globs:?}: {at} {error}");
        };
        check(&["a", ""], 1, "empty");
        check(&["!"], 0, "empty");
        check(&["a", "b", "{c,d}"], 2, "brace");
        check(&["[a"], 0, "not a glob");
        check(&[&"a".repeat(4097)], 0, "4097");
    }
}
