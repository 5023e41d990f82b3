//! The batches of one route: one per tenant and lane.

use std::time::Duration;

use crate::batch::{Batch, Limits, Request};
use crate::container::Container;
use crate::event::Node;
use crate::lane::Lane;
use crate::route::Route;

/// Tenants with batches at once: each takes memory for what it has not sent.
const TENANTS_MAX: usize = 64;
/// Violations wait for others no longer than this, even where their destination does not keep up.
const VIOLATIONS_AGE: Duration = Duration::from_millis(100);

/// What goes to a route, and what waits to go there.
pub(super) struct Sorted {
    pub(super) route: Route,
    limits: Limits,
    node: Node,
    tenants: Vec<Tenant>,
    /// Which of them makes room for the next one.
    oldest: usize,
}

struct Tenant {
    name: String,
    lanes: [Batch; Lane::ALL.len()],
}

impl Sorted {
    pub(super) const fn new(route: Route, limits: Limits, node: Node) -> Self {
        Self { route, limits, node, tenants: Vec::new(), oldest: 0 }
    }

    /// Adds a record by `push`; `offer` gets requests that are full.
    pub(super) fn push(
        &mut self,
        lane: Lane,
        container: &Container,
        push: impl FnOnce(&mut Batch) -> Option<Request>,
        mut offer: impl FnMut(Lane, &str, Request),
    ) {
        let index = self.tenant(container, &mut offer);
        let Tenant { name, lanes } = &mut self.tenants[index];
        if let Some(request) = push(&mut lanes[lane as usize]) {
            offer(lane, name, request);
        }
    }

    /// Takes requests of all batches, of what matters most first.
    pub(super) fn take(&mut self, offer: impl FnMut(Lane, &str, Request)) {
        self.take_by(|_, batch| batch.take(), offer);
    }

    /// The same of batches that are due. All but violations share one interval, so that many tenants do not make many requests.
    pub(super) fn take_due(
        &mut self,
        now_ns: u64,
        is_behind: impl Fn() -> bool,
        offer: impl FnMut(Lane, &str, Request),
    ) {
        let filled = |tenant: &Tenant| {
            let others = Lane::ALL.into_iter().filter(|lane| *lane != Lane::Violation);
            others.filter(|lane| !tenant.lanes[*lane as usize].is_empty()).count()
        };
        let all = self.tenants.iter().map(filled).sum::<usize>() as u32;
        let share = |lane| if lane == Lane::Violation { 1 } else { all };
        self.take_by(|lane, batch| batch.take_due(now_ns, share(lane), &is_behind), offer);
    }

    fn take_by(
        &mut self,
        take: impl Fn(Lane, &mut Batch) -> Option<Request>,
        mut offer: impl FnMut(Lane, &str, Request),
    ) {
        for lane in Lane::ALL.into_iter().rev() {
            for Tenant { name, lanes } in &mut self.tenants {
                if let Some(request) = take(lane, &mut lanes[lane as usize]) {
                    offer(lane, name, request);
                }
            }
        }
    }

    /// The index of a container's tenant. Where there are too many, the one that is there for longest goes.
    fn tenant(&mut self, container: &Container, offer: &mut impl FnMut(Lane, &str, Request)) -> usize {
        if self.route.tenant.is_none() && !self.tenants.is_empty() {
            return 0;
        }
        let name = self.route.tenant(container);
        if let Some(index) = self.tenants.iter().position(|tenant| tenant.name == name) {
            return index;
        }
        if self.tenants.len() < TENANTS_MAX {
            let lanes = Lane::ALL.map(|lane| Batch::new(self.limits_of(lane), self.node.clone()));
            self.tenants.push(Tenant { name: name.to_owned(), lanes });
            return self.tenants.len() - 1;
        }
        let index = self.oldest;
        self.oldest = (index + 1) % TENANTS_MAX;
        let tenant = &mut self.tenants[index];
        for (lane, batch) in Lane::ALL.into_iter().zip(&mut tenant.lanes) {
            if let Some(request) = batch.take() {
                offer(lane, &tenant.name, request);
            }
        }
        name.clone_into(&mut tenant.name);
        index
    }

    fn limits_of(&self, lane: Lane) -> Limits {
        let age = if lane == Lane::Violation { self.limits.age.min(VIOLATIONS_AGE) } else { self.limits.age };
        Limits { age, ..self.limits }
    }
}
