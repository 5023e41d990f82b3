//! Many path patterns as one set: what a path costs does not grow with their number.

use std::collections::HashSet;

use foldhash::fast::FixedState;
use globset::{Candidate, GlobSet, GlobSetBuilder};

use super::pattern::{Invalid, Pattern, glob, split};

type Set = HashSet<Vec<u8>, FixedState>;

/// Path patterns, by shape.
#[derive(Clone, Debug, Default)]
pub struct Paths {
    exact: Set,
    children: Set,
    below: Set,
    names: Set,
    /// Sorted by nothing: there are few kinds of files.
    suffixes: Vec<Vec<u8>>,
    globs: GlobSet,
}

impl Paths {
    /// Understands patterns; with what is wrong comes the number of the pattern, from 0.
    ///
    /// # Errors
    /// [`Invalid`]
    pub fn parse<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, (usize, Invalid)> {
        let mut this = Self::default();
        let mut globs = GlobSetBuilder::new();
        let mut last = 0;
        for (number, text) in patterns.into_iter().enumerate() {
            let at = |error| (number, error);
            match Pattern::parse(text).map_err(at)? {
                Pattern::Exact(path) => drop(this.exact.insert(path)),
                Pattern::Children(folder) => drop(this.children.insert(folder)),
                Pattern::Below(folder) => drop(this.below.insert(folder)),
                Pattern::Name(name) => drop(this.names.insert(name)),
                Pattern::Suffix(suffix) => this.suffixes.push(suffix),
                Pattern::Glob(_) => drop(globs.add(glob(text).map_err(|error| at(error.into()))?)),
            }
            last = number;
        }
        this.globs = globs.build().map_err(|error| (last, error.into()))?;
        Ok(this)
    }

    /// Whether there is no pattern.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let sets = [&self.exact, &self.children, &self.below, &self.names];
        sets.iter().all(|set| set.is_empty()) && self.suffixes.is_empty() && self.globs.is_empty()
    }

    /// Whether one of the patterns stands for a path. Allocates nothing.
    #[must_use]
    pub fn matches(&self, path: &[u8]) -> bool {
        let (folder, name) = split(path);
        !path.is_empty()
            && (self.exact.contains(path)
                || self.children.contains(folder)
                || self.names.contains(name)
                || self.is_below(path)
                || self.suffixes.iter().any(|suffix| name.ends_with(suffix))
                || self.globs.is_match_candidate(&Candidate::from_bytes(path)))
    }

    fn is_below(&self, path: &[u8]) -> bool {
        if self.below.is_empty() {
            return false;
        }
        // The last byte may be a slash, which the folder before it does not need.
        let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(slash, _)| slash + 1);
        ends.filter(|end| *end < path.len()).any(|end| self.below.contains(&path[..end]))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn says_which_is_wrong() {
        let error = Paths::parse(["/a", "/b/*.c", "c"]).expect_err("relative");
        assert!(matches!(error, (2, Invalid::Relative)), "{error:?}");
        assert!(Paths::parse([]).expect("none").is_empty());
        assert!(!Paths::parse(["**/*"]).expect("one").is_empty());
        let many: Vec<_> = (0..10_000).map(|number| format!("/data/{number}/file")).collect();
        let many = Paths::parse(many.iter().map(String::as_str)).expect("many");
        assert!(many.matches(b"/data/9999/file") && !many.matches(b"/data/10000/file"));
    }

    /// Patterns and paths of few letters, so that they often meet.
    fn name() -> impl Strategy<Value = String> {
        prop_oneof!["[ab]{1,2}", "[ab]\\.c", Just("*".to_owned()), Just("*.c".to_owned()), Just("a?".to_owned())]
    }

    fn pattern() -> impl Strategy<Value = String> {
        let names = prop::collection::vec(prop_oneof![4 => name(), 1 => Just("**".to_owned())], 1..4);
        (prop_oneof![Just(""), Just("**")], names).prop_map(|(start, names)| format!("{start}/{}", names.join("/")))
    }

    fn path() -> impl Strategy<Value = String> {
        let name = prop_oneof!["[ab]{1,2}", "[ab]\\.c"];
        prop::collection::vec(name, 1..5).prop_map(|names| format!("/{}", names.join("/")))
    }

    /// As a reader of the documentation would do it: name by name.
    fn agrees(pattern: &[&str], path: &[&str]) -> bool {
        match (pattern, path) {
            ([], []) => true,
            (["**"], rest) => !rest.is_empty(),
            (["**", more @ ..], rest) => (0..=rest.len()).any(|skipped| agrees(more, &rest[skipped..])),
            ([first, more @ ..], [name, rest @ ..]) => is_name(first.as_bytes(), name.as_bytes()) && agrees(more, rest),
            _ => false,
        }
    }

    fn is_name(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern, name) {
            ([], []) => true,
            ([b'*', more @ ..], rest) => (0..=rest.len()).any(|skipped| is_name(more, &rest[skipped..])),
            ([b'?', more @ ..], [_, rest @ ..]) => is_name(more, rest),
            ([byte, more @ ..], [other, rest @ ..]) => byte == other && is_name(more, rest),
            _ => false,
        }
    }

    fn names(text: &str) -> Vec<&str> {
        text.strip_prefix('/').unwrap_or(text).split('/').collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn sets_and_single_patterns_and_readers_agree(patterns in prop::collection::vec(pattern(), 1..5), path in path()) {
            let set = Paths::parse(patterns.iter().map(String::as_str)).expect("patterns");
            let expected: Vec<_> = patterns.iter().map(|pattern| agrees(&names(pattern), &names(&path))).collect();
            for (pattern, expected) in patterns.iter().zip(&expected) {
                let single = Pattern::parse(pattern).expect("a pattern");
                prop_assert_eq!(single.matches(path.as_bytes()), *expected, "{} {}", pattern, path);
            }
            prop_assert_eq!(set.matches(path.as_bytes()), expected.contains(&true), "{:?} {}", patterns, path);
        }
    }
}
