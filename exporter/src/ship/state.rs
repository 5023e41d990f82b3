//! What the workers of one destination share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use tokio::sync::watch;

use super::frame::Compression;
use super::grpc::Tenant;
use crate::config::Export;
use crate::metrics::Books;

#[derive(Debug)]
pub(super) struct State {
    pub(super) books: Arc<Books>,
    /// Deadline of one attempt.
    pub(super) timeout: Duration,
    /// Longest time from the record to the acknowledgement.
    pub(super) max_age: Duration,
    tenant_header: Option<HeaderName>,
    compression: Mutex<Compression>,
    configured: Compression,
    /// An export was answered, or failed: the probe has no say any more.
    tried: AtomicBool,
    /// Told when the destination takes records again.
    recovered: watch::Sender<()>,
}

impl State {
    pub(super) fn new(config: &Export, books: Arc<Books>) -> Self {
        Self {
            books,
            timeout: config.timeout,
            max_age: config.max_age,
            tenant_header: config.tenant_header.clone(),
            compression: Mutex::new(config.compression),
            configured: config.compression,
            tried: AtomicBool::new(false),
            recovered: watch::Sender::new(()),
        }
    }

    /// Changes when the destination, which did not take records, does so again, to whichever worker.
    pub(super) fn recovery(&self) -> watch::Receiver<()> {
        self.recovered.subscribe()
    }

    /// The header for a tenant; nothing where there are none.
    pub(super) fn tenant(&self, name: &str) -> Option<Tenant> {
        let value = HeaderValue::from_str(name).ok().filter(|value| !value.is_empty())?;
        Some((self.tenant_header.clone()?, value))
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

    /// Notes that an export was acknowledged.
    pub(super) fn acknowledged(&self) {
        self.tried.store(true, Ordering::Relaxed);
        if self.books.set_health(Ok(())) {
            self.recovered.send_replace(());
            tracing::info!(destination = self.books.name, "the destination takes records");
        }
    }

    /// Notes how an export failed; one line for each new reason.
    pub(super) fn failed(&self, why: &str) {
        self.tried.store(true, Ordering::Relaxed);
        if self.books.set_health(Err(why.to_owned())) {
            tracing::warn!(destination = self.books.name, why, "the destination does not take records");
        }
    }

    /// Notes whether the receiver was found. Returns true if no one needs to look for it any more.
    pub(super) fn found(&self, found: Result<(), String>) -> bool {
        let (tried, is_found) = (self.tried.load(Ordering::Relaxed), found.is_ok());
        if !tried {
            self.books.set_health(found);
        }
        is_found || tried
    }
}
