//! Which cgroup is whose: the writer's side of the table of containers. No I/O, no clock.

mod decoys;
mod inhabitant;
mod pods;
mod rules;
mod shown;
mod watched;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use inhabitant::{Inhabitant, Reading, is_resolved, nameless};
use rules::Rules;

use super::cgroup::SCAN_MAX;
use super::mounts::HostMounts;
use super::owners::Owners;
use super::path::{self, Candidate};
use super::{Container, Containers, Image, Origin, Pod, Recorded};
use crate::decoy::Wanted;

/// Cgroups known at once.
const CGROUPS_MAX: usize = SCAN_MAX;
/// A dead container's records may still be on their way.
pub(super) const DEAD_FOR: Duration = Duration::from_secs(30);
/// Streams of events that nobody adds to, kept so that a unit or a container that comes back under its name goes on
/// with the next number.
const IDLE_MAX: usize = 1024;

/// Cgroups, and who lives in them. One writer; readers get snapshots.
#[derive(Debug)]
pub(super) struct Table {
    cgroups: HashMap<u64, Cgroup>,
    ids: HashMap<Arc<[u8]>, u64>,
    inhabitants: HashMap<Key, Inhabitant>,
    dead: VecDeque<(Instant, u64)>,
    idle: VecDeque<Key>,
    containers: Containers,
    changed: bool,
    evicted: u64,
    /// Somebody reads what containers have mounted.
    reads_mounts: bool,
    /// Cgroups of whose containers that is to be read.
    unread: Vec<u64>,
    /// Containers that wait for what the API server tells of their pods, and since when their cgroups are there. `None`: it
    /// is not asked.
    waiting: Option<Vec<(Instant, Key)>>,
    host: Arc<HostMounts>,
    owners: Arc<Owners>,
    owners_changed: bool,
    rules: Rules,
    /// Containers that are to have decoys, and whether that is news.
    decoys: (Wanted, bool),
}

#[derive(Debug)]
struct Cgroup {
    /// Empty where only the id is known.
    path: Arc<[u8]>,
    made: Instant,
    dead: bool,
    /// What the kernel's programs were told to record of it; `None`: what they recorded of its parent when it was made.
    recorded: Option<Recorded>,
    /// `None`: the runtime is being asked.
    inhabitant: Option<Key>,
}

/// What several cgroups may have in common: they share one [`Container`] and so one stream of events.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Container(Candidate),
    Unit(String),
    Host,
    /// An id that is in no tree.
    Unknown,
}

/// What the runtime says of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Metadata {
    pub(super) origin: Origin,
    pub(super) pod: Option<Pod>,
    pub(super) image: Option<Image>,
}

impl Table {
    /// `reads_mounts`: containers are shown when it is known what they have mounted ([`Self::take_unread`]).
    pub(super) fn new(containers: Containers, reads_mounts: bool) -> Self {
        Self {
            cgroups: HashMap::new(),
            ids: HashMap::new(),
            inhabitants: HashMap::new(),
            dead: VecDeque::new(),
            idle: VecDeque::new(),
            containers,
            changed: true,
            evicted: 0,
            reads_mounts,
            unread: Vec::new(),
            waiting: None,
            host: Arc::default(),
            owners: Arc::default(),
            owners_changed: false,
            rules: Rules::default(),
            decoys: (Wanted::new(), false),
        }
    }

    /// Takes a cgroup in; true: only the runtime can tell whose it is, and until [`Self::assign`] it stays unknown.
    pub(super) fn made(&mut self, id: u64, path: &[u8], now: Instant) -> bool {
        // An id that was unknown so far has a path now.
        if self.cgroups.get(&id).is_some_and(|cgroup| !cgroup.path.is_empty() || path.is_empty()) {
            return false;
        }
        self.forget(id);
        self.make_room();
        let path: Arc<[u8]> = path.into();
        self.cgroups
            .insert(id, Cgroup { path: Arc::clone(&path), made: now, dead: false, recorded: None, inhabitant: None });
        if path.is_empty() {
            self.assign(id, Key::Unknown, None);
            return false;
        }
        self.ids.insert(Arc::clone(&path), id);
        if let Some(key) = self.container_above(&path) {
            self.assign(id, key, None);
            return false;
        }
        if path::candidates(&path).is_empty() {
            self.assign(id, without_runtime(&path), None);
            return false;
        }
        true
    }

