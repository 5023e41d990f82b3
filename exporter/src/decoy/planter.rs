//! Brings containers in line with which decoys they are to have.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::file::{self, Found, Identity, Removed};
use super::kept::Kept;
use super::root::{Missing, Roots};
use super::{Refused, Site, Wanted};
use crate::clock::unix_now;
use crate::metrics::Metrics;
use crate::policy::decoy::Decoy;

/// Containers that are given decoys at once: their roots are open for so long.
const BATCH_MAX: usize = 64;
/// A container that is not ready is looked at again.
const TRY_AGAIN: Duration = Duration::from_millis(50);
/// How long it may take to be ready.
const READY_WITHIN: Duration = Duration::from_secs(10);
/// When there is nothing to wait for.
const IDLE: Duration = Duration::from_secs(3600);

/// Cgroup and path.
pub(super) type Key = (u64, String);

/// A decoy in a container.
#[derive(Clone, Debug)]
pub(super) struct Planted {
    pub(super) decoy: Arc<Decoy>,
    pub(super) container: String,
    pub(super) cgroup: Arc<[u8]>,
    /// When it was made or about to be, in seconds of the Unix epoch.
    pub(super) since: i64,
    /// `None`: whether it was made is not known.
    pub(super) identity: Option<Identity>,
    /// An earlier run has made it, and it is not known whether it is wanted.
    pub(super) is_earlier: bool,
}

/// Who knows what is where.
#[derive(Debug)]
pub(super) struct Planter {
    roots: Roots,
    kept: Option<Kept>,
    planted: BTreeMap<Key, Planted>,
    /// What could not be made, and is not tried again.
    refused: HashMap<Key, Arc<Decoy>>,
    /// Since when containers are waited for.
    waiting: HashMap<u64, Instant>,
    /// Until when what an earlier run has made may turn out to be wanted.
    adopt_until: Instant,
    metrics: Arc<Metrics>,
}

impl Planter {
    pub(super) fn new(roots: Roots, kept: Option<Kept>, adopt_until: Instant, metrics: Arc<Metrics>) -> Self {
        let planted = kept.as_ref().map(Kept::load).unwrap_or_default().into_iter().collect();
        let (refused, waiting) = (HashMap::new(), HashMap::new());
        Self { roots, kept, planted, refused, waiting, adopt_until, metrics }
    }

    /// Takes out what is not wanted, and then makes what is. Returns when to do so again.
    pub(super) fn step(&mut self, wanted: &Wanted, now: Instant) -> Duration {
        self.waiting.retain(|cgroup, _| wanted.contains_key(cgroup));
        self.refused.retain(|key, decoy| find(wanted, key).is_some_and(|it| it == decoy));
        let mut has_changed = self.remove_unwanted(wanted, now);
        let mut again = if self.planted.values().any(|planted| planted.is_earlier) {
            self.adopt_until.saturating_duration_since(now).max(TRY_AGAIN)
        } else {
            IDLE
        };
        let mut ready = Vec::new();
        for (cgroup, site) in wanted {
            let due = self.due(*cgroup, site);
            if due.is_empty() {
                continue;
            }
            if ready.len() == BATCH_MAX {
                again = Duration::ZERO;
                break;
            }
            match self.open(*cgroup, site, now) {
                Ok(root) => ready.push((*cgroup, site, due, root)),
                Err(Missing::NotYet) => again = again.min(TRY_AGAIN),
                Err(missing) => {
                    for decoy in due {
                        self.refuse(*cgroup, site, &decoy, why(missing));
                    }
                }
            }
        }
        has_changed |= !ready.is_empty();
        self.plant(ready);
        if has_changed {
            self.store();
        }
        again
    }

    /// Takes out all that is there.
    pub(super) fn remove_all(&mut self) {
        for (key, planted) in std::mem::take(&mut self.planted) {
            self.remove(&key, &planted);
        }
        self.store();
    }

    /// Of several decoys at one path the first one counts.
    fn due(&self, cgroup: u64, site: &Site) -> Vec<Arc<Decoy>> {
        let mut due: Vec<Arc<Decoy>> = Vec::new();
        for (number, decoy) in site.decoys.iter().enumerate() {
            let key = (cgroup, decoy.path.clone());
            let first = site.decoys[..number].iter().find(|before| before.path == decoy.path);
            if first.is_none() && !self.planted.contains_key(&key) && !self.refused.contains_key(&key) {
                due.push(Arc::clone(decoy));
            }
        }
        due
    }

    fn open(&mut self, cgroup: u64, site: &Site, now: Instant) -> Result<OwnedFd, Missing> {
        let since = *self.waiting.entry(cgroup).or_insert(now);
        let is_patient = now.duration_since(since) < READY_WITHIN;
        match self.roots.open(cgroup, site, is_patient) {
            // A process that ends, or one that its runtime has not made ready, may be followed by another.
            Err(Missing::Foreign | Missing::Denied) if is_patient => Err(Missing::NotYet),
            Err(Missing::NotYet) if !is_patient => Err(Missing::Foreign),
            found => found,
        }
    }

