//! Accesses that did not become events, as events of their own: `inotrail.exporter.loss`.

use std::collections::HashMap;
use std::sync::Arc;

use crate::container::{Container, Origin, Snapshot};
use crate::metrics::{Dropped, Metrics};

/// At most one event per reason and container in this time.
const INTERVAL_NS: u64 = 10_000_000_000;
/// Cgroups that are told apart; what is lost of further ones is the exporter's.
const CGROUPS_MAX: usize = 4096;

/// What was lost for one reason in one time.
#[derive(Clone, Copy, Debug)]
pub struct Loss<'a> {
    /// Why.
    pub reason: Dropped,
    /// Whose accesses they were; the exporter itself where that is not known.
    pub container: &'a Arc<Container>,
    /// How many, and how many since this run started; nothing where that cannot be counted.
    pub counts: Option<Counts>,
    /// From when on, nanoseconds since the Unix epoch.
    pub start_ns: u64,
    /// Until when, nanoseconds since the Unix epoch; 0: it is not over.
    pub end_ns: u64,
    /// When the exporter noticed, nanoseconds since the Unix epoch.
    pub observed_ns: u64,
    /// Number of this event in its container's stream of losses, from 1.
    pub sequence: u64,
}

/// Numbers of lost accesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// In this time.
    pub count: u64,
    /// Since this run of the exporter started.
    pub total: u64,
}

/// A time without programs that report accesses, as Unix time in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// From when on accesses may be missing.
    pub start_ns: u64,
    /// From when on they are reported again; nothing: they are not.
    pub end_ns: Option<u64>,
}

impl Loss<'_> {
    /// Whether the count may be too high: the kernel counts calls that it skipped, and not all of them would have been
    /// accesses.
    #[must_use]
    pub fn is_upper_bound(&self) -> bool {
        self.reason == Dropped::HookMissed
    }
}

/// Collects losses until it is time to tell of them.
#[derive(Debug)]
pub struct LossBook {
    own: Arc<Container>,
    accounts: HashMap<(Dropped, Option<u64>), Account>,
    told_ns: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Account {
    /// Not told yet.
    new: u64,
    total: u64,
}

/// One event to be: accounts of all cgroups of one container together.
struct Sum<'a> {
    reason: Dropped,
    container: &'a Arc<Container>,
    counts: Counts,
}

impl LossBook {
    /// Nothing was lost before `now_ns`.
    #[must_use]
    pub fn new(now_ns: u64) -> Self {
        Self { own: Arc::new(Container::new(Origin::Exporter)), accounts: HashMap::new(), told_ns: now_ns }
    }

    /// Adds accesses that the ring had no room for, of a cgroup where one is known.
    pub fn add(&mut self, cgroup_id: Option<u64>, count: u64) {
        let full = self.accounts.len() >= CGROUPS_MAX;
        let key = (Dropped::RingFull, cgroup_id);
        let key = if full && !self.accounts.contains_key(&key) { (Dropped::RingFull, None) } else { key };
        let account = self.accounts.entry(key).or_default();
        account.new += count;
        account.total += count;
    }

    /// Whether it is time, or the clock went back.
    #[must_use]
    pub fn is_due(&self, now_ns: u64) -> bool {
        now_ns.checked_sub(self.told_ns).is_none_or(|age| age >= INTERVAL_NS)
    }

    /// Gives one event per reason and container of which something was lost since the last time.
    pub fn tell(&mut self, now_ns: u64, metrics: &Metrics, containers: &Snapshot, mut each: impl FnMut(&Loss<'_>)) {
        self.read(metrics);
        let start_ns = std::mem::replace(&mut self.told_ns, now_ns);
        for Sum { reason, container, counts } in self.sums(containers) {
            each(&Loss {
                reason,
                container,
                counts: Some(counts),
                start_ns,
                end_ns: now_ns,
                observed_ns: now_ns,
                sequence: container.next_loss_sequence(),
            });
        }
        self.accounts.retain(|(_, cgroup_id), account| {
            account.new = 0;
            cgroup_id.is_none_or(|id| containers.get(id).is_some())
        });
    }

    /// The event of an outage, whose accesses nobody can count.
    pub fn outage(&self, outage: Outage, now_ns: u64, each: impl FnOnce(&Loss<'_>)) {
        each(&Loss {
            reason: Dropped::Detached,
            container: &self.own,
            counts: None,
            start_ns: outage.start_ns,
            end_ns: outage.end_ns.unwrap_or(0),
            observed_ns: now_ns,
            sequence: self.own.next_loss_sequence(),
        });
    }

    /// Takes what others count.
    fn read(&mut self, metrics: &Metrics) {
        for reason in Dropped::ALL {
            // Told by cgroup, and not countable.
            if matches!(reason, Dropped::RingFull | Dropped::Detached) {
                continue;
            }
            let total = metrics.dropped(reason).get();
            let account = self.accounts.entry((reason, None)).or_default();
            account.new = total.saturating_sub(account.total);
            account.total = total;
        }
    }

    fn sums<'a>(&'a self, containers: &'a Snapshot) -> Vec<Sum<'a>> {
        let mut sums: Vec<Sum<'_>> = Vec::new();
        for ((reason, cgroup_id), account) in &self.accounts {
            let container = cgroup_id.and_then(|id| containers.get(id)).unwrap_or(&self.own);
            let same = |sum: &&mut Sum<'_>| sum.reason == *reason && Arc::ptr_eq(sum.container, container);
            if let Some(sum) = sums.iter_mut().find(same) {
                sum.counts.count += account.new;
                sum.counts.total += account.total;
            } else {
                let counts = Counts { count: account.new, total: account.total };
                sums.push(Sum { reason: *reason, container, counts });
            }
        }
        sums.retain(|sum| sum.counts.count > 0);
        sums
    }
}

#[cfg(test)]
mod tests;
