//! What was recorded, from the sensor's thread to destinations: kept until each of them has it, on disk where there is a
//! folder for it.
//!
//! ```text
//! offer (never waits) -> inbox -> writer: compress once, append -> spool per lane -> next -> a destination -> settle
//! ```
//!
//! The spools' work may wait for a disk: it is done on threads for that, and everything here is asynchronous but
//! [`Journal::offer`].

mod compressor;
mod inbox;
mod keeping;
mod spools;

use std::future::pending;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::select_all;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

use crate::batch::Request;
use crate::clock::steady_now;
use crate::lane::Lane;
use crate::loss::Uuid;
use crate::metrics::{Books, Dropped, Metrics};
use crate::sensor::{Inherited, Opened};
use inbox::{Inbox, Letter};
use spools::Spools;
pub use spools::Taken;

/// How long what was written may wait until it outlives a power cut. Violations do not wait.
const SYNC_INTERVAL: Duration = Duration::from_millis(200);
/// Letters written by one call.
const AT_ONCE: usize = 16;
/// More requests than usually wait for a destination that keeps up: those on their way, and as many again.
const BEHIND: u64 = 8;

/// How much is kept, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalConfig {
    /// Folder of the spools; nothing: memory only.
    pub folder: Option<PathBuf>,
    /// Bytes of memory: half for what is not compressed yet, half for what is.
    pub memory: usize,
    /// Bytes on disk.
    pub disk: u64,
    /// What is older is given up.
    pub age: Duration,
}

/// Who is to get what.
#[derive(Clone, Debug)]
pub struct Recipient {
    /// Its books; their name is the destination's.
    pub books: Arc<Books>,
    /// Number of its route, as [`Journal::offer`] has it.
    pub route: usize,
    /// What tells its route from all others, in other runs too.
    pub stream: u64,
}

