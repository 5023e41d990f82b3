//! What ends a run.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::losses::Losses;
use super::reader::Reader;
use crate::pipeline::Output;

/// How often the kernel's losses are brought into the metrics.
pub(super) const LOSSES_INTERVAL: Duration = Duration::from_secs(1);

/// SIGTERM and SIGINT.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Must be called inside a tokio runtime.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    pub(super) async fn any(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Until one comes or the thread ends by itself; meanwhile the kernel's losses are kept up with.
    pub(super) async fn wait<O: Output + Send + 'static>(mut self, reader: &mut Reader<O>, losses: &mut Losses) {
        let mut ticks = tokio::time::interval(LOSSES_INTERVAL);
        loop {
            tokio::select! {
                () = self.any() => return,
                _ = &mut reader.done => return,
                _ = ticks.tick() => losses.update(),
            }
        }
    }
}
