//! Containers whose mounts are to be read, and the one read that is under way.

use std::collections::HashMap;
use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::{JoinHandle, spawn_blocking};

use super::read::{MountReader, Outcome, Wanted};
use super::{Content, HostMounts, Mounts};

/// Containers read at once.
const BATCH_MAX: usize = 64;
/// A container whose root is not ready is looked at again.
const TRY_AGAIN: Duration = Duration::from_millis(20);
/// Runtimes take a container out of the host's mounts sooner than that, if they ever do.
const AT_HOST_FOR: Duration = Duration::from_millis(200);
/// Containers that may wait.
const WAITING_MAX: usize = 4096;

/// One read at a time: should one hang, it is one thread.
#[derive(Debug)]
pub(in super::super) struct MountQueue {
    reader: Arc<MountReader>,
    /// How long a container's root may take to be ready.
    within: Duration,
    waiting: HashMap<u64, Waiting>,
    running: Option<JoinHandle<Read>>,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    since: Instant,
    not_before: Instant,
}

type Read = (HostMounts, Vec<(u64, Outcome)>);

/// What a read has brought.
#[derive(Debug)]
pub(in super::super) struct MountsRead {
    pub(in super::super) host: Arc<HostMounts>,
    /// By cgroup; `None`: nobody knows.
    pub(in super::super) containers: Vec<(u64, Option<Mounts<Content>>)>,
}

impl MountQueue {
    pub(in super::super) fn new(reader: MountReader, within: Duration) -> Self {
        Self { reader: Arc::new(reader), within, waiting: HashMap::new(), running: None }
    }

    pub(in super::super) fn reader(&self) -> Arc<MountReader> {
        Arc::clone(&self.reader)
    }

    /// Asks for what is mounted in the container of a cgroup; false: too much waits.
    pub(in super::super) fn want(&mut self, cgroup: u64, now: Instant) -> bool {
        let room = self.waiting.len() < WAITING_MAX || self.waiting.contains_key(&cgroup);
        if room {
            self.waiting.entry(cgroup).or_insert(Waiting { since: now, not_before: now });
        }
        room
    }

    /// The cgroup is empty for good; true: it waited.
    pub(in super::super) fn gone(&mut self, cgroup: u64) -> bool {
        self.waiting.remove(&cgroup).is_some()
    }

    /// Whether anything is to be done soon.
    pub(in super::super) fn is_busy(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Starts the next read, unless one is under way. `describe` says who lives in a cgroup; `None`: nobody any more. Returns
    /// these: nobody will know what they had mounted.
    pub(in super::super) fn start(&mut self, now: Instant, describe: impl Fn(u64) -> Option<Wanted>) -> Vec<u64> {
        if self.running.is_some() {
            return Vec::new();
        }
        let due = self.waiting.iter().filter(|(_, waiting)| waiting.not_before <= now).map(|(cgroup, _)| *cgroup);
        let due: Vec<_> = due.take(BATCH_MAX).collect();
        let (mut wanted, mut gone) = (Vec::with_capacity(due.len()), Vec::new());
        for cgroup in due {
            if let Some(description) = describe(cgroup) {
                wanted.push(description);
            } else {
                self.waiting.remove(&cgroup);
                gone.push(cgroup);
            }
        }
        if !wanted.is_empty() {
            let reader = Arc::clone(&self.reader);
            self.running = Some(spawn_blocking(move || reader.read(&wanted)));
        }
        gone
    }

    /// Waits for the read that is under way.
    pub(in super::super) async fn next(&mut self) -> MountsRead {
        let Some(running) = &mut self.running else { return pending().await };
        let read = running.await;
        self.running = None;
        let (host, found) = read.unwrap_or_default();
        let now = Instant::now();
        let ended = found.into_iter().filter(|(cgroup, outcome)| self.ends(*cgroup, outcome, now));
        let containers = ended.map(|(cgroup, outcome)| match outcome {
            Outcome::Found(mounts) => (cgroup, Some(mounts)),
            Outcome::NotYet | Outcome::AtHost | Outcome::Unreadable => (cgroup, None),
        });
        MountsRead { containers: containers.collect(), host: Arc::new(host) }
    }

    /// Whether a cgroup that still waits has its answer; else it is read again soon.
    fn ends(&mut self, cgroup: u64, outcome: &Outcome, now: Instant) -> bool {
        let Some(waiting) = self.waiting.get_mut(&cgroup) else { return false };
        let within = match outcome {
            Outcome::NotYet => self.within,
            Outcome::AtHost => AT_HOST_FOR.min(self.within),
            Outcome::Found(_) | Outcome::Unreadable => Duration::ZERO,
        };
        let ends = now.duration_since(waiting.since) >= within;
        if ends {
            self.waiting.remove(&cgroup);
        } else {
            waiting.not_before = now + TRY_AGAIN;
        }
        ends
    }
}
