//! What was emitted and what was dropped, and why; and what is well.

use std::array;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use crate::container::source::Source as Teller;
use crate::decoy::Refused;

mod books;
mod durations;
pub mod families;
mod family;
mod process;
mod registry;

pub use books::{Books, Destinations, OnTheWay, Waiting};
pub use durations::{BOUNDS, Durations, Heard, Listener};
pub use family::{Each, Family, Kind, Label, Source, Value};
pub use process::Process;
pub use registry::{KernelCount, KernelState, registry};

/// Every count of user space, one owner each; cheap to bump from the event path (a relaxed add).
#[derive(Debug)]
pub struct Metrics {
    /// Accesses given to the sink: an event of counted ones is as many as it says. The sensor thread's.
    pub emitted: Counter,
    /// Accesses in log records that a destination acknowledged. Of [`Books`], as the two below.
    pub delivered: Counter,
    /// Export requests sent again.
    pub export_retries: Counter,
    /// Bytes of export requests sent, after compression.
    pub exported_bytes: Counter,
    /// Events released without their container's name. The sensor thread's.
    pub unresolved: Counter,
    /// Accesses of containers with rules whose file has no name, so that no rule could be asked. The sensor thread's.
    pub undecided: Counter,
    /// Events whose time was ahead of the calendar's. The sensor thread's.
    pub clamped: Counter,
    /// Containers of which everything is recorded because the kernel's filter was full. The container task's.
    pub filter_full: Counter,
    /// Names, and files, that the kernel's filter holds now. The container task's.
    pub filter_entries: [Gauge; 2],
    /// How many of each it can hold. The container task's.
    pub filter_limit: Gauge,
    /// Cgroups forgotten before their time because the table was full. The container task's.
    pub containers_evicted: Counter,
    /// Cgroups that are known. The container task's.
    pub containers: Gauge,
    /// Containers that are never reported. The container task's.
    pub containers_excluded: Gauge,
    /// Policies that are in force. The container task's.
    pub policies: Gauge,
    /// Bytes of requests that wait to be written down, and how many there is room for. The journal's.
    pub queued: Gauge,
    /// See above.
    pub queue_limit: Gauge,
    /// Who is told how long requests took.
    pub heard: Heard,
    /// Decoys that are in containers. The thread's that makes them.
    pub decoys: Gauge,
    decoys_refused: [Counter; Refused::NAMES.len()],
    reloads: [Counter; 2],
    dropped: [Counter; Dropped::ALL.len()],
    resolved: [Counter; Teller::ALL.len()],
    /// What readiness is made of.
    pub health: Health,
}

/// Parts whose failure degrades the exporter without stopping it. Each has one writer.
#[derive(Debug, Default)]
pub struct Health {
    /// Programs are attached and the self-test passed.
    pub sensor: Flag,
    /// The container runtime answers, or none is configured.
    pub runtime: Flag,
    /// What all destinations say.
    pub export: Destinations,
    /// Why the configuration that is there is not in force. It degrades nothing: what is in force goes on.
    pub config: Problem,
    /// Why the disk that is to keep what waits does not: it waits in memory.
    pub spool: Problem,
}

/// A problem that one thread knows and others read, in words. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Problem(Arc<Mutex<Option<String>>>);

impl Problem {
    /// Notes what it is; nothing: there is none any more.
    pub fn set(&self, problem: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }

    /// What it is. Not to be trusted without quotes: a file's words may be in it.
    #[must_use]
    pub fn get(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A boolean that one thread sets and others read.
#[derive(Debug, Default)]
pub struct Flag(AtomicBool);

impl Flag {
    /// Sets it.
    pub fn set(&self, on: bool) {
        self.0.store(on, Ordering::Relaxed);
    }

    /// Reads it.
    #[must_use]
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            emitted: Counter::default(),
            delivered: Counter::default(),
            export_retries: Counter::default(),
            exported_bytes: Counter::default(),
            unresolved: Counter::default(),
            undecided: Counter::default(),
            clamped: Counter::default(),
            filter_full: Counter::default(),
            filter_entries: array::from_fn(|_| Gauge::default()),
            filter_limit: Gauge::default(),
            containers_evicted: Counter::default(),
            containers: Gauge::default(),
            containers_excluded: Gauge::default(),
            policies: Gauge::default(),
            queued: Gauge::default(),
            queue_limit: Gauge::default(),
            heard: Heard::default(),
            decoys: Gauge::default(),
            decoys_refused: array::from_fn(|_| Counter::default()),
            reloads: array::from_fn(|_| Counter::default()),
            dropped: array::from_fn(|_| Counter::default()),
            resolved: array::from_fn(|_| Counter::default()),
            health: Health::default(),
        }
    }
}

