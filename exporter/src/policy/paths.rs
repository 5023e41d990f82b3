//! Many path patterns as one set: what a path costs does not grow with their number.

use std::collections::HashSet;

use foldhash::fast::FixedState;
use globset::{Candidate, GlobSet, GlobSetBuilder};

use super::filter::Anchor;
use super::pattern::{self, Invalid, Pattern};

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
    /// What the kernel can tell of each.
    anchors: HashSet<Anchor, FixedState>,
}

/// What a pattern looks like; what a path costs goes by this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `/etc/shadow`: one look-up for all of them.
    Exact,
    /// `/etc/*`: one look-up for all of them.
    Children,
    /// `**/id_rsa`: one look-up for all of them.
    Name,
    /// `/etc/**`: one look-up per folder of the path for all of them.
    Below,
    /// `**/*.pem`: one comparison each.
    Suffix,
    /// Any other: one automaton for all of them, which reads the whole path.
    Glob,
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
            let pattern = Pattern::parse(text).map_err(|error| (number, error))?;
            this.anchors.insert(pattern::anchor(text));
            match pattern {
                Pattern::Exact(path) => drop(this.exact.insert(path)),
                Pattern::Children(folder) => drop(this.children.insert(folder)),
                Pattern::Below(folder) => drop(this.below.insert(folder)),
                Pattern::Name(name) => drop(this.names.insert(name)),
                Pattern::Suffix(suffix) => this.suffixes.push(suffix),
                Pattern::Glob(glob) => drop(globs.add(glob)),
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

    /// Whether one of the patterns stands for a path; for none that is unknown (empty). Allocates nothing.
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

    /// How many patterns there are of each shape, from what is cheapest to ask to what is dearest.
    #[must_use]
    pub fn shapes(&self) -> [(Shape, usize); 6] {
        [
            (Shape::Exact, self.exact.len()),
            (Shape::Children, self.children.len()),
            (Shape::Name, self.names.len()),
            (Shape::Below, self.below.len()),
            (Shape::Suffix, self.suffixes.len()),
            (Shape::Glob, self.globs.len()),
        ]
    }

    /// Patterns that are whole paths.
    pub fn exact(&self) -> impl Iterator<Item = &[u8]> {
        self.exact.iter().map(Vec::as_slice)
    }

    /// What the kernel can tell of the patterns: a path that one stands for has one of these.
    pub fn anchors(&self) -> impl Iterator<Item = &Anchor> {
        self.anchors.iter()
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

/// A path's folder with its last slash, and its name.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    path.split_at(path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1))
}

#[cfg(test)]
pub(super) mod tests {
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

    #[test]
    fn matches() {
        let check = |pattern: &str, yes: &[&str], no: &[&str]| {
            let set = Paths::parse([pattern]).expect(pattern);
            for (paths, expected) in [(yes, true), (no, false)] {
                for path in paths {
                    assert_eq!(set.matches(path.as_bytes()), expected, "{pattern} {path}");
                }
            }
        };
        check("/etc/shadow", &["/etc/shadow"], &["/etc/shadow2", "/etc/shadow/x", "/x/etc/shadow", ""]);
        check("/etc/*", &["/etc/a", "/etc/.a"], &["/etc", "/etc/a/b", "/etcetera", ""]);
        check("/*", &["/a"], &["/a/b", "a"]);
        check("/etc/**", &["/etc/a", "/etc/a/b"], &["/etc", "/etcetera", "/x/etc/a"]);
        check("**", &["/a", "/a/b"], &["", "a"]);
        check("**/id_rsa", &["/id_rsa", "/a/b/id_rsa"], &["/my_id_rsa", "/id_rsa/x", "/id_rsa.pub"]);
        check("**/*.pem", &["/a.pem", "/a/b.pem", "/.pem"], &["/a.pem/x", "/pem", "/a.pem2"]);
        check("/home/*/.ssh/**", &["/home/a/.ssh/x", "/home/a/.ssh/x/y"], &["/home/.ssh/x", "/home/a/b/.ssh/x"]);
        check("/etc/*.conf", &["/etc/a.conf"], &["/etc/a/b.conf", "/etc/conf"]);
        check("/etc/\\{a", &["/etc/{a"], &["/etc/a"]);
        check("/etc/[ab]?", &["/etc/ax"], &["/etc/a", "/etc/cx", "/etc/a/"]);
        assert!(Paths::parse(["**/*"]).expect("a glob").matches(b"/a/\xff"));
        assert!(Paths::parse(["/a/?"]).expect("a glob").matches(b"/a/\xff"));
    }

    /// Patterns and paths of few letters, so that they often meet.
    fn name() -> impl Strategy<Value = String> {
        prop_oneof!["[ab]{1,2}", "[ab]\\.c", Just("*".to_owned()), Just("*.c".to_owned()), Just("a?".to_owned())]
    }

    pub(in super::super) fn pattern() -> impl Strategy<Value = String> {
        let names = prop::collection::vec(prop_oneof![4 => name(), 1 => Just("**".to_owned())], 1..4);
        (prop_oneof![Just(""), Just("**")], names).prop_map(|(start, names)| format!("{start}/{}", names.join("/")))
    }

    pub(in super::super) fn path() -> impl Strategy<Value = String> {
        let name = prop_oneof!["[ab]{1,2}", "[ab]\\.c"];
        prop::collection::vec(name, 1..5).prop_map(|names| format!("/{}", names.join("/")))
    }

    /// As a reader of the documentation would do it: name by name.
    pub(in super::super) fn agrees(pattern: &[&str], path: &[&str]) -> bool {
        match (pattern, path) {
            ([], []) => true,
            (["**"], rest) => !rest.is_empty(),
            (["**", more @ ..], rest) => (0..=rest.len()).any(|skipped| agrees(more, &rest[skipped..])),
            ([first, more @ ..], [name, rest @ ..]) => is_name(first.as_bytes(), name.as_bytes()) && agrees(more, rest),
            _ => false,
        }
    }

    pub(in super::super) fn is_name(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern, name) {
            ([], []) => true,
            ([b'*', more @ ..], rest) => (0..=rest.len()).any(|skipped| is_name(more, &rest[skipped..])),
            ([b'?', more @ ..], [_, rest @ ..]) => is_name(more, rest),
            ([byte, more @ ..], [other, rest @ ..]) => byte == other && is_name(more, rest),
            _ => false,
        }
    }

    pub(in super::super) fn names(text: &str) -> Vec<&str> {
        text.strip_prefix('/').unwrap_or(text).split('/').collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn a_set_and_a_reader_agree(patterns in prop::collection::vec(pattern(), 1..5), path in path()) {
            let set = Paths::parse(patterns.iter().map(String::as_str)).expect("patterns");
            let expected = patterns.iter().any(|pattern| agrees(&names(pattern), &names(&path)));
            prop_assert_eq!(set.matches(path.as_bytes()), expected, "{:?} {}", patterns, path);
        }
    }
}
