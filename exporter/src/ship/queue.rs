//! What workers and those who offer share.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

use super::frame::Compression;
use super::pending::Pending;
use crate::batch::Request;
use crate::config::Export;
use crate::metrics::Metrics;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) metrics: Arc<Metrics>,
    /// Deadline of one attempt.
    pub(super) timeout: Duration,
    /// Longest time from offer to acknowledgement.
    pub(super) max_age: Duration,
    capacity: usize,
    queue: Mutex<VecDeque<Pending>>,
    /// One permit per request in the queue; closed when no more are taken.
    waiting: Semaphore,
    closed: watch::Sender<bool>,
    compression: Mutex<Compression>,
    configured: Compression,
    /// An export was answered, or failed: the probe has no say any more.
    tried: AtomicBool,
}

impl Shared {
    pub(super) fn new(config: &Export, metrics: Arc<Metrics>) -> Self {
        Self {
            metrics,
            timeout: config.timeout,
            max_age: config.max_age,
            capacity: config.queue_requests,
            queue: Mutex::default(),
            waiting: Semaphore::new(0),
            closed: watch::Sender::new(false),
            compression: Mutex::new(config.compression),
            configured: config.compression,
            tried: AtomicBool::new(false),
        }
    }

    pub(super) fn offer(&self, request: Request) -> Result<(), Request> {
        let mut queue = self.queue();
        // Under the lock, so that no request comes in behind `clear`.
        if queue.len() >= self.capacity || self.waiting.is_closed() {
            return Err(request);
        }
        queue.push_back(Pending::new(request, Arc::clone(&self.metrics)));
        self.waiting.add_permits(1);
        Ok(())
    }

    /// The next request; nothing once the queue is closed and empty.
    pub(super) async fn next(&self) -> Option<Pending> {
        if let Ok(permit) = self.waiting.acquire().await {
            permit.forget();
        }
        self.queue().pop_front()
    }

    pub(super) fn close(&self) {
        self.waiting.close();
        self.closed.send_replace(true);
    }

    pub(super) fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    /// Waits before another attempt: for less time if the queue is closed meanwhile, unless the receiver `asked` for it.
    pub(super) async fn pause(&self, delay: Duration, asked: bool) {
        if asked || self.is_closed() {
            return sleep(delay).await;
        }
        let mut closed = self.closed.subscribe();
        // Over after the delay, or with the channel closed: either way it is time.
        drop(timeout(delay, closed.wait_for(|closed| *closed)).await);
    }

    /// Gives up what is in the queue.
    pub(super) fn clear(&self) {
        self.queue().clear();
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<Pending>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn compression(&self) -> Compression {
        *self.compression.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The receiver refuses `used`: the next method is for all. Nothing where there is none left.
    pub(super) fn refused(&self, used: Compression) -> Option<()> {
        let next = used.next();
        let mut current = self.compression.lock().unwrap_or_else(PoisonError::into_inner);
        // Another worker may have found out before.
        if *current == used {
            *current = next.unwrap_or(self.configured);
        }
        next.map(|_| ())
    }

    /// The connection is gone: the next receiver may know more methods.
    pub(super) fn disconnected(&self) {
        *self.compression.lock().unwrap_or_else(PoisonError::into_inner) = self.configured;
    }

    /// Notes how an export ended. Returns whether that is news.
    pub(super) fn tried(&self, ok: bool) -> bool {
        let first = !self.tried.swap(true, Ordering::Relaxed);
        let before = self.metrics.health.export.get();
        self.metrics.health.export.set(ok);
        first || before != ok
    }

    /// Notes whether the receiver was found. Returns true if no one needs to look for it any more.
    pub(super) fn found(&self, connected: bool) -> bool {
        let tried = self.tried.load(Ordering::Relaxed);
        if connected && !tried {
            self.metrics.health.export.set(true);
        }
        connected || tried
    }
}
