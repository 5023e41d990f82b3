//! Files that rules name by their whole paths, of each container.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::super::watched::{FilePath, WantedFiles, WatchedFiles};
use super::super::{FileId, path};
use super::{Cgroup, Inhabitant, Key, Reading, Table};

impl Table {
    /// Cgroups in whose containers files are to be looked for, because of other rules.
    pub(in super::super) fn take_unwatched(&mut self) -> Vec<u64> {
        let mut cgroups = Vec::new();
        if !std::mem::take(&mut self.rules.changed) {
            return cgroups;
        }
        for (id, cgroup) in self.cgroups.iter().filter(|(_, cgroup)| !cgroup.dead) {
            let Some(key @ Key::Container(_)) = &cgroup.inhabitant else { continue };
            let Some(inhabitant) = self.inhabitants.get_mut(key) else { continue };
            if inhabitant.mounts == Reading::Awaited {
                // Its root is not ready.
                self.rules.changed |= inhabitant.rules_changed;
            } else if std::mem::take(&mut inhabitant.rules_changed) {
                cgroups.push(*id);
            }
        }
        cgroups
    }

    /// One cgroup of each container with rules.
    pub(in super::super) fn watching(&self) -> Vec<u64> {
        let has_rules = |known: &Inhabitant| known.container.rules.as_ref().is_some_and(|rules| !rules.is_empty());
        let watching = |(_, known): &(&Key, &Inhabitant)| known.cgroups > 0 && has_rules(known);
        self.inhabitants.iter().filter(watching).filter_map(|(key, _)| self.cgroup_of(key)).collect()
    }

    /// Which files are to be looked for in the container of a cgroup, by its rules; `directory` of its path.
    pub(in super::super) fn files_wanted(
        &self,
        cgroup: u64,
        directory: impl Fn(&[u8]) -> PathBuf,
    ) -> Option<WantedFiles> {
        let Cgroup { path, inhabitant, .. } = self.cgroups.get(&cgroup)?;
        let inhabitant = self.inhabitants.get(inhabitant.as_ref()?)?;
        let rules = inhabitant.container.rules.as_ref()?;
        let paths: Arc<[FilePath]> = Arc::clone(&self.rules.wanted.get(rules)?.files);
        let is_in_container = path::outermost(&path::candidates(path)).is_some();
        // From now on it is worth telling.
        inhabitant.container.lasting.stale_files.store(false, Ordering::Relaxed);
        let is_wanted = is_in_container && !(paths.is_empty() && inhabitant.container.watched.is_none());
        is_wanted.then(|| WantedFiles { cgroup, directory: directory(path), paths })
    }

    /// What was found there; nothing: it cannot be looked at. Returns which files are watched now, and which were before, where
    /// that has changed.
    pub(in super::super) fn watched(
        &mut self,
        cgroup: u64,
        found: Option<WatchedFiles>,
    ) -> Option<(Vec<FileId>, Vec<FileId>)> {
        let key = self.cgroups.get(&cgroup)?.inhabitant.as_ref()?;
        let inhabitant = self.inhabitants.get_mut(key)?;
        let found = found.map(Arc::new);
        let before = inhabitant.container.watched.clone();
        // Its rules may have changed meanwhile: that asks again.
        if inhabitant.cgroups == 0 || before == found {
            return None;
        }
        let change = (ids(found.as_deref()), ids(before.as_deref()));
        inhabitant.container = Arc::new(inhabitant.container.with_watched(found));
        self.changed = true;
        Some(change)
    }

    /// The kernel has no room for the files of the container of a cgroup.
    pub(in super::super) fn record_everything(&mut self, cgroup: u64) {
        let key = self.cgroups.get(&cgroup).and_then(|cgroup| cgroup.inhabitant.as_ref());
        if let Some(inhabitant) = key.and_then(|key| self.inhabitants.get_mut(key)) {
            (inhabitant.unfiltered, self.changed) = (true, true);
        }
    }

    /// Says of policies how many of their paths lead to no file.
    pub(in super::super) fn count_unresolved(&self) {
        let Some(policies) = &self.rules.policies else { return };
        let known = |known: &Inhabitant| {
            let container = Arc::clone(&known.container);
            (known.cgroups > 0 && container.rules.is_some() && container.watched.is_some()).then_some(container)
        };
        let containers: Vec<_> = self.inhabitants.values().filter_map(known).collect();
        let missing: Vec<_> = containers.iter().map(|it| |path: &[u8]| it.is_missing(path)).collect();
        let pairs = containers.iter().zip(&missing).filter_map(|(it, missing)| {
            let missing: &dyn Fn(&[u8]) -> bool = missing;
            Some((it.rules.as_ref()?, missing))
        });
        policies.count_unresolved(&pairs.collect::<Vec<_>>());
    }

    /// Files of containers that are no more.
    pub(in super::super) fn take_gone(&mut self) -> Vec<FileId> {
        std::mem::take(&mut self.rules.gone_files)
    }
}

pub(super) fn ids(files: Option<&WatchedFiles>) -> Vec<FileId> {
    files.into_iter().flat_map(WatchedFiles::ids).collect()
}