    fn plant(&mut self, ready: Vec<(u64, &Site, Vec<Arc<Decoy>>, OwnedFd)>) {
        let since = (unix_now() / 1_000_000_000) as i64;
        for (cgroup, site, due, _) in &ready {
            let about = due.iter().map(|decoy| ((*cgroup, decoy.path.clone()), Planted::about(decoy, site, since)));
            self.planted.extend(about);
        }
        if !ready.is_empty() {
            // Should this end before they are told to be there.
            self.store();
        }
        for (cgroup, site, due, root) in ready {
            self.waiting.remove(&cgroup);
            for decoy in due {
                let key = (cgroup, decoy.path.clone());
                match file::plant(root.as_fd(), &decoy) {
                    Ok(identity) => {
                        if let Some(planted) = self.planted.get_mut(&key) {
                            planted.identity = Some(identity);
                        }
                        say(&decoy, &site.container, "decoy made");
                    }
                    Err(refused) => {
                        self.planted.remove(&key);
                        self.refuse(cgroup, site, &decoy, Some(refused));
                    }
                }
            }
        }
    }

    fn refuse(&mut self, cgroup: u64, site: &Site, decoy: &Arc<Decoy>, why: Option<Refused>) {
        self.refused.insert((cgroup, decoy.path.clone()), Arc::clone(decoy));
        let Some(why) = why else { return };
        self.metrics.decoys_refused(why).inc();
        let Decoy { name, policy, path, .. } = &**decoy;
        tracing::warn!(policy, name, path, container = site.container, "no decoy is made: {why}");
    }

    fn remove_unwanted(&mut self, wanted: &Wanted, now: Instant) -> bool {
        let mut unwanted = Vec::new();
        let mut earlier = Vec::new();
        for (key, planted) in &mut self.planted {
            match find(wanted, key) {
                Some(decoy) if decoy.is_same_file(&planted.decoy) => {
                    planted.decoy = Arc::clone(decoy);
                    if planted.is_earlier {
                        earlier.push(key.clone());
                    }
                }
                None if planted.is_earlier && now < self.adopt_until => {}
                _ => unwanted.push(key.clone()),
            }
        }
        let has_changed = !unwanted.is_empty() || !earlier.is_empty();
        for key in unwanted {
            if let Some(planted) = self.planted.remove(&key) {
                self.remove(&key, &planted);
            }
        }
        for key in earlier {
            self.adopt(&key, &wanted[&key.0], now);
        }
        has_changed
    }

    /// What an earlier run has made is wanted: it is as if this one had, if it is as it was.
    fn adopt(&mut self, key: &Key, site: &Site, now: Instant) {
        let Some(mut planted) = self.planted.remove(key) else { return };
        let root = match self.roots.open(key.0, site, false) {
            Ok(root) => root,
            Err(Missing::Gone) => return,
            // None of its processes shows it right now.
            Err(_) => {
                planted.is_earlier = now < self.adopt_until;
                self.planted.insert(key.clone(), planted);
                return;
            }
        };
        match file::find(root.as_fd(), &planted.decoy, planted.identity, planted.since) {
            Ok(Found::Same(identity)) => {
                (planted.identity, planted.is_earlier) = (Some(identity), false);
                say(&planted.decoy, &planted.container, "decoy of an earlier run is kept");
                self.planted.insert(key.clone(), planted);
            }
            // It is made again, or why not is said.
            Ok(Found::Other | Found::Nothing) | Err(_) => {}
        }
    }

    fn remove(&self, (cgroup, _): &Key, planted: &Planted) {
        let Planted { decoy, container, cgroup: path, since, identity, .. } = planted;
        let site = Site { container: container.clone(), cgroup: Arc::clone(path), decoys: Vec::new() };
        let left = |why: &str| {
            let Decoy { name, policy, path, .. } = &**decoy;
            tracing::warn!(policy, name, path, container, "a decoy is left: {why}");
        };
        let root = match self.roots.open(*cgroup, &site, false) {
            Ok(root) => root,
            // With the container goes its root.
            Err(Missing::Gone | Missing::NotYet) => return,
            Err(Missing::Foreign) => return left(&Refused::NoRoot.to_string()),
            Err(Missing::Denied) => return left(&Refused::Denied.to_string()),
        };
        match file::remove(root.as_fd(), decoy, *identity, *since) {
            Ok(Removed::Now) => say(decoy, container, "decoy taken out"),
            Ok(Removed::Before) => say(decoy, container, "decoy had gone"),
            Ok(Removed::Changed) => left("somebody has changed it"),
            Err(refused) => left(&refused.to_string()),
        }
    }

    fn store(&self) {
        self.metrics.decoys.set(self.planted.len() as i64);
        if let Some(kept) = &self.kept {
            kept.store(self.planted.iter());
        }
    }
}

impl Planted {
    fn about(decoy: &Arc<Decoy>, site: &Site, since: i64) -> Self {
        Self {
            decoy: Arc::clone(decoy),
            container: site.container.clone(),
            cgroup: Arc::clone(&site.cgroup),
            since,
            identity: None,
            is_earlier: false,
        }
    }
}

/// The decoy that is to be there.
fn find<'a>(wanted: &'a Wanted, (cgroup, path): &Key) -> Option<&'a Arc<Decoy>> {
    wanted.get(cgroup)?.decoys.iter().find(|decoy| decoy.path == *path)
}

/// `None`: there is nothing to say.
fn why(missing: Missing) -> Option<Refused> {
    match missing {
        Missing::Gone | Missing::NotYet => None,
        Missing::Foreign => Some(Refused::NoRoot),
        Missing::Denied => Some(Refused::Denied),
    }
}

fn say(decoy: &Decoy, container: &str, what: &str) {
    let Decoy { name, policy, path, .. } = decoy;
    tracing::info!(policy, name, path, container, "{what}");
}

#[cfg(test)]
mod tests;
