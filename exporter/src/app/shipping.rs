//! The journal and all destinations.

use std::io;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::{Error, Signals};
use crate::config;
use crate::journal::{Journal, Recipient};
use crate::loss::Uuid;
use crate::metrics::Metrics;
use crate::route::Route;
use crate::sensor::{Inherited, Opened};
use crate::ship::{self, Destination};

/// What a shutdown may take to send what waits: Kubernetes kills after 30 s.
const SHUTDOWN: Duration = Duration::from_secs(20);
/// What of it is left for what is on its way to the spool, and to the disk.
const KEEPING: Duration = Duration::from_secs(5);

/// What was recorded, on its way.
#[derive(Debug)]
pub struct Shipping {
    /// Takes what was recorded.
    pub journal: Journal,
    /// By number, as the journal has them.
    pub(super) routes: Vec<Route>,
    destinations: Vec<Destination>,
    /// In the same order: what is in force.
    config: Vec<config::Destination>,
    age: Duration,
}

impl Shipping {
    /// Must be called inside a tokio runtime. `run` is this one. The account that is opened of what is `inherited` is told what
    /// is on disk, where there is one route only.
    ///
    /// # Errors
    /// A destination cannot be reached by its settings, or there is no spool.
    pub fn start(
        config: &config::Shipping,
        run: Uuid,
        metrics: &Metrics,
        inherited: Option<Inherited>,
    ) -> Result<(Self, Option<Opened>), Error> {
        let mut routes: Vec<Route> = Vec::new();
        let recipients = config.destinations.iter().map(|destination| {
            let route = &destination.route;
            let number = routes.iter().position(|known| known.words == route.words).unwrap_or_else(|| {
                routes.push(route.clone());
                routes.len() - 1
            });
            Recipient { books: metrics.open_books(&destination.name), route: number, stream: route.stream() }
        });
        let recipients: Vec<_> = recipients.collect();
        let (journal, account) = Journal::open(&config.journal, recipients.clone(), run, metrics, inherited)?;
        let start = |(number, destination): (usize, &config::Destination)| {
            ship::spawn(&destination.export, number, &journal, &recipients[number].books)
        };
        let destinations = config.destinations.iter().enumerate().map(start).collect::<Result<Vec<_>, _>>()?;
        let (config, age) = (config.destinations.clone(), config.journal.age);
        Ok((Self { journal, routes, destinations, config, age }, account))
    }

    /// Puts other settings in force, for the destinations that there are: all of them, or none. Must be called inside a tokio
    /// runtime. Returns the names of destinations that had others.
    ///
    /// # Errors
    /// The name of a destination that cannot be reached by its new settings, and why.
    pub(super) fn change(&mut self, config: &config::Shipping) -> Result<Vec<String>, (String, ship::Error)> {
        let mut changes = Vec::new();
        for (number, known) in self.config.iter().enumerate() {
            let new = config.destinations.iter().find(|new| new.name == known.name);
            let Some(new) = new.filter(|new| new.export != known.export) else { continue };
            let change = self.destinations[number].prepare(&new.export).map_err(|error| (new.name.clone(), error))?;
            changes.push((number, new.export.clone(), change));
        }
        let name = |(number, export, change): (usize, config::Export, ship::Change)| {
            self.destinations[number].apply(change);
            self.config[number].export = export;
            self.config[number].name.clone()
        };
        let changed = changes.into_iter().map(name).collect();
        if self.age != config.journal.age {
            self.age = config.journal.age;
            let (journal, age) = (self.journal.clone(), self.age);
            tokio::spawn(async move { journal.set_age(age).await });
        }
        Ok(changed)
    }

    /// Sends what waits until the deadline, or until a second signal comes. What is left then waits on disk for the next
    /// start, or is counted as dropped where there is none.
    ///
    /// # Errors
    /// Signals cannot be listened for.
    pub async fn drain(self) -> io::Result<()> {
        let Self { journal, destinations, .. } = self;
        let mut signals = Signals::new()?;
        let start = Instant::now();
        journal.close(start + KEEPING).await;
        let (stop, told) = watch::channel(start + SHUTDOWN);
        let all = destinations.into_iter().map(|destination| destination.drain(told.clone()));
        let all = futures_util::future::join_all(all);
        tokio::pin!(all);
        tokio::select! {
            _ = &mut all => {}
            () = signals.any() => {
                stop.send_replace(start);
                all.await;
            }
        }
        journal.finish().await;
        Ok(())
    }
}
