//! One rule: which accesses of its policy's containers it is about, and what they are to it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::globs::Globs;
use super::paths::Paths;
use crate::event::{Operation, Outcome};
#[cfg(doc)]
use crate::otlp::attribute;

/// A rule, ready to be asked.
#[derive(Clone, Debug, Default)]
pub struct Rule {
    /// Its name, unique in its policy.
    pub name: String,
    /// Files that it is about.
    pub paths: Paths,
    /// Files that it is not about, whatever [`Self::paths`] says.
    pub except: Paths,
    /// What is done to them.
    pub operations: Operations,
    /// How that ends.
    pub result: Results,
    /// Programs that do it, by their paths.
    pub executables: Globs,
    /// Users that do it; empty: all.
    pub users: Vec<u32>,
    /// How bad it is.
    pub severity: Severity,
    /// What it is.
    pub action: Action,
    /// What its events say besides: names of attributes ([`attribute::POLICY_LABEL`] and a key), in order, and values.
    pub labels: Box<[(String, String)]>,
}

/// What a rule is asked about. Paths are as [`crate::event::Access`] has them.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// Path of the file; empty where unknown.
    pub path: &'a [u8],
    /// Second path of a rename or a link; else empty.
    pub target: &'a [u8],
    /// What was asked for, where it names a file by itself ([`name`]); else empty.
    pub requested: &'a [u8],
    /// Paths by which rules name the very file, whatever it was accessed as.
    pub also: &'a [Box<[u8]>],
    /// What was done.
    pub operation: Operation,
    /// How it ended.
    pub outcome: Outcome,
    /// The program that did it; empty where unknown.
    pub executable: &'a [u8],
    /// The user that did it.
    pub user: u32,
}

/// A set of operations; the empty one stands for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Operations(u32);

/// Which results a rule is about.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Results {
    /// All of them.
    #[default]
    Any,
    /// What was allowed, or may have been: some backends do not see the result.
    Allowed,
    /// What was seen to fail.
    Denied,
}

/// How bad an access is.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth a record.
    #[default]
    Low,
    /// Worth a look.
    Medium,
    /// Worth a call.
    High,
    /// Worth being woken for.
    Critical,
}

/// What an access is.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Something that is kept.
    #[default]
    Record,
    /// Something that must not happen.
    Violation,
}

impl Attempt<'_> {
    /// Whether nothing names the file: rules cannot say anything of it.
    #[must_use]
    pub fn is_nameless(&self) -> bool {
        self.path.is_empty() && self.requested.is_empty() && self.target.is_empty()
    }
}

/// A path that was asked for; empty where it does not name a file by itself: it starts in a folder that is not known here, or
/// goes up again, by way of a link perhaps.
#[must_use]
pub fn name(requested: &[u8]) -> &[u8] {
    let mut names = requested.split(|byte| *byte == b'/');
    let is_absolute = names.next().is_some_and(<[u8]>::is_empty);
    let is_name = is_absolute && names.all(|name| !matches!(name, b"" | b"." | b".."));
    if is_name { requested } else { b"" }
}

impl FromIterator<Operation> for Operations {
    fn from_iter<I: IntoIterator<Item = Operation>>(operations: I) -> Self {
        Self(operations.into_iter().fold(0, |bits, operation| bits | operation.bit()))
    }
}

impl Operations {
    /// Whether every operation is in the set.
    #[must_use]
    pub const fn is_all(self) -> bool {
        self.0 == 0
    }

    /// Whether an operation is in the set.
    #[must_use]
    pub const fn contains(self, operation: Operation) -> bool {
        self.0 == 0 || self.0 & operation.bit() != 0
    }

    /// Bits of [`inotrail_ebpf::filter::operation()`].
    #[must_use]
    pub const fn bits(self) -> u32 {
        if self.0 == 0 { u32::MAX } else { self.0 }
    }
}

impl Results {
    const fn is(self, outcome: Outcome) -> bool {
        match self {
            Self::Any => true,
            Self::Allowed => !matches!(outcome, Outcome::Failure(_)),
            Self::Denied => matches!(outcome, Outcome::Failure(_)),
        }
    }
}

impl Rule {
    /// Whether the rule is about an attempt. Allocates nothing.
    #[must_use]
    pub fn matches(&self, attempt: &Attempt<'_>) -> bool {
        self.operations.contains(attempt.operation)
            && self.result.is(attempt.outcome)
            && (self.users.is_empty() || self.users.contains(&attempt.user))
            && self.is_about(attempt)
            && self.executables.matches(attempt.executable)
    }