    /// A container's child cgroup belongs to it, whatever its name.
    fn container_above(&self, path: &[u8]) -> Option<Key> {
        let above = self.cgroups.get(self.ids.get(path::parent(path)?)?)?;
        let key = above.inhabitant.as_ref().filter(|key| matches!(key, Key::Container(_)) && !above.dead)?;
        self.inhabitants.get(key).is_some_and(|known| is_resolved(&known.container)).then(|| key.clone())
    }

    /// Says who lives in a cgroup. `None` for metadata that did not change, or that nobody knows.
    pub(super) fn assign(&mut self, id: u64, key: Key, metadata: Option<Metadata>) {
        let Some(cgroup) = self.cgroups.get_mut(&id) else { return };
        self.changed = true;
        let before = cgroup.inhabitant.replace(key.clone());
        let inhabitant = self.inhabitants.entry(key.clone()).or_insert_with_key(Inhabitant::nameless);
        inhabitant.cgroups += 1;
        self.rules.changed |= inhabitant.rules_changed;
        if self.reads_mounts && inhabitant.mounts == Reading::No && inhabitant.is_container() {
            inhabitant.mounts = Reading::Awaited;
            self.unread.push(id);
        }
        if let Some(new) = metadata {
            // One source does not know what another one has told.
            let known = &inhabitant.container;
            let (pod, image) = (new.pod.or_else(|| known.pod.clone()), new.image.or_else(|| known.image.clone()));
            if inhabitant.mounts == Reading::Done && (&new.origin, &pod) != (&known.origin, &known.pod) {
                // Who it is says which of its mounts are volumes.
                self.unread.push(id);
            }
            let is_new = !is_resolved(known);
            inhabitant.container = Arc::new(known.update(new.origin, pod, image));
            if let Some(waiting) = self.waiting.as_mut().filter(|_| is_new && inhabitant.lacks_its_pod()) {
                inhabitant.pod_awaited = true;
                waiting.push((cgroup.made, key));
            }
            self.owners_changed |= inhabitant.container.mounts.is_some();
        }
        if let Some(key) = before {
            self.leave(key);
        }
    }

    /// Decides without the runtime, which does not know the cgroup or does not answer. What is known stays.
    pub(super) fn give_up(&mut self, id: u64) {
        if let Some(cgroup) = self.cgroups.get(&id)
            && cgroup.inhabitant.is_none()
        {
            let key = without_runtime(&cgroup.path);
            self.assign(id, key, None);
        }
    }

    pub(super) fn released(&mut self, id: u64, now: Instant) {
        if let Some(cgroup) = self.cgroups.get_mut(&id)
            && !cgroup.dead
        {
            cgroup.dead = true;
            self.dead.push_back((now, id));
            // Its devices' numbers are free for others.
            (self.changed, self.owners_changed) = (true, true);
        }
    }

    /// Every cgroup that was made before `since` and that `exists` does not know has died unseen.
    pub(super) fn retain(&mut self, since: Instant, now: Instant, exists: impl Fn(u64) -> bool) {
        let gone = |(id, cgroup): (&u64, &Cgroup)| {
            (cgroup.made < since && !cgroup.path.is_empty() && !exists(*id)).then_some(*id)
        };
        for id in self.cgroups.iter().filter_map(gone).collect::<Vec<_>>() {
            self.released(id, now);
        }
    }

    /// Forgets those dead for [`DEAD_FOR`].
    pub(super) fn purge(&mut self, now: Instant) {
        while let Some((died, id)) = self.dead.front().copied()
            && now.saturating_duration_since(died) >= DEAD_FOR
        {
            self.dead.pop_front();
            if self.cgroups.get(&id).is_some_and(|cgroup| cgroup.dead) {
                self.forget(id);
            }
        }
    }

    /// Cgroups that the runtime might know better, and since when they are there.
    pub(super) fn unresolved(&self) -> impl Iterator<Item = (u64, Instant)> {
        self.cgroups.iter().filter(|(_, cgroup)| self.may_improve(cgroup)).map(|(id, cgroup)| (*id, cgroup.made))
    }

    fn may_improve(&self, cgroup: &Cgroup) -> bool {
        match cgroup.inhabitant.as_ref() {
            None => true,
            _ if cgroup.dead => false,
            Some(Key::Host) => !path::candidates(&cgroup.path).is_empty(),
            Some(Key::Unit(_) | Key::Unknown) => false,
            Some(key) => self.inhabitants.get(key).is_some_and(|known| !is_resolved(&known.container)),
        }
    }

    /// Cgroups for which no answer has come yet, and since when they are there.
    pub(super) fn pending(&self) -> impl Iterator<Item = (u64, Instant)> {
        self.cgroups.iter().filter(|(_, cgroup)| cgroup.inhabitant.is_none()).map(|(id, cgroup)| (*id, cgroup.made))
    }

