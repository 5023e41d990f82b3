//! Accesses that did not become events, as events of their own: `inotrail.exporter.loss`.

use std::collections::HashMap;
use std::fmt;
use std::num::ParseIntError;
use std::ops::AddAssign;
use std::str::FromStr;
use std::sync::Arc;

use crate::container::{Container, Origin, Snapshot};
use crate::metrics::{Books, Dropped, Metrics};
use crate::sensor::Unkept;

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
    /// Whom they did not reach; nothing: nobody got them.
    pub destination: Option<&'a str>,
    /// The run that had recorded them, where it was an earlier one.
    pub run: Option<Uuid>,
    /// How many of them were taken from the ring and are kept by nothing but this loss.
    pub owed: u64,
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

/// A run's name, as `inotrail.stream.id` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid(pub u128);

/// Numbers of lost accesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// In this time.
    pub count: u64,
    /// Since this run of the exporter started.
    pub total: u64,
    /// Numbered records that are gone with them, in this time: what is missing of streams.
    pub records: u64,
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
    accounts: HashMap<(Dropped, Of), Account>,
    told_ns: u64,
}

/// Whose losses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Of {
    /// Nobody knows.
    Nobody,
    /// A cgroup's.
    Cgroup(u64),
    /// Whoever's, on the way to a destination: its number, and the run that had recorded them; nothing: this one.
    Destination(usize, Option<Uuid>),
}

#[derive(Clone, Copy, Debug, Default)]
struct Account {
    /// Not told yet.
    new: u64,
    total: u64,
    /// Records: not told yet.
    new_records: u64,
    records: u64,
}

/// One event to be: accounts of all cgroups of one container together.
struct Sum<'a> {
    reason: Dropped,
    container: &'a Arc<Container>,
    destination: Option<usize>,
    run: Option<Uuid>,
    counts: Counts,
}

impl LossBook {
    /// Nothing was lost before `now_ns`.
    #[must_use]
    pub fn new(now_ns: u64) -> Self {
        Self { own: Arc::new(Container::new(Origin::Exporter)), accounts: HashMap::new(), told_ns: now_ns }
    }

    /// Who tells of what is nobody else's.
    #[must_use]
    pub fn exporter(&self) -> &Arc<Container> {
        &self.own
    }

    /// Adds accesses that had no room, of a cgroup where one is known.
    pub fn add(&mut self, reason: Dropped, cgroup_id: Option<u64>, count: u64) {
        let full = self.accounts.len() >= CGROUPS_MAX;
        let key = (reason, cgroup_id.map_or(Of::Nobody, Of::Cgroup));
        let key = if full && !self.accounts.contains_key(&key) { (reason, Of::Nobody) } else { key };
        let account = self.accounts.entry(key).or_default();
        account.new += count;
        account.total += count;
    }

    /// Whether it is time, or the clock went back.
    #[must_use]
    pub fn is_due(&self, now_ns: u64) -> bool {
        now_ns.checked_sub(self.told_ns).is_none_or(|age| age >= INTERVAL_NS)
    }

