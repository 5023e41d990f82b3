//! Asking the runtime whose a cgroup is, and what follows from its answers.

use tokio::time::Instant as Alarm;

use super::Watch;
use crate::container::channel::ANSWER_WITHIN;
use crate::container::path;
use crate::container::questions::{Answer, Question};

impl Watch {
    /// Has the runtime say whose the cgroup is, or decides at once where nobody will.
    pub(super) fn ask(&mut self, cgroup: u64, until: Alarm) {
        let candidates = self.table.candidates(cgroup);
        match &mut self.questions {
            Some(questions) if questions.can_answer(&candidates) => {
                questions.ask(Question { cgroup, candidates, until });
            }
            _ => self.unanswered(cgroup),
        }
    }

    /// The runtime does not know who lives in the cgroup. Whoever tells of containers by himself may yet do so.
    pub(super) fn unanswered(&mut self, cgroup: u64) {
        if !self.expects_announcements || path::outermost(&self.table.candidates(cgroup)).is_none() {
            self.give_up(cgroup);
        }
    }

    /// Nobody has named the container in time; its pod may be known all the same.
    pub(super) fn give_up(&mut self, cgroup: u64) {
        self.table.give_up(cgroup);
        let pod = self.table.path(cgroup).and_then(|path| self.pods.of_path(path));
        if let Some(pod) = pod {
            self.table.is_part_of(cgroup, pod);
        }
    }

    pub(super) fn ask_for_unresolved(&mut self) {
        let unresolved: Vec<_> = self.table.unresolved().collect();
        for (id, made) in unresolved {
            self.ask(id, Alarm::now().max(Alarm::from_std(made) + self.resolve_within) + ANSWER_WITHIN);
        }
    }

    pub(super) fn answered(&mut self, (id, found): Answer) {
        match (found, self.asked) {
            (Some((key, metadata)), Some(source)) => self.assign(id, key, source, metadata),
            _ => self.unanswered(id),
        }
    }

    pub(super) fn connected(&mut self, up: bool) {
        self.metrics.health.runtime.set(up);
        if up {
            self.ask_for_unresolved();
        }
    }
}