    /// The cgroup's path; empty where only the id is known.
    pub(super) fn path(&self, id: u64) -> Option<&[u8]> {
        self.cgroups.get(&id).map(|cgroup| &*cgroup.path)
    }

    /// Whether somebody has named who lives there.
    pub(super) fn is_named(&self, id: u64) -> bool {
        let key = self.cgroups.get(&id).and_then(|cgroup| cgroup.inhabitant.as_ref());
        let known = key.filter(|key| matches!(key, Key::Container(_))).and_then(|key| self.inhabitants.get(key));
        known.is_some_and(|known| is_resolved(&known.container))
    }

    /// Live cgroups whose path says that this container lives there.
    pub(super) fn cgroups_of(&self, container: &str) -> Vec<u64> {
        let is_outermost = |path: &[u8]| path::outermost(&path::candidates(path)) == Some(container);
        // Most paths need no closer look.
        let mentioned = |path: &[u8]| path.windows(container.len()).any(|part| part == container.as_bytes());
        let lives_in = |cgroup: &Cgroup| !cgroup.dead && mentioned(&cgroup.path) && is_outermost(&cgroup.path);
        self.cgroups.iter().filter(|(_, cgroup)| lives_in(cgroup)).map(|(id, _)| *id).collect()
    }

    /// A live cgroup of a container.
    pub(super) fn cgroup_of(&self, key: &Key) -> Option<u64> {
        self.inhabitants.get(key)?;
        let same = |(_, cgroup): &(&u64, &Cgroup)| !cgroup.dead && cgroup.inhabitant.as_ref() == Some(key);
        self.cgroups.iter().find(same).map(|(id, _)| *id)
    }

    pub(super) fn candidates(&self, id: u64) -> Vec<Candidate> {
        self.cgroups.get(&id).map(|cgroup| path::candidates(&cgroup.path)).unwrap_or_default()
    }

    pub(super) fn contains(&self, id: u64) -> bool {
        self.cgroups.contains_key(&id)
    }

    /// Cgroups that are known.
    pub(super) fn len(&self) -> usize {
        self.cgroups.len()
    }

    /// Cgroups forgotten before their time since the last call.
    pub(super) fn take_evicted(&mut self) -> u64 {
        std::mem::take(&mut self.evicted)
    }

    fn make_room(&mut self) {
        while self.cgroups.len() >= CGROUPS_MAX {
            // A dead one if there is one. Else any: it is found again when something happens in it.
            let Some(id) = self.dead.pop_front().map(|(_, id)| id).or_else(|| self.cgroups.keys().next().copied())
            else {
                return;
            };
            self.forget(id);
            self.evicted += 1;
        }
    }

    fn forget(&mut self, id: u64) {
        let Some(cgroup) = self.cgroups.remove(&id) else { return };
        self.changed = true;
        // A new cgroup may have the path by now.
        if self.ids.get(&cgroup.path) == Some(&id) {
            self.ids.remove(&cgroup.path);
        }
        if let Some(key) = cgroup.inhabitant {
            self.leave(key);
        }
    }

    fn leave(&mut self, key: Key) {
        let Some(inhabitant) = self.inhabitants.get_mut(&key) else { return };
        inhabitant.cgroups -= 1;
        if inhabitant.cgroups > 0 {
            return;
        }
        // Should it come back, what it has mounted is to be read again.
        inhabitant.mounts = Reading::No;
        if inhabitant.container.watched.is_some() {
            self.rules.gone_files.extend(watched::ids(inhabitant.container.watched.as_deref()));
            inhabitant.container = Arc::new(inhabitant.container.with_watched(None));
        }
        (inhabitant.rules_changed, self.rules.changed) = (true, true);
        self.idle.push_back(key);
        if self.idle.len() > IDLE_MAX
            && let Some(oldest) = self.idle.pop_front()
            && self.inhabitants.get(&oldest).is_some_and(|inhabitant| inhabitant.cgroups == 0)
        {
            self.inhabitants.remove(&oldest);
        }
    }
}

/// Whose a cgroup is by its path alone.
fn without_runtime(path: &[u8]) -> Key {
    let container = path::candidates(path).into_iter().find(|candidate| matches!(candidate, Candidate::Id(_)));
    match (container, path::unit(path)) {
        (Some(container), _) => Key::Container(container),
        (None, Some(unit)) => Key::Unit(unit.to_owned()),
        (None, None) => Key::Host,
    }
}

#[cfg(test)]
mod tests;
