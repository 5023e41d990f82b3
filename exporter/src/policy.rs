//! What is worth an event: policies, the containers that each is about, and what its rules say of an access. No I/O, no
//! clock.
//!
//! A container's rules are chosen once ([`PolicySet::select`]); each of its accesses is then held against these alone
//! ([`PolicySet::decide`]).

pub mod compile;
pub mod crd;
pub mod document;
pub mod globs;
pub mod paths;
pub mod pattern;
pub mod rule;
pub mod scope;

use rule::{Action, Attempt, Rule, Severity};
use scope::{Scope, Subject};

/// One policy, ready to be asked.
#[derive(Clone, Debug)]
pub struct Policy {
    /// `metadata.name`
    pub name: String,
    /// False: what it would keep is counted, and not kept for its sake.
    pub active: bool,
    /// Whom it is about.
    pub scope: Scope,
    /// What it is about.
    pub rules: Vec<Rule>,
}

/// All policies that are in force.
#[derive(Clone, Debug, Default)]
pub struct PolicySet(Vec<Policy>);

/// The rules that are about one container, of the set that chose them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection(Box<[RuleIndex]>);

/// A rule of a [`PolicySet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RuleIndex {
    policy: u32,
    rule: u32,
}

/// What becomes of an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No active rule is about it.
    Ignore,
    /// It is an event.
    Keep {
        /// The rule that gives the event its severity: the most severe, of these the first.
        rule: RuleIndex,
        /// A violation where one of the rules says so.
        action: Action,
    },
}

impl PolicySet {
    /// The policies in the order of their names decide.
    #[must_use]
    pub fn new(mut policies: Vec<Policy>) -> Self {
        policies.sort_by(|one, other| one.name.cmp(&other.name));
        Self(policies)
    }

    /// The policy and the rule that an index stands for; `None`: it is another set's.
    #[must_use]
    pub fn get(&self, index: RuleIndex) -> Option<(&Policy, &Rule)> {
        let policy = self.0.get(index.policy as usize)?;
        Some((policy, policy.rules.get(index.rule as usize)?))
    }

    /// The rules that are about a subject.
    #[must_use]
    pub fn select(&self, subject: &Subject<'_>) -> Selection {
        let chosen = self.0.iter().enumerate().filter(|(_, policy)| policy.scope.contains(subject));
        let rules = chosen.flat_map(|(policy, its)| {
            (0..its.rules.len()).map(move |rule| RuleIndex { policy: policy as u32, rule: rule as u32 })
        });
        Selection(rules.collect())
    }

    /// Holds an attempt against the rules of whoever made it. `matched` is emptied and then names all rules that are about
    /// it, those of policies that are not active too. Allocates nothing where `matched` has room.
    pub fn decide(&self, selection: &Selection, attempt: &Attempt<'_>, matched: &mut Vec<RuleIndex>) -> Verdict {
        matched.clear();
        let mut best: Option<(RuleIndex, Severity)> = None;
        let mut action = Action::Record;
        for index in &selection.0 {
            let Some((policy, rule)) = self.get(*index).filter(|(_, rule)| rule.matches(attempt)) else { continue };
            matched.push(*index);
            if policy.active {
                action = action.max(rule.action);
                best = best.filter(|(_, severity)| *severity >= rule.severity).or(Some((*index, rule.severity)));
            }
        }
        best.map_or(Verdict::Ignore, |(rule, _)| Verdict::Keep { rule, action })
    }
}

impl Selection {
    /// Whether nothing that the container does can be an event.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests;
