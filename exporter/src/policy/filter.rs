//! What the kernel's programs are to record of a container: all that a rule may be about, told by what is done and by names.
//! Whether a rule is about it is decided in user space.

use std::collections::BTreeMap;

use inotrail_ebpf::filter::{NAME_BYTES, SUFFIX_BYTES, name};

use super::rule::Rule;
use super::{PolicySet, Selection};

/// What the path of a file has when a pattern stands for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Anchor {
    /// Nothing that can be told by names.
    Nothing,
    /// The file's own name.
    Leaf(Name),
    /// The end of the file's own name.
    Suffix(Name),
    /// The name of a folder that it is in.
    Folder(Name),
}

/// A name, cut to what the kernel compares.
pub type Name = Box<[u8]>;

/// Which accesses are recorded. Operations are bits of [`inotrail_ebpf::filter::operation`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Those that pass with some file, or with every one.
    pub any: u32,
    /// Those that pass with every file.
    pub every: u32,
    /// By kind ([`name`]) and name those that pass with it.
    pub names: BTreeMap<(u32, Name), u32>,
}

impl Anchor {
    /// The best that a pattern's names tell; one with a `special` character does not stand for itself.
    pub(super) fn of<'a>(names: impl DoubleEndedIterator<Item = &'a str>, special: &[char]) -> Self {
        let mut names = names.rev();
        let is_plain = |name: &str| !name.is_empty() && !name.contains(special);
        let Some(last) = names.next() else { return Self::Nothing };
        if is_plain(last) {
            return Self::Leaf(cut(last.as_bytes()));
        }
        // A class ends with a bracket.
        let end = last.rsplit(|char| special.contains(&char) || char == ']').next().unwrap_or_default().as_bytes();
        if let Some(start) = end.len().checked_sub(SUFFIX_BYTES) {
            return Self::Suffix(end[start..].into());
        }
        names.find(|name| is_plain(name)).map_or(Self::Nothing, |folder| Self::Folder(cut(folder.as_bytes())))
    }
}

fn cut(name: &[u8]) -> Name {
    name[..name.len().min(NAME_BYTES - 1)].into()
}

impl Filter {
    /// Whether it lets everything pass.
    #[must_use]
    pub const fn is_everything(&self) -> bool {
        self.every == u32::MAX
    }

    fn add(&mut self, rule: &Rule) {
        let operations = rule.operations.bits();
        self.any |= operations;
        for anchor in rule.paths.anchors() {
            let key = match anchor {
                Anchor::Nothing => {
                    self.every |= operations;
                    continue;
                }
                Anchor::Leaf(leaf) => (name::LEAF, leaf.clone()),
                Anchor::Suffix(end) => (name::SUFFIX, end.clone()),
                Anchor::Folder(folder) => (name::FOLDER, folder.clone()),
            };
            *self.names.entry(key).or_default() |= operations;
        }
    }
}

impl PolicySet {
    /// What is to be recorded for these rules' sake.
    #[must_use]
    pub fn filter(&self, selection: &Selection) -> Filter {
        let mut filter = Filter::default();
        selection.indexes().filter_map(|index| self.get(index)).for_each(|(_, rule)| filter.add(rule));
        // What every file passes with needs no name.
        let every = filter.every;
        filter.names.retain(|_, operations| *operations & !every != 0);
        filter
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::pattern::anchor;
    use super::*;

    /// As the programs do it (`ebpf/src/programs/filter.rs`).
    pub(in super::super) fn passes(filter: &Filter, operation: u32, path: &str, requested: &str, target: &str) -> bool {
        let is_named = |path: &str| {
            let mut names: Vec<_> = path.split('/').skip(1).collect();
            let leaf = names.pop().unwrap_or_default().as_bytes();
            let has = |kind, name: &[u8]| {
                filter.names.get(&(kind, cut(name))).is_some_and(|operations| operations & operation != 0)
            };
            let end = leaf.len().checked_sub(SUFFIX_BYTES).map(|start| &leaf[start..]);
            has(name::LEAF, leaf)
                || end.is_some_and(|end| has(name::SUFFIX, end))
                || names.iter().any(|folder| has(name::FOLDER, folder.as_bytes()))
        };
        let is_elsewhere = requested.starts_with('/') && requested != path;
        filter.any & operation != 0
            && (filter.every & operation != 0 || is_elsewhere || is_named(path) || is_named(target))
    }

    #[test]
    fn anchors() {
        let check = |pattern: &str, expected: Anchor| assert_eq!(anchor(pattern), expected, "{pattern}");
        let name = |text: &str| text.as_bytes().into();
        check("/etc/shadow", Anchor::Leaf(name("shadow")));
        check("**/id_rsa", Anchor::Leaf(name("id_rsa")));
        check("/home/*/.ssh/id_rsa", Anchor::Leaf(name("id_rsa")));
        check(&format!("/{}", "a".repeat(40)), Anchor::Leaf(name(&"a".repeat(31))));
        check("/etc/*.conf", Anchor::Suffix(name("onf")));
        check("**/*.pem", Anchor::Suffix(name("pem")));
        check("/x/[ab]cde", Anchor::Suffix(name("cde")));
        check("/x/[abc]", Anchor::Folder(name("x")));
        check("**/*.a", Anchor::Nothing);
        check("/etc/*.a", Anchor::Folder(name("etc")));
        check("/etc/*", Anchor::Folder(name("etc")));
        check("/home/*/.ssh/**", Anchor::Folder(name(".ssh")));
        check("/a\\*b/*", Anchor::Nothing);
        for everything in ["/", "**", "/**", "/*", "**/*", "/*/?"] {
            check(everything, Anchor::Nothing);
        }
    }

    #[test]
    fn rules() {
        let spec = serde_json::json!({"rules": [
            {"name": "a", "paths": ["/etc/shadow", "/srv/**"], "operations": ["open"]},
            {"name": "b", "paths": ["/etc/shadow", "**/*.key"], "operations": ["delete"]},
            {"name": "c", "paths": ["**"], "operations": ["execute"]},
        ]});
        let spec: super::super::crd::FileAccessPolicySpec = serde_json::from_value(spec).unwrap();
        let set = PolicySet::new([std::sync::Arc::new(spec.compile("p", "shop").unwrap())]);
        let filter = set.filter(&set.all());
        let bit = |operation: crate::event::Operation| operation.bit();
        let [open, delete, execute] =
            [crate::event::Operation::Open, crate::event::Operation::Delete, crate::event::Operation::Execute].map(bit);
        assert_eq!((filter.any, filter.every), (open | delete | execute, execute));
        let names: Vec<_> = filter.names.iter().map(|((kind, name), bits)| (*kind, &**name, *bits)).collect();
        let expected: [(u32, &[u8], u32); 3] =
            [(name::LEAF, b"shadow", open | delete), (name::FOLDER, b"srv", open), (name::SUFFIX, b"key", delete)];
        assert_eq!(names, expected);
    }
}
