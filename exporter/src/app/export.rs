//! `run`'s end of the pipeline: batches on the sensor's thread, left with the journal.

mod share;
mod sorted;

use std::ops::ControlFlow;

use crate::batch::{Batch, Limits, Request};
use crate::container::Container;
use crate::event::{Event, Node, Sight};
use crate::journal::Journal;
use crate::lane::Lane;
use crate::loss::Loss;
use crate::otlp::Encoder;
use crate::pipeline::Output;
use crate::route::Route;
use crate::stopped::Stopped;
use share::Share;
use sorted::Sorted;

/// Where requests are left. Nothing here waits.
pub trait Outbox {
    /// Takes a request of a tenant (empty: of nobody in particular) for all destinations of a route.
    fn offer(&self, lane: Lane, route: usize, tenant: &str, request: Request);

    /// Whether what was left is not taken away as fast as it comes.
    fn is_pressed(&self) -> bool;

    /// Whether requests of a route wait for each of its destinations: small ones would only make more of them.
    fn is_behind(&self, route: usize) -> bool;
}

impl Outbox for Journal {
    fn offer(&self, lane: Lane, route: usize, tenant: &str, request: Request) {
        Self::offer(self, lane, route, tenant, request);
    }

    fn is_pressed(&self) -> bool {
        Self::is_pressed(self)
    }

    fn is_behind(&self, route: usize) -> bool {
        Self::is_behind(self, route)
    }
}

/// Batches events by route, tenant and lane, and never waits.
pub struct Export<O> {
    routes: Vec<Sorted>,
    /// One of the routes takes every event.
    wants_all: bool,
    encoder: Encoder,
    outbox: O,
    share: Share,
}

impl<O: Outbox> Export<O> {
    /// For the events of this node.
    pub fn new(routes: Vec<Route>, limits: Limits, node: &Node, outbox: O) -> Self {
        let wants_all = routes.iter().any(Route::wants_all);
        let routes = routes.into_iter().map(|route| Sorted::new(route, limits, node.clone())).collect();
        Self { routes, wants_all, encoder: Encoder::new(node), outbox, share: Share::default() }
    }

    /// Adds a record that is no event to the batches of all routes that want such of the container.
    fn tell(
        &mut self,
        container: &Container,
        now_ns: u64,
        push: impl Fn(&mut Batch, &Encoder, u64) -> Option<Request>,
    ) {
        for (number, sorted) in self.routes.iter_mut().enumerate() {
            if sorted.route.wants_loss(container) {
                let offer = |lane, tenant: &str, request| self.outbox.offer(lane, number, tenant, request);
                sorted.push(Lane::Violation, container, |batch| push(batch, &self.encoder, now_ns), offer);
            }
        }
    }

    /// Leaves what was not full yet.
    pub fn finish(mut self) {
        for (number, sorted) in self.routes.iter_mut().enumerate() {
            sorted.take(|lane, tenant, request| self.outbox.offer(lane, number, tenant, request));
        }
    }
}

impl<O: Outbox> Output for Export<O> {
    fn wants(&self, event: &Event<'_>) -> bool {
        if self.wants_all {
            return true;
        }
        let lane = Lane::of(event);
        self.routes.iter().any(|sorted| sorted.route.wants(event, lane))
    }

    fn has_room(&mut self, event: &Event<'_>) -> bool {
        Lane::of(event) == Lane::Violation || self.share.allows(event.container, event.count)
    }

    fn knows(&self, event: &Event<'_>, sight: &Sight) -> bool {
        self.encoder.knows(event, sight)
    }

    fn event(&mut self, event: &Event<'_>) -> ControlFlow<()> {
        let lane = Lane::of(event);
        // One of them wants it, or it would not come here.
        let is_only = self.routes.len() == 1;
        for (number, sorted) in self.routes.iter_mut().enumerate() {
            if is_only || sorted.route.wants(event, lane) {
                let offer = |lane, tenant: &str, request| self.outbox.offer(lane, number, tenant, request);
                let push = |batch: &mut Batch| batch.push(&mut self.encoder, event, event.observed_ns);
                sorted.push(lane, event.container, push, offer);
            }
        }
        ControlFlow::Continue(())
    }

    fn loss(&mut self, loss: &Loss<'_>) {
        self.tell(loss.container, loss.observed_ns, |batch, encoder, now| batch.push_loss(encoder, loss, now));
    }

    fn stopped(&mut self, stopped: &Stopped<'_>) {
        self.tell(stopped.container, stopped.time_ns, |batch, encoder, now| batch.push_stopped(encoder, stopped, now));
    }

    fn drained(&mut self, now_ns: u64) -> ControlFlow<()> {
        self.share.drained(now_ns, || self.outbox.is_pressed());
        for (number, sorted) in self.routes.iter_mut().enumerate() {
            let offer = |lane, tenant: &str, request| self.outbox.offer(lane, number, tenant, request);
            sorted.take_due(now_ns, || self.outbox.is_behind(number), offer);
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests;
