//! `run`'s end of the pipeline: batches on the sensor's thread, left with the journal.

mod share;
mod sorted;

use std::ops::ControlFlow;

use crate::batch::{Batch, Limits, Request};
use crate::container::Container;
use crate::event::{Event, Node};
use crate::journal::Journal;
use crate::lane::Lane;
use crate::loss::Loss;
use crate::pipeline::Output;
use crate::route::Route;
use crate::stopped::Stopped;
use share::Share;
use sorted::Sorted;

/// Batches events by route, tenant and lane, and never waits.
pub(super) struct Export {
    routes: Vec<Sorted>,
    journal: Journal,
    share: Share,
}

impl Export {
    pub(super) fn new(routes: Vec<Route>, limits: Limits, node: &Node, journal: Journal) -> Self {
        let routes = routes.into_iter().map(|route| Sorted::new(route, limits, node.clone())).collect();
        Self { routes, journal, share: Share::default() }
    }

    /// Adds a record that is no event to the batches of all routes that want such of the container.
    fn tell(&mut self, container: &Container, now_ns: u64, push: impl Fn(&mut Batch, u64) -> Option<Request>) {
        for (number, sorted) in self.routes.iter_mut().enumerate() {
            if sorted.route.wants_loss(container) {
                let offer = |lane, tenant: &str, request| self.journal.offer(lane, number, tenant, request);
                sorted.push(Lane::Violation, container, now_ns, &push, offer);
            }
        }
    }

    /// Leaves what was not full yet.
    pub(super) fn finish(mut self) {
        for (number, sorted) in self.routes.iter_mut().enumerate() {
            sorted.take(Batch::take, |lane, tenant, request| self.journal.offer(lane, number, tenant, request));
        }
    }
}

impl Output for Export {
    fn wants(&self, event: &Event<'_>) -> bool {
        let lane = Lane::of(event);
        self.routes.iter().any(|sorted| sorted.route.wants(event, lane))
    }

    fn has_room(&mut self, event: &Event<'_>) -> bool {
        Lane::of(event) == Lane::Violation || self.share.allows(event.container, event.count)
    }

    fn event(&mut self, event: &Event<'_>) -> ControlFlow<()> {
        let lane = Lane::of(event);
        for (number, sorted) in self.routes.iter_mut().enumerate() {
            if sorted.route.wants(event, lane) {
                let offer = |lane, tenant: &str, request| self.journal.offer(lane, number, tenant, request);
                sorted.push(lane, event.container, event.observed_ns, |batch, now| batch.push(event, now), offer);
            }
        }
        ControlFlow::Continue(())
    }

    fn loss(&mut self, loss: &Loss<'_>) {
        self.tell(loss.container, loss.observed_ns, |batch, now| batch.push_loss(loss, now));
    }

    fn stopped(&mut self, stopped: &Stopped<'_>) {
        self.tell(stopped.container, stopped.time_ns, |batch, now| batch.push_stopped(stopped, now));
    }

    fn drained(&mut self, now_ns: u64) -> ControlFlow<()> {
        self.share.drained(now_ns, || self.journal.is_pressed());
        for (number, sorted) in self.routes.iter_mut().enumerate() {
            let offer = |lane, tenant: &str, request| self.journal.offer(lane, number, tenant, request);
            sorted.take(|batch| batch.take_due(now_ns), offer);
        }
        ControlFlow::Continue(())
    }
}
