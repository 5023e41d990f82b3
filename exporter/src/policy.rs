//! What is worth an event: policies, the containers that each is about, and what its rules say of an access. No I/O, no
//! clock.
//!
//! A container's rules are chosen once ([`PolicySet::select`]); each of its accesses is then held against these alone
//! ([`PolicySet::decide`]).

pub mod compile;
pub mod crd;
pub mod decoy;
pub mod document;
pub mod filter;
pub mod globs;
pub mod paths;
pub mod pattern;
pub mod replay;
pub mod rule;
pub mod scope;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use decoy::Decoy;
use rule::{Action, Attempt, Rule, Severity};
use scope::{Scope, Subject};

/// One policy, ready to be asked.
#[derive(Clone, Debug)]
pub struct Policy {
    /// `metadata.name`, behind `metadata.namespace` and a slash where it has one: `shop/tokens`.
    pub name: String,
    /// False: what it would keep is counted, and not kept for its sake.
    pub active: bool,
    /// Whom it is about.
    pub scope: Scope,
    /// What it is about; the last ones are those of its decoys.
    pub rules: Vec<Rule>,
    /// Files that its containers are to have.
    pub decoys: Vec<Arc<Decoy>>,
    /// What its rules were about so far.
    pub counts: Arc<Counts>,
}

/// Accesses that rules of a policy were about, by what the rules call them, and how many containers it is about.
#[derive(Debug, Default)]
pub struct Counts {
    records: AtomicU64,
    violations: AtomicU64,
    /// Events that the policy was about while it was not active, each once.
    pub dry_events: AtomicU64,
    /// Containers that the policy is about now.
    pub containers: AtomicU64,
    /// Whole paths in its rules that lead to a file in none of these.
    pub unresolved: AtomicU64,
}

impl Counts {
    /// The count for an action.
    #[must_use]
    pub const fn of(&self, action: Action) -> &AtomicU64 {
        match action {
            Action::Record => &self.records,
            Action::Violation => &self.violations,
        }
    }
}

/// All policies that are in force.
#[derive(Clone, Debug, Default)]
pub struct PolicySet(Vec<Arc<Policy>>);

/// The rules that are about one container, of the set that chose them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Selection(Box<[RuleIndex]>);

/// The rules of a container, and whether a path leads to nothing there.
pub type Files<'a> = (&'a Selection, &'a dyn Fn(&[u8]) -> bool);

/// A rule of a [`PolicySet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
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

/// What policies say of an event that is kept.
#[derive(Clone, Copy, Debug)]
pub struct Judgement<'a> {
    /// The set that the indexes are of.
    pub set: &'a PolicySet,
    /// The rule that gives the event its severity.
    pub rule: RuleIndex,
    /// A violation where one of the rules says so.
    pub action: Action,
    /// All rules that are about it, those of policies that are not active too.
    pub matched: &'a [RuleIndex],
}

impl<'a> Judgement<'a> {
    /// The rule that gives the event its severity, and its policy.
    #[must_use]
    pub fn rule(&self) -> Option<(&'a Policy, &'a Rule)> {
        self.set.get(self.rule)
    }

    /// Active policies with a rule that is about it, each once.
    pub fn policies(&self) -> impl Iterator<Item = &'a Policy> {
        let Self { set, matched, .. } = *self;
        // Rules of one policy stand side by side.
        let first = move |(number, index): &(usize, &RuleIndex)| {
            number.checked_sub(1).is_none_or(|before| matched[before].policy != index.policy)
        };
        let policies = matched.iter().enumerate().filter(first);
        policies.filter_map(move |(_, index)| Some(set.get(*index)?.0)).filter(|policy| policy.active)
    }
}

impl Policy {
    /// The decoy that a rule is about, if it is about one.
    fn decoy(&self, rule: usize) -> Option<&Arc<Decoy>> {
        self.decoys.get((rule + self.decoys.len()).checked_sub(self.rules.len())?)
    }
}

impl PolicySet {
    /// The policies in the order of their names decide.
    #[must_use]
    pub fn new(policies: impl IntoIterator<Item = Arc<Policy>>) -> Self {
        let mut policies: Vec<_> = policies.into_iter().collect();
        policies.sort_by(|one, other| one.name.cmp(&other.name));
        Self(policies)
    }

