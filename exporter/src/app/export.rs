//! `run`'s end of the pipeline: batches on the sensor thread, offered to the tasks that send them.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::batch::{Batch, Request};
use crate::event::Event;
use crate::loss::Loss;
use crate::metrics::{Dropped, Metrics};
use crate::pipeline::Output;
use crate::ship::Queue;

/// Batches events and never waits: a request for which the queue has no room is counted and gone.
pub(super) struct Export {
    batch: Batch,
    queue: Queue,
    metrics: Arc<Metrics>,
}

impl Export {
    pub(super) fn new(batch: Batch, queue: Queue, metrics: Arc<Metrics>) -> Self {
        Self { batch, queue, metrics }
    }

    /// Offers what was not full yet.
    pub(super) fn finish(mut self) {
        if let Some(request) = self.batch.take() {
            self.offer(request);
        }
    }

    fn offer(&self, request: Request) {
        if let Err(refused) = self.queue.offer(request) {
            self.metrics.dropped(Dropped::QueueFull).inc_by(refused.accesses);
        }
    }
}

impl Output for Export {
    fn wants(&self, _: &Event<'_>) -> bool {
        true
    }

    fn event(&mut self, event: &Event<'_>) -> ControlFlow<()> {
        if let Some(request) = self.batch.push(event, event.observed_ns) {
            self.offer(request);
        }
        ControlFlow::Continue(())
    }

    fn loss(&mut self, loss: &Loss<'_>) {
        if let Some(request) = self.batch.push_loss(loss, loss.observed_ns) {
            self.offer(request);
        }
    }

    fn drained(&mut self, now_ns: u64) -> ControlFlow<()> {
        if self.batch.due(now_ns)
            && let Some(request) = self.batch.take()
        {
            self.offer(request);
        }
        ControlFlow::Continue(())
    }
}
