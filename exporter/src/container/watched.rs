//! Files that rules name by their whole paths, as a container has them now: whoever reaches one of them by another name, a
//! hard link or a second mount, reaches it all the same.

mod queue;
mod read;

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::FileId;
pub(super) use queue::FileQueue;
pub(super) use read::{Looked, WantedFiles};

/// Path of a file, as the container sees it.
pub(super) type FilePath = Box<[u8]>;

/// What was found in a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct WatchedFiles {
    /// By file the paths in rules that lead to it.
    names: HashMap<FileId, Vec<FilePath>, FixedState>,
    /// Paths that lead to no file that can be watched, and why.
    elsewhere: HashMap<FilePath, Absent, FixedState>,
}

/// Why a path leads to no file that can be watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absent {
    /// There is nothing.
    Missing,
    /// It is on a file system that is not looked into, or no regular file.
    NotLooked,
}

impl WatchedFiles {
    fn insert(&mut self, path: &[u8], found: Result<FileId, Absent>) {
        match found {
            Ok(id) => self.names.entry(id).or_default().push(path.into()),
            Err(absent) => drop(self.elsewhere.insert(path.into(), absent)),
        }
    }

    /// Paths in rules that lead to a file.
    pub(super) fn names_of(&self, file: FileId) -> &[FilePath] {
        self.names.get(&file).map_or(&[], Vec::as_slice)
    }

    /// Whether there is nothing at a path in rules.
    pub(super) fn is_missing(&self, path: &[u8]) -> bool {
        self.elsewhere.get(path) == Some(&Absent::Missing)
    }

    /// All files.
    pub(super) fn ids(&self) -> impl Iterator<Item = FileId> {
        self.names.keys().copied()
    }

    /// Whether an access to a file by a path shows that it is worth looking again: the path leads to another file than it
    /// did, or the file may have been taken for one that is gone.
    pub(super) fn is_stale(&self, file: FileId, path: &[u8]) -> bool {
        let names = self.names_of(file);
        let is_one = |name: &FilePath| **name == *path;
        !names.iter().any(is_one) && (!names.is_empty() || self.elsewhere.contains_key(path) || self.leads(path))
    }

    fn leads(&self, path: &[u8]) -> bool {
        self.names.values().flatten().any(|name| **name == *path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_worth_looking_again() {
        let mut files = WatchedFiles::default();
        files.insert(b"/etc/shadow", Ok((1, 7)));
        files.insert(b"/etc/gshadow", Err(Absent::Missing));
        assert!(files.is_missing(b"/etc/gshadow") && !files.is_missing(b"/etc/shadow"));
        assert_eq!(files.names_of((1, 7)), [FilePath::from(*b"/etc/shadow")]);
        let check = |file, path: &[u8], expected| assert_eq!(files.is_stale(file, path), expected, "{file:?} {path:?}");
        check((1, 7), b"/etc/shadow", false);
        // Replaced, and made.
        check((1, 8), b"/etc/shadow", true);
        check((1, 9), b"/etc/gshadow", true);
        // Another name, or another file by now.
        check((1, 7), b"/tmp/link", true);
        check((1, 8), b"/tmp/other", false);
    }
}
