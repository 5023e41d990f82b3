//! Containers that sources told of, before or after their cgroups are heard of. No I/O, no clock.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use super::Source;
use super::path::{self, Candidate};
use super::table::{DEAD_FOR, Metadata};

/// Containers known at once: ten times what a kubelet runs.
const KNOWN_MAX: usize = 4096;

/// Containers that were announced, by id.
#[derive(Debug, Default)]
pub(super) struct Known {
    containers: HashMap<String, (Source, Metadata)>,
    order: VecDeque<String>,
    gone: VecDeque<(Instant, String)>,
}

impl Known {
    pub(super) fn insert(&mut self, id: String, source: Source, metadata: Metadata) {
        if self.containers.insert(id.clone(), (source, metadata)).is_some() {
            return;
        }
        self.order.push_back(id);
        while self.order.len() > KNOWN_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.containers.remove(&oldest);
        }
    }

    /// Whether a source has told of the container that knows as much as the API server.
    pub(super) fn has_better(&self, id: &str) -> bool {
        self.containers.get(id).is_some_and(|(source, _)| !matches!(source, Source::Hook | Source::Kubernetes))
    }

    /// The container's cgroup may be heard of only now: it is known for as long as the dead are.
    pub(super) fn gone(&mut self, id: String, now: Instant) {
        if self.containers.contains_key(&id) && self.gone.len() < KNOWN_MAX {
            self.gone.push_back((now, id));
        }
    }

    pub(super) fn purge(&mut self, now: Instant) {
        while let Some((since, _)) = self.gone.front()
            && now.saturating_duration_since(*since) >= DEAD_FOR
            && let Some((_, id)) = self.gone.pop_front()
        {
            self.containers.remove(&id);
            self.order.retain(|known| *known != id);
        }
    }

    /// The container that a path's candidates stand for. Only the outermost id counts: who may make cgroups inside of a
    /// container could name one after another container.
    pub(super) fn find(&self, candidates: &[Candidate]) -> Option<(&str, &(Source, Metadata))> {
        let (id, known) = self.containers.get_key_value(path::outermost(candidates)?)?;
        Some((id, known))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Origin;
    use super::*;

    fn metadata(name: &str) -> Metadata {
        let origin = Origin::Container { id: String::new(), name: name.to_owned(), runtime: "", resolved: true };
        Metadata { origin, pod: None, image: None }
    }

    #[track_caller]
    fn check(known: &Known, candidates: &[Candidate], expected: Option<&str>) {
        assert_eq!(known.find(candidates).map(|(id, _)| id), expected, "{candidates:?}");
    }

    fn id(id: &str) -> Candidate {
        Candidate::Id(id.to_owned())
    }

    #[test]
    fn only_the_outermost_id_counts() {
        let mut known = Known::default();
        known.insert("a".to_owned(), Source::Nri, metadata("a"));
        let named = Candidate::Named { namespace: "x".to_owned(), id: "a".to_owned() };
        check(&known, &[id("a")], Some("a"));
        check(&known, &[named.clone(), id("a"), id("b")], Some("a"));
        check(&known, &[id("b"), id("a")], None);
        check(&known, &[named], None);
        check(&known, &[], None);
    }

    #[test]
    fn the_gone_are_known_for_as_long_as_the_dead() {
        let mut known = Known::default();
        let now = Instant::now();
        known.insert("a".to_owned(), Source::Nri, metadata("a"));
        known.gone("a".to_owned(), now);
        known.gone("never heard of".to_owned(), now);
        known.purge(now + DEAD_FOR / 2);
        check(&known, &[id("a")], Some("a"));
        known.purge(now + DEAD_FOR);
        check(&known, &[id("a")], None);
        assert!(known.order.is_empty() && known.gone.is_empty());
    }

    #[test]
    fn the_oldest_make_room() {
        let mut known = Known::default();
        for number in 0..=KNOWN_MAX {
            known.insert(number.to_string(), Source::Hook, metadata(""));
        }
        check(&known, &[id("0")], None);
        check(&known, &[id("1")], Some("1"));
        // Told again is not older than it was.
        known.insert("1".to_owned(), Source::Hook, metadata("better"));
        assert_eq!((known.containers.len(), known.order.len()), (KNOWN_MAX, KNOWN_MAX));
    }
}
