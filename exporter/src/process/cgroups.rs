//! Cgroups, as far as it takes to tell who came into one from outside.

use crate::ids::IdMap;

/// Cgroups known at once; more than any node has.
const CGROUPS_MAX: usize = 65_536;

/// Which cgroups have had a process, and which is below which.
#[derive(Debug, Default)]
pub(super) struct Cgroups {
    known: IdMap<u64, Cgroup>,
}

#[derive(Debug)]
struct Cgroup {
    /// Inside the hierarchy, `/` first; empty where unknown.
    path: Box<[u8]>,
    entered: bool,
}

/// What it means that a process is in a cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It is where it was at home, or below that.
    Within,
    /// It came from elsewhere, and nobody was here before.
    First,
    /// It came from elsewhere, and somebody was here.
    Later,
}

impl Cgroups {
    /// A cgroup was made, and is empty. Its number is never used again.
    pub(super) fn made(&mut self, id: u64, path: &[u8]) {
        self.make_room();
        self.known.insert(id, Cgroup { path: path.into(), entered: false });
    }

    /// A cgroup was found with processes in it.
    pub(super) fn found(&mut self, id: u64, path: &[u8]) {
        self.make_room();
        self.known.insert(id, Cgroup { path: path.into(), entered: true });
    }

    /// A cgroup is gone.
    pub(super) fn released(&mut self, id: u64) {
        self.known.remove(&id);
    }

    /// A process whose home is another cgroup (0: nobody knows) is in this one.
    pub(super) fn enter(&mut self, id: u64, home: u64) -> Step {
        if !self.known.contains_key(&id) {
            self.make_room();
        }
        let cgroup = self.known.entry(id).or_insert_with(|| Cgroup { path: Box::default(), entered: false });
        let first = !std::mem::replace(&mut cgroup.entered, true);
        match self.is_within(id, home) {
            true => Step::Within,
            false if first => Step::First,
            false => Step::Later,
        }
    }

    /// Whether a cgroup is `home`, or below it. All are below the root: that says nothing.
    pub(super) fn is_within(&self, id: u64, home: u64) -> bool {
        let path = |id| self.known.get(&id).map(|cgroup| &*cgroup.path).filter(|path| path.len() > 1);
        let is_below = || Some(path(id)?.strip_prefix(path(home)?)?.starts_with(b"/"));
        id == home || is_below().unwrap_or(false)
    }

    fn make_room(&mut self) {
        if self.known.len() >= CGROUPS_MAX
            && let Some(any) = self.known.keys().next().copied()
        {
            self.known.remove(&any);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_the_later() {
        let mut cgroups = Cgroups::default();
        cgroups.made(7, b"/pods/a");
        assert_eq!(
            [5, 5, 7, 0].map(|home| cgroups.enter(7, home)),
            [Step::First, Step::Later, Step::Within, Step::Later]
        );
        // One of which nothing was told.
        assert_eq!([5, 5].map(|home| cgroups.enter(8, home)), [Step::First, Step::Later]);
        cgroups.found(9, b"/pods/b");
        assert_eq!(cgroups.enter(9, 5), Step::Later);
        cgroups.released(9);
        assert_eq!(cgroups.enter(9, 5), Step::First);
    }

    #[test]
    fn within() {
        let mut cgroups = Cgroups::default();
        let paths: [&[u8]; 6] = [b"/", b"/pods/a", b"/pods/ab", b"/pods/a/init.scope", b"/pods", b""];
        for (id, path) in (1..).zip(paths) {
            cgroups.made(id, path);
        }
        let check = |id, home, expected| assert_eq!(cgroups.is_within(id, home), expected, "{id} within {home}");
        check(4, 2, true);
        check(2, 2, true);
        check(2, 4, false);
        check(3, 2, false);
        check(2, 5, true);
        check(2, 1, false);
        check(2, 6, false);
        check(6, 2, false);
        check(2, 0, false);
        check(99, 98, false);
    }

    #[test]
    fn their_number_is_bounded() {
        let mut cgroups = Cgroups::default();
        for id in 0..CGROUPS_MAX as u64 + 10 {
            cgroups.made(2 * id, b"/a");
            cgroups.enter(2 * id + 1, 0);
        }
        assert_eq!(cgroups.known.len(), CGROUPS_MAX);
    }
}
