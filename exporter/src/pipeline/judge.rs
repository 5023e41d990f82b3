//! What policies say of events.

use crate::event::Event;
use crate::policy::rule::{self, Attempt};
use crate::policy::{Judgement, PolicySet, RuleIndex, Selection, Verdict};

/// Asks the policies; its list grows to the longest seen and stays.
#[derive(Debug, Default)]
pub(super) struct Judge {
    matched: Vec<RuleIndex>,
}

/// What becomes of an event.
#[derive(Debug)]
pub(super) enum Ruling<'a> {
    /// A rule is about it.
    Keep(Judgement<'a>),
    /// No rule is about it.
    Ignore,
    /// Its file has no name, and its container has rules.
    Undecided,
}

impl Judge {
    /// `selection` is of the set's rules those that are about the event's container.
    pub(super) fn rule<'a>(&'a mut self, event: &Event<'_>, set: &'a PolicySet, selection: &Selection) -> Ruling<'a> {
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
