//! What policies say of events.

use crate::container::Snapshot;
use crate::event::Event;
use crate::policy::rule::{self, Attempt};
use crate::policy::{Judgement, RuleIndex, Verdict};

/// Asks the policies; its list grows to the longest seen and stays.
#[derive(Debug, Default)]
pub(super) struct Judge {
    matched: Vec<RuleIndex>,
}

/// What becomes of an event.
#[derive(Debug)]
pub(super) enum Ruling<'a> {
    /// There are no policies.
    Everything,
    /// A rule is about it.
    Keep(Judgement<'a>),
    /// No rule is about it.
    Ignore,
    /// Its file has no name, and its container has rules.
    Undecided,
}

impl Judge {
    pub(super) fn rule<'a>(&'a mut self, event: &Event<'a>, snapshot: &'a Snapshot) -> Ruling<'a> {
        if event.container.is_excluded() {
            return Ruling::Ignore;
        }
        let Some((set, selection)) = snapshot.policies(event.container) else { return Ruling::Everything };
        if selection.is_empty() {
            return Ruling::Ignore;
        }
        let attempt = attempt(event);
        if attempt.is_nameless() {
            return Ruling::Undecided;
        }
        let verdict = set.decide(selection, &attempt, &mut self.matched);
        set.count(&self.matched, event.count);
        match verdict {
            Verdict::Ignore => Ruling::Ignore,
            Verdict::Keep { rule, action } => Ruling::Keep(Judgement { set, rule, action, matched: &self.matched }),
        }
    }
}

fn attempt<'a>(event: &Event<'a>) -> Attempt<'a> {
    let access = event.access;
    Attempt {
        path: access.path,
        target: access.target,
        requested: rule::name(access.requested),
        also: event.container.names_of(access.header),
        operation: access.operation(),
        outcome: access.outcome(),
        executable: &event.process.executable,
        user: access.header.euid,
    }
}