    /// Gives one event per reason, container and destination of which something was lost since the last time.
    pub fn tell(&mut self, now_ns: u64, metrics: &Metrics, containers: &Snapshot, mut each: impl FnMut(&Loss<'_>)) {
        let destinations = metrics.health.export.all();
        self.read(metrics, &destinations);
        // The calendar may have been set back since, here and below.
        let start_ns = std::mem::replace(&mut self.told_ns, now_ns).min(now_ns);
        // Where there is one only, it is plain whom they did not reach.
        let named = destinations.len() > 1;
        for Sum { reason, container, destination, run, counts } in self.sums(containers) {
            let owed = if run.is_none() && is_owed(reason, destination) { counts.count } else { 0 };
            let destination = destination.filter(|_| named).map(|number| &*destinations[number].name);
            each(&Loss {
                reason,
                container,
                destination,
                run,
                owed,
                counts: Some(counts),
                start_ns,
                end_ns: now_ns,
                observed_ns: now_ns,
                sequence: container.next_loss_sequence(),
            });
        }
        self.accounts.retain(|(_, of), account| {
            (account.new, account.new_records) = (0, 0);
            !matches!(of, Of::Cgroup(id) if containers.get(*id).is_none())
        });
    }

    /// The event of an outage, whose accesses nobody can count.
    pub fn outage(&self, outage: Outage, now_ns: u64, each: impl FnOnce(&Loss<'_>)) {
        each(&Loss {
            reason: Dropped::Detached,
            container: &self.own,
            destination: None,
            run: None,
            owed: 0,
            counts: None,
            start_ns: outage.end_ns.map_or(outage.start_ns, |end_ns| outage.start_ns.min(end_ns)),
            end_ns: outage.end_ns.unwrap_or(0),
            observed_ns: now_ns,
            sequence: self.own.next_loss_sequence(),
        });
    }

    /// The event of what an earlier run has taken and kept nowhere; it is in `metrics` already.
    pub fn unkept(&mut self, unkept: &Unkept, start_ns: u64, now_ns: u64, each: impl FnOnce(&Loss<'_>)) {
        let count = unkept.count;
        let account = self.accounts.entry((Dropped::Shutdown, Of::Nobody)).or_default();
        account.total += count;
        each(&Loss {
            reason: Dropped::Shutdown,
            container: &self.own,
            destination: None,
            run: Some(Uuid(unkept.stream)),
            owed: count,
            counts: Some(Counts { count, total: account.total, records: count }),
            start_ns: start_ns.min(now_ns),
            end_ns: now_ns,
            observed_ns: now_ns,
            sequence: self.own.next_loss_sequence(),
        });
    }

    /// Takes what others count.
    fn read(&mut self, metrics: &Metrics, destinations: &[Arc<Books>]) {
        for reason in Dropped::ALL {
            let (mut of_destinations, mut total) = (0, metrics.dropped(reason).get());
            for (number, books) in destinations.iter().enumerate() {
                let (mut accesses, mut records) = books.dropped(reason);
                of_destinations += accesses;
                for (run, _, of_run, records_of_run) in
                    books.earlier().into_iter().filter(|earlier| earlier.1 == reason)
                {
                    self.raise((reason, Of::Destination(number, Some(run))), of_run, records_of_run);
                    accesses = accesses.saturating_sub(of_run);
                    records = records.saturating_sub(records_of_run);
                }
                self.raise((reason, Of::Destination(number, None)), accesses, records);
            }
            // Told by cgroup as far as one was known, and not countable.
            if !matches!(reason, Dropped::RingFull | Dropped::Shed | Dropped::Detached) {
                // They are counted one after the other.
                total = total.saturating_sub(of_destinations);
                self.raise((reason, Of::Nobody), total, 0);
            }
        }
    }

    fn raise(&mut self, key: (Dropped, Of), total: u64, records: u64) {
        let known = self.accounts.get(&key).copied().unwrap_or_default();
        if (total, records) > (known.total, known.records) {
            let (new, new_records) = (total.saturating_sub(known.total), records.saturating_sub(known.records));
            self.accounts.insert(key, Account { new, total, new_records, records });
        }
    }

    fn sums<'a>(&'a self, containers: &'a Snapshot) -> Vec<Sum<'a>> {
        let mut sums: Vec<Sum<'_>> = Vec::new();
        for ((reason, of), account) in &self.accounts {
            let (cgroup_id, destination, run) = match *of {
                Of::Nobody => (None, None, None),
                Of::Cgroup(id) => (Some(id), None, None),
                Of::Destination(number, run) => (None, Some(number), run),
            };
            let container = cgroup_id.and_then(|id| containers.get(id)).unwrap_or(&self.own);
            let counts = Counts { count: account.new, total: account.total, records: account.new_records };
            let same = |sum: &&mut Sum<'_>| {
                sum.reason == *reason
                    && Arc::ptr_eq(sum.container, container)
                    && (sum.destination, sum.run) == (destination, run)
            };
            match sums.iter_mut().find(same) {
                Some(sum) => sum.counts += counts,
                None => sums.push(Sum { reason: *reason, container, destination, run, counts }),
            }
        }
        sums.retain(|sum| sum.counts.count > 0 || sum.counts.records > 0);
        sums
    }
}

/// Whether accesses that were lost for a reason on the way to a destination had been taken from the ring and were not
/// in the journal yet. Each is lost once for each destination: the first one's count.
fn is_owed(reason: Dropped, destination: Option<usize>) -> bool {
    match reason {
        Dropped::HeldFull => true,
        Dropped::Shed => destination.is_none_or(|number| number == 0),
        Dropped::QueueFull | Dropped::Encode => destination == Some(0),
        _ => false,
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:032x}", self.0);
        let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
        f.write_str(&parts.join("-"))
    }
}

impl FromStr for Uuid {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        u128::from_str_radix(&text.replace('-', ""), 16).map(Self)
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.count += other.count;
        self.total += other.total;
        self.records += other.records;
    }
}

#[cfg(test)]
mod tests;