    /// How many policies there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Their names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|policy| &*policy.name)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The policy and the rule that an index stands for; `None`: it is another set's.
    #[must_use]
    pub fn get(&self, index: RuleIndex) -> Option<(&Policy, &Rule)> {
        let policy = self.0.get(index.policy as usize)?;
        Some((policy, policy.rules.get(index.rule as usize)?))
    }

    /// The rules that are about a subject. Those of decoys are about containers alone, which have some.
    #[must_use]
    pub fn select(&self, subject: &Subject<'_>) -> Selection {
        let is_host = matches!(subject, Subject::Host);
        self.rules_of(|policy| match policy.scope.contains(subject) {
            true if is_host => policy.rules.len() - policy.decoys.len().min(policy.rules.len()),
            true => policy.rules.len(),
            false => 0,
        })
    }

    /// The decoys that whoever has these rules is to have.
    pub fn decoys<'a>(&'a self, selection: &'a Selection) -> impl Iterator<Item = &'a Arc<Decoy>> {
        selection.indexes().filter_map(|index| {
            let policy = self.0.get(index.policy as usize).filter(|policy| policy.active)?;
            policy.decoy(index.rule as usize)
        })
    }

    /// Names of policies that have decoys to be put somewhere, in order.
    pub fn with_decoys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|policy| policy.active && !policy.decoys.is_empty()).map(|policy| &*policy.name)
    }

    /// Whole paths in these rules.
    pub fn files<'a>(&'a self, selection: &'a Selection) -> impl Iterator<Item = &'a [u8]> {
        selection.indexes().filter_map(|index| self.get(index)).flat_map(|(_, rule)| rule.paths.exact())
    }

    /// Says of each policy how many containers it is about; `selections`: of all containers.
    pub fn count_containers<'a>(&self, selections: impl Iterator<Item = &'a Selection>) {
        let mut counts = vec![0; self.0.len()];
        for selection in selections {
            let mut last = None;
            for RuleIndex { policy, .. } in selection.indexes() {
                // Rules of one policy stand side by side.
                if last.replace(policy) != Some(policy)
                    && let Some(count) = counts.get_mut(policy as usize)
                {
                    *count += 1;
                }
            }
        }
        for (policy, count) in self.0.iter().zip(counts) {
            policy.counts.containers.store(count, Ordering::Relaxed);
        }
    }

    /// Says of each policy how many whole paths in its rules lead to a file in no container.
    pub fn count_unresolved(&self, containers: &[Files<'_>]) {
        for (number, policy) in self.0.iter().enumerate() {
            let own: Vec<_> = containers.iter().filter(|(selection, _)| selection.has(number as u32)).collect();
            let paths: BTreeSet<&[u8]> = policy.rules.iter().flat_map(|rule| rule.paths.exact()).collect();
            let is_unresolved = |path: &&[u8]| !own.is_empty() && own.iter().all(|(_, is_missing)| is_missing(path));
            let count = paths.iter().filter(|path| is_unresolved(path)).count();
            policy.counts.unresolved.store(count as u64, Ordering::Relaxed);
        }
    }

    /// All rules.
    #[must_use]
    pub fn all(&self) -> Selection {
        self.rules_of(|policy| policy.rules.len())
    }

    /// `count`: how many of a policy's rules, from the first.
    fn rules_of(&self, count: impl Fn(&Policy) -> usize) -> Selection {
        let chosen = self.0.iter().enumerate().map(|(policy, its)| (policy, count(its)));
        let rules = chosen.flat_map(|(policy, count)| {
            (0..count).map(move |rule| RuleIndex { policy: policy as u32, rule: rule as u32 })
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

    /// Counts an event that stands for so many accesses; `matched` is as [`Self::decide`] leaves it.
    pub fn count(&self, matched: &[RuleIndex], accesses: u64) {
        let mut last = None;
        for index in matched {
            let Some((policy, rule)) = self.get(*index) else { continue };
            policy.counts.of(rule.action).fetch_add(accesses, Ordering::Relaxed);
            // Rules of one policy stand side by side.
            if last.replace(index.policy) != Some(index.policy) && !policy.active {
                policy.counts.dry_events.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Selection {
    /// Its rules, in order.
    pub fn indexes(&self) -> impl Iterator<Item = RuleIndex> {
        self.0.iter().copied()
    }

    /// Whether one of a policy's rules is among them.
    fn has(&self, policy: u32) -> bool {
        self.0.binary_search_by_key(&policy, |index| index.policy).is_ok()
    }

    /// Whether nothing that the container does can be an event.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests;