impl Metrics {
    /// The count of one reason.
    #[must_use]
    pub fn dropped(&self, reason: Dropped) -> &Counter {
        &self.dropped[reason as usize]
    }

    /// How often the configuration was read again and taken up, or not. The task's that reads it.
    #[must_use]
    pub fn reloads(&self, taken_up: bool) -> &Counter {
        &self.reloads[usize::from(!taken_up)]
    }

    /// Opens the books of a destination.
    pub fn open_books(&self, name: &str) -> Arc<Books> {
        let books = Arc::new(Books::new(name, self));
        self.health.export.push(Arc::clone(&books));
        books
    }

    /// Containers whose name a source was the first to tell. The container task's.
    #[must_use]
    pub fn resolved(&self, source: Teller) -> &Counter {
        &self.resolved[source as usize]
    }

    /// Decoys that were not made. The thread's that makes them.
    #[must_use]
    pub fn decoys_refused(&self, why: Refused) -> &Counter {
        &self.decoys_refused[why.index()]
    }

    /// All drops in words: `3 dropped: ring_full 2, held_full 1`.
    #[must_use]
    pub fn drops(&self) -> String {
        let counts = Dropped::ALL.map(|reason| (reason.as_str(), self.dropped(reason).get()));
        let dropped: u64 = counts.iter().map(|(_, count)| count).sum();
        let reasons = counts.into_iter().filter(|(_, count)| *count > 0);
        let reasons: Vec<_> = reasons.map(|(reason, count)| format!("{reason} {count}")).collect();
        if reasons.is_empty() { "0 dropped".to_owned() } else { format!("{dropped} dropped: {}", reasons.join(", ")) }
    }
}

/// Why an access that the kernel recorded, or tried to record, is in no delivered event. Each has one owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dropped {
    /// The kernel's ring buffer had no room, and neither had the ledger.
    RingFull,
    /// The kernel did not run the program (recursion guard); an upper bound.
    HookMissed,
    /// No program was attached.
    Detached,
    /// Too many events waited for their container's name.
    HeldFull,
    /// The queue to the exporter was full.
    QueueFull,
    /// Shed on purpose, lowest severity first.
    Shed,
    /// The record was malformed or could not be encoded.
    Encode,
    /// The receiver refused it for good.
    Rejected,
    /// It waited longer than it may.
    Expired,
    /// The spool on disk had no room.
    SpoolFull,
    /// The deadline of the shutdown came first.
    Shutdown,
}

impl Dropped {
    /// Every reason.
    pub const ALL: [Self; 11] = [
        Self::RingFull,
        Self::HookMissed,
        Self::Detached,
        Self::HeldFull,
        Self::QueueFull,
        Self::Shed,
        Self::Encode,
        Self::Rejected,
        Self::Expired,
        Self::SpoolFull,
        Self::Shutdown,
    ];

    /// Where it happens, as loss records name it.
    #[must_use]
    pub const fn stage(self) -> &'static str {
        match self {
            Self::RingFull => "kernel_ringbuf",
            Self::HookMissed => "kernel_hook",
            Self::Detached => "detached",
            Self::HeldFull => "held",
            Self::QueueFull | Self::Shed => "queue",
            Self::Encode => "encode",
            Self::Rejected => "export_rejected",
            Self::Expired => "export_expired",
            Self::SpoolFull => "spool",
            Self::Shutdown => "shutdown",
        }
    }

    /// The reason as metrics, logs and loss records name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RingFull => "ring_full",
            Self::HookMissed => "hook_missed",
            Self::Detached => "detached",
            Self::HeldFull => "held_full",
            Self::QueueFull => "queue_full",
            Self::Shed => "shed",
            Self::Encode => "encode",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::SpoolFull => "spool_full",
            Self::Shutdown => "shutdown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_drops_in_words() {
        let metrics = Metrics::default();
        assert_eq!(metrics.drops(), "0 dropped");
        metrics.dropped(Dropped::HeldFull).inc_by(1);
        metrics.dropped(Dropped::RingFull).inc_by(2);
        assert_eq!(metrics.drops(), "3 dropped: ring_full 2, held_full 1");
    }
}