/// The keeper of requests. Clones share it.
#[derive(Clone, Debug)]
pub struct Journal(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    inbox: Mutex<Inbox>,
    arrived: Notify,
    spools: Mutex<Spools>,
    /// Whether no more will be added.
    closed: watch::Sender<bool>,
    recipients: Vec<Recipient>,
    /// For each of them, lane by lane: that there is something to take. Wakes one of those who wait, who wakes the next one if there
    /// is more: woken all, they would only find out that there was one request.
    added: Vec<[Notify; Lane::ALL.len()]>,
    is_on_disk: bool,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Journal {
    /// Opens the spools and starts the tasks that write, for a run of the exporter. Must be called inside a tokio runtime.
    /// The account that is opened of what is `inherited` is told what is on disk of the first route.
    ///
    /// # Errors
    ///
    /// See [`crate::spool::Error`].
    pub fn open(
        config: &JournalConfig,
        recipients: Vec<Recipient>,
        run: Uuid,
        metrics: &Metrics,
        inherited: Option<Inherited>,
    ) -> Result<(Self, Option<Opened>), crate::spool::Error> {
        let mut spools = Spools::open(config, &recipients, run, metrics, steady_now())?;
        let account = inherited.map(|inherited| spools.account_by(inherited));
        metrics.queue_limit.set((config.memory / 2) as i64);
        let this = Self(Arc::new(Shared {
            inbox: Mutex::new(Inbox::new(config.memory / 2, metrics.queued.clone())),
            arrived: Notify::new(),
            spools: Mutex::new(spools),
            closed: watch::Sender::default(),
            added: recipients.iter().map(|_| Default::default()).collect(),
            recipients,
            is_on_disk: config.folder.is_some(),
            tasks: Mutex::default(),
        }));
        // There may be something from an earlier run.
        this.tell_all();
        let tasks = [tokio::spawn(this.clone().write()), tokio::spawn(this.clone().sync())];
        lock(&this.0.tasks).extend(tasks);
        Ok((this, account))
    }

    /// Leaves a request of a tenant (or of nobody in particular: empty) for all destinations of a route. Never waits; takes a lock that is held for microseconds. What there
    /// is no room for is counted: this one, or others that matter less.
    pub fn offer(&self, lane: Lane, route: usize, tenant: &str, request: Request) {
        let letter = Letter { lane, route, tenant: tenant.into(), request };
        let refused = lock(&self.0.inbox).push(letter, |shed| self.lose(&shed, Dropped::Shed));
        match refused {
            Ok(()) => self.0.arrived.notify_one(),
            Err(refused) => self.lose(&refused, Dropped::QueueFull),
        }
    }

    /// Whether the writer does not keep up.
    #[must_use]
    pub fn is_pressed(&self) -> bool {
        lock(&self.0.inbox).is_pressed()
    }

    /// Whether more requests of a route wait than usual, for each of its destinations, as of 0.2 s ago.
    #[must_use]
    pub fn is_behind(&self, route: usize) -> bool {
        let mut destinations = self.0.recipients.iter().filter(|recipient| recipient.route == route);
        destinations.all(|recipient| recipient.books.waiting().requests > BEHIND)
    }

    /// Whether what was taken outlives this process.
    #[must_use]
    pub fn is_on_disk(&self) -> bool {
        self.0.is_on_disk
    }

    /// Whether nothing more is taken: what is not sent soon waits for the next start, or is lost.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        *self.0.closed.borrow()
    }

    /// Returns when nothing more is taken.
    pub async fn closed(&self) {
        // An error would mean that it is gone: closed as well.
        drop(self.0.closed.subscribe().wait_for(|is_closed| *is_closed).await);
    }

    /// The next request for a destination, of the first of these lanes that has one; waits for it. Nothing when nothing is
    /// left and no more will be.
    pub async fn next(&self, destination: usize, lanes: &'static [Lane]) -> Option<Taken> {
        self.next_unless(destination, lanes, pending()).await
    }

    /// [`Self::next`], and nothing too when `left` is over before there is one. Nothing is taken and forgotten by that, as it
    /// would be by dropping the future.
    pub async fn next_unless(
        &self,
        destination: usize,
        lanes: &'static [Lane],
        left: impl Future<Output = ()>,
    ) -> Option<Taken> {
        tokio::pin!(left);
        loop {
            tokio::select! {
                () = self.has_something(destination, lanes) => {}
                () = self.closed() => {}
                () = &mut left => return None,
            }
            // Before the look, so that nothing comes unseen between the two.
            let is_closed = self.is_closed();
            let look =
                move |spools: &mut Spools| (spools.next(destination, lanes), spools.next_lane(destination, lanes));
            let (taken, more) = self.with_spools(look).await;
            if taken.is_none() && !is_closed {
                continue;
            }
            if let (Some(_), Some(lane)) = (&taken, more) {
                self.tell(destination, lane);
            }
            return taken;
        }
    }

    /// Waits until somebody says that one of these lanes may have something, to whoever waits for the longest time.
    async fn has_something(&self, destination: usize, lanes: &[Lane]) {
        let added = &self.0.added[destination];
        select_all(lanes.iter().map(|lane| Box::pin(added[*lane as usize].notified()))).await;
    }

    fn tell(&self, destination: usize, lane: Lane) {
        self.0.added[destination][lane as usize].notify_one();
    }

    fn tell_all(&self) {
        self.0.added.iter().flatten().for_each(Notify::notify_one);
    }

    /// Changes [`JournalConfig::age`]: what is older by now is given up soon.
    pub async fn set_age(&self, age: Duration) {
        self.with_spools(move |spools| spools.set_age(age)).await;
    }

    /// A destination has a request, or will never get it. Returns whether that is news: false where it was given up for
    /// others meanwhile, and is in the books as such.
    pub async fn settle(&self, destination: usize, taken: &Taken) -> bool {
        let (lane, id) = (taken.lane, taken.id);
        self.with_spools(move |spools| spools.settle(destination, lane, id)).await
    }

    /// Takes no more, and returns when all that was offered is written down, or at the deadline.
    pub async fn close(&self, deadline: Instant) {
        lock(&self.0.inbox).close();
        self.0.arrived.notify_one();
        let tasks = std::mem::take(&mut *lock(&self.0.tasks));
        let aborts: Vec<_> = tasks.iter().map(JoinHandle::abort_handle).collect();
        let ended = async {
            for task in tasks {
                // One that panicked has ended too.
                drop(task.await);
            }
        };
        if timeout_at(deadline, ended).await.is_err() {
            aborts.iter().for_each(tokio::task::AbortHandle::abort);
        }
        self.0.closed.send_replace(true);
    }

    /// After [`Self::close`]: makes what is on disk durable, and counts what is only in memory as lost.
    pub async fn finish(&self) {
        let left: Vec<_> = std::iter::from_fn(|| lock(&self.0.inbox).pop()).collect();
        for letter in left {
            self.lose(&letter, Dropped::Shutdown);
        }
        self.with_spools(|spools| spools.finish(steady_now())).await;
    }

    async fn write(self) {
        loop {
            let letters: Vec<_> = {
                let mut inbox = lock(&self.0.inbox);
                std::iter::from_fn(|| inbox.pop()).take(AT_ONCE).collect()
            };
            if !letters.is_empty() {
                let added: Vec<_> = letters.iter().map(|letter| (letter.route, letter.lane)).collect();
                self.with_spools(move |spools| spools.append(letters, steady_now())).await;
                for (number, recipient) in self.0.recipients.iter().enumerate() {
                    let of_route = added.iter().filter(|(route, _)| *route == recipient.route);
                    of_route.for_each(|(_, lane)| self.tell(number, *lane));
                }
            } else if lock(&self.0.inbox).is_closed() {
                return;
            } else {
                self.0.arrived.notified().await;
            }
        }
    }

    async fn sync(self) {
        let mut ticks = interval(SYNC_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !lock(&self.0.inbox).is_closed() {
            ticks.tick().await;
            if self.with_spools(|spools| spools.tick(steady_now())).await {
                self.tell_all();
            }
        }
    }

    /// Does something with the spools on a thread that may wait.
    async fn with_spools<T: Send + 'static>(&self, work: impl FnOnce(&mut Spools) -> T + Send + 'static) -> T {
        let shared = Arc::clone(&self.0);
        match spawn_blocking(move || work(&mut lock(&shared.spools))).await {
            Ok(done) => done,
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        }
    }

    fn lose(&self, letter: &Letter, reason: Dropped) {
        for recipient in self.0.recipients.iter().filter(|recipient| recipient.route == letter.route) {
            recipient.books.lose(reason, letter.request.accesses, letter.request.records);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
