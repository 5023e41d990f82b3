//! The configuration, read again while records flow: on SIGHUP, and when a file of it changes.
//!
//! ```text
//! SIGHUP | a folder changes | now and then -> read all -> compare -> prepare all destinations -> apply, or leave all as it is
//! ```
//!
//! What is wrong, or cannot change while it runs, changes nothing.

mod watch;

use std::collections::BTreeSet;
use std::error::Error as _;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::shipping::Shipping;
use crate::config;
use crate::config::given::{Given, Reading};
use crate::metrics::Metrics;
use crate::ship;
use watch::{Contents, Watch};

/// Whoever changes one file often changes another one too: a certificate and its key.
const SETTLE: Duration = Duration::from_millis(100);
/// How often files are looked at that nobody told of: in a folder that was not there, or on a file system of another host.
const LOOK_INTERVAL: Duration = Duration::from_secs(30);
/// Reads until what was read is of the files that it names.
const READS: usize = 3;

/// Why a configuration is not taken up.
#[derive(Debug, Error)]
enum Refused {
    /// Nothing can be read out of it.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// A destination cannot be reached by it, whoever is there.
    #[error("destinations.{0}: {1}{cause}", cause = cause(.1))]
    Ship(String, #[source] ship::Error),
    /// It is right, and for another start.
    #[error("{}: cannot change while it runs: restart the exporter, or undo the change", .0.join(", "))]
    Fixed(Vec<String>),
}

/// From here on SIGHUP does not end this process, and means nothing until [`Reloading::spawn`]. Starts no thread.
///
/// # Errors
/// The kernel does not let it.
pub fn ignore_hangups() -> io::Result<()> {
    // tokio's handler stays when its runtime goes.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let _entered = runtime.enter();
    signal(SignalKind::hangup()).map(drop)
}

/// What was recorded is on its way, by a configuration that is read again.
#[derive(Debug)]
pub struct Reloading {
    task: JoinHandle<Shipping>,
    stop: oneshot::Sender<()>,
}

impl Reloading {
    /// Begins to follow what the configuration of this command line of `run` says; `given` is what it said at the start. Must
    /// be called inside a tokio runtime.
    ///
    /// # Errors
    /// SIGHUP cannot be listened for.
    pub fn spawn(
        shipping: Shipping,
        arguments: Vec<OsString>,
        given: Given,
        metrics: Arc<Metrics>,
    ) -> io::Result<Self> {
        let hangups = signal(SignalKind::hangup())?;
        let (stop, stopped) = oneshot::channel();
        let reload = Reload {
            shipping,
            arguments,
            given,
            metrics,
            in_force: BTreeSet::new(),
            files: BTreeSet::new(),
            seen: Contents::new(),
        };
        Ok(Self { task: tokio::spawn(reload.follow(hangups, stopped)), stop })
    }

    /// Follows no more, and gives back what it was about; nothing if the task panicked.
    pub async fn stop(self) -> Option<Shipping> {
        // An error says that it has ended by itself.
        let _ended = self.stop.send(());
        self.task.await.ok()
    }
}

struct Reload {
    shipping: Shipping,
    arguments: Vec<OsString>,
    given: Given,
    metrics: Arc<Metrics>,
    /// Files of the configuration in force.
    in_force: BTreeSet<PathBuf>,
    /// The same, and those of the one that was read last.
    files: BTreeSet<PathBuf>,
    /// What was in them when they were read last.
    seen: Contents,
}

/// Why it is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    Asked,
    Files,
    /// Between the start's own reading and now somebody may have changed them.
    Start,
}

impl Reload {
    async fn follow(mut self, mut hangups: Signal, mut stopped: oneshot::Receiver<()>) -> Shipping {
        let mut looks = interval(LOOK_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        looks.reset();
        let (mut watch, mut cause) = (Watch::new(), Cause::Start);
        loop {
            // Watched before they are read, so that no change is missed between the two; what names other files is read again.
            for _ in 0..READS {
                let watched = self.files.clone();
                watch.set(&watched);
                tokio::select! {
                    biased;
                    _ = &mut stopped => return self.shipping,
                    read = read(self.arguments.clone(), self.files.clone()) => {
                        if let Some((contents, reading)) = read { self.take(cause, contents, reading) }
                    }
                }
                if watched == self.files {
                    break;
                }
                cause = Cause::Files;
            }
            cause = tokio::select! {
                biased;
                _ = &mut stopped => return self.shipping,
                _ = hangups.recv() => Cause::Asked,
                () = watch.changed() => Cause::Files,
                _ = looks.tick() => Cause::Files,
            };
            sleep(SETTLE).await;
        }
    }

    fn take(&mut self, cause: Cause, contents: Contents, reading: Reading) {
        let Reading { files, outcome } = reading;
        let is_new = files.iter().chain(&self.in_force).any(|file| self.seen.get(file) != contents.get(file));
        self.seen = contents;
        if cause == Cause::Files && !is_new {
            return;
        }
        let changed = outcome.map_err(Refused::from).and_then(|(given, config)| self.change(given, &config));
        if changed.is_ok() {
            self.in_force = files.iter().cloned().collect();
        }
        self.files = self.in_force.iter().cloned().chain(files).collect();
        self.tell(cause, changed);
    }

    /// All or nothing. Returns the names of destinations that were changed.
    fn change(&mut self, given: Given, config: &config::Shipping) -> Result<Vec<String>, Refused> {
        let fixed = self.given.fixed(&given);
        if !fixed.is_empty() {
            return Err(Refused::Fixed(fixed));
        }
        let changed = self.shipping.change(config).map_err(|(name, error)| Refused::Ship(name, error))?;
        self.given = given;
        Ok(changed)
    }

    fn tell(&self, cause: Cause, taken: Result<Vec<String>, Refused>) {
        let health = &self.metrics.health.config;
        match taken {
            Ok(changed) if cause == Cause::Start && changed.is_empty() => {}
            Ok(changed) => {
                self.metrics.reloads(true).inc();
                health.set(None);
                tracing::info!(destinations = changed.join(","), "the configuration was read again");
            }
            Err(refused) => {
                self.metrics.reloads(false).inc();
                let why = refused.to_string();
                tracing::error!("the configuration is not taken up, and the one in force stays: {why}");
                health.set(Some(why));
            }
        }
    }
}

/// Reads the configuration, and what was in these files and in those that it names before that; nothing if that panicked.
async fn read(arguments: Vec<OsString>, mut files: BTreeSet<PathBuf>) -> Option<(Contents, Reading)> {
    let work = move || {
        let mut read = || {
            let contents = watch::contents(&files);
            let reading = Given::read(&arguments);
            files.extend(reading.files.iter().cloned());
            (files.len() == contents.len(), contents, reading)
        };
        let mut last = read();
        for _ in 1..READS {
            if last.0 {
                break;
            }
            last = read();
        }
        (last.1, last.2)
    };
    spawn_blocking(work).await.ok()
}

fn cause(error: &ship::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| (*error).source());
    std::iter::once(String::new()).chain(causes.map(ToString::to_string)).collect::<Vec<_>>().join(": ")
}