    /// A file has each of its names: what was asked for counts too, as a symbolic link's name does, or a file's in a
    /// config map, where the path is that of one of its versions, and that of a hard link or a second mount. What is left out by one name is left out by the others.
    fn is_about(&self, attempt: &Attempt<'_>) -> bool {
        let names = [attempt.path, attempt.requested, attempt.target];
        let names = || names.into_iter().chain(attempt.also.iter().map(AsRef::as_ref));
        names().any(|name| self.paths.matches(name)) && !names().any(|name| self.except.matches(name))
    }
}

#[cfg(test)]
mod tests {
    use super::super::globs::Star;
    use super::*;

    const PASSWD: Attempt<'_> = Attempt {
        path: b"/etc/passwd",
        target: b"",
        requested: b"",
        also: &[],
        operation: Operation::Open,
        outcome: Outcome::Success,
        executable: b"/usr/bin/cat",
        user: 1000,
    };

    fn paths(patterns: &[&str]) -> Paths {
        Paths::parse(patterns.iter().copied()).expect("patterns")
    }

    fn etc() -> Rule {
        Rule { paths: paths(&["/etc/**"]), ..Rule::default() }
    }

    #[track_caller]
    fn check(rule: &Rule, attempt: &Attempt<'_>, expected: bool) {
        assert_eq!(rule.matches(attempt), expected, "{rule:?} {attempt:?}");
    }

    #[test]
    fn files() {
        check(&etc(), &PASSWD, true);
        check(&etc(), &Attempt { path: b"/usr/etc/x", ..PASSWD }, false);
        check(&Rule::default(), &PASSWD, false);
        let but = Rule { except: paths(&["**/passwd"]), ..etc() };
        check(&but, &PASSWD, false);
        check(&but, &Attempt { path: b"/etc/shadow", ..PASSWD }, true);
    }

    #[test]
    fn every_name_of_a_file() {
        let version = Attempt { path: b"/config/..2026/key", requested: b"/config/key", ..PASSWD };
        check(&Rule { paths: paths(&["/config/key"]), ..Rule::default() }, &version, true);
        check(
            &Rule { paths: paths(&["/config/**"]), except: paths(&["/config/key"]), ..Rule::default() },
            &version,
            false,
        );
        let also = [Box::from(*b"/etc/passwd")];
        let linked = Attempt { path: b"/tmp/link", also: &also, ..PASSWD };
        check(&etc(), &linked, true);
        check(&Rule { except: paths(&["/tmp/*"]), ..etc() }, &linked, false);
        let renamed = Attempt { path: b"/tmp/x", target: b"/etc/passwd", operation: Operation::Rename, ..PASSWD };
        check(&etc(), &renamed, true);
    }

    #[test]
    fn names_that_were_asked_for() {
        let check = |requested: &str, expected: bool| {
            let found = name(requested.as_bytes());
            assert_eq!(found, if expected { requested.as_bytes() } else { b"" }, "{requested}");
        };
        check("/etc/passwd", true);
        check("/etc/.ssh/..data", true);
        for other in ["", "etc/passwd", "/", "/etc/", "/etc//passwd", "/srv/../etc/passwd", "/etc/./passwd", "/etc/.."]
        {
            check(other, false);
        }
    }

    #[test]
    fn operations() {
        let writes = Rule { operations: [Operation::Create, Operation::Rename].into_iter().collect(), ..etc() };
        check(&writes, &PASSWD, false);
        check(&writes, &Attempt { operation: Operation::Create, ..PASSWD }, true);
        check(&etc(), &Attempt { operation: Operation::MmapExecute, ..PASSWD }, true);
    }

    #[test]
    fn results() {
        let check =
            |result, outcome, expected| check(&Rule { result, ..etc() }, &Attempt { outcome, ..PASSWD }, expected);
        let all = [Outcome::Success, Outcome::Failure(13), Outcome::Unknown];
        for (wanted, expected) in [
            (Results::Any, [true, true, true]),
            (Results::Allowed, [true, false, true]),
            (Results::Denied, [false, true, false]),
        ] {
            for (outcome, expected) in all.into_iter().zip(expected) {
                check(wanted, outcome, expected);
            }
        }
    }

    #[test]
    fn users_and_programs() {
        let root = Rule { users: vec![0, 7], ..etc() };
        check(&root, &PASSWD, false);
        check(&root, &Attempt { user: 7, ..PASSWD }, true);
        let foreign = Rule { executables: Globs::parse(["!/usr/bin/*"], Star::Name).expect("globs"), ..etc() };
        check(&foreign, &PASSWD, false);
        check(&foreign, &Attempt { executable: b"/tmp/cat", ..PASSWD }, true);
        // Whoever it is, it is not known to be one of those.
        check(&foreign, &Attempt { executable: b"", ..PASSWD }, true);
    }
}
