//! `inotrail trace` with its events as JSON.

use std::cell::RefCell;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Map, Value};

use super::binary;
use crate::daemon::Daemon;
use crate::folder::Folder;
use crate::interrupt;
use crate::namespaces::Place;

/// A sensor loads, a runtime answers, and an event is shown, all on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// Attributes of an event's record and Resource, by name.
pub type Attributes = Map<String, Value>;

/// A running `inotrail trace`.
#[derive(Debug)]
pub struct Trace {
    /// Its process.
    pub daemon: Daemon,
    /// Bytes of its log that were read, and the events in them.
    read: RefCell<(usize, Vec<Attributes>)>,
    _folder: Folder,
}

impl Trace {
    /// Starts it with these arguments.
    ///
    /// # Errors
    /// It is not built, or cannot be started.
    pub fn start(arguments: &[&str]) -> Result<Self> {
        Self::start_in(Place::Here, arguments)
    }

    /// Starts it on a node of its own.
    ///
    /// # Errors
    /// See [`Self::start`].
    pub fn start_in(place: Place, arguments: &[&str]) -> Result<Self> {
        let folder = Folder::new(None)?;
        let mut command = place.command(binary()?);
        command.args(["trace", "--log-level", "info", "--output", "json"]).args(arguments);
        let daemon = Daemon::start("trace", &mut command, folder.as_ref(), None)?;
        Ok(Self { daemon, read: RefCell::default(), _folder: folder })
    }

    /// Waits until its log has a text so many times.
    ///
    /// # Errors
    /// That does not come to be; with the log.
    pub fn wait_for_log(&self, text: &str, times: usize) -> Result<()> {
        self.wait_for(text, || (self.daemon.log().matches(text).count() >= times).then_some(()))
    }

    /// Waits for an event with these attributes, and returns the first.
    ///
    /// # Errors
    /// None comes; with the log.
    pub fn wait_for_event(&self, attributes: &[(&str, &str)]) -> Result<Attributes> {
        let has_all = |event: &Attributes| {
            attributes.iter().all(|(key, value)| event.get(*key).and_then(Value::as_str) == Some(value))
        };
        self.find(&format!("event with {attributes:?}"), has_all)
    }

    /// Waits for such an event, and returns the first.
    ///
    /// # Errors
    /// See [`Self::wait_for_event`].
    pub fn find(&self, what: &str, is_it: impl Fn(&Attributes) -> bool) -> Result<Attributes> {
        let mut seen = 0;
        self.wait_for(what, || {
            self.read();
            let events = &self.read.borrow().1;
            let found = events[seen..].iter().find(|event| is_it(event)).cloned();
            seen = events.len();
            found
        })
    }

    /// All events so far.
    #[must_use]
    pub fn events(&self) -> Vec<Attributes> {
        self.read();
        self.read.borrow().1.clone()
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// It has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(self.daemon.pid().cast_signed()).context("a process id")?;
        Ok(kill_process(pid, signal)?)
    }

    /// Takes in what is new, line by line: its own messages are no JSON.
    fn read(&self) {
        let log = self.daemon.log();
        let (read, events) = &mut *self.read.borrow_mut();
        let whole = log.rfind('\n').map_or(0, |end| end + 1);
        events.extend(log[*read..whole].lines().filter_map(|line| serde_json::from_str::<Attributes>(line).ok()));
        *read = whole;
    }

    fn wait_for<T>(&self, what: &str, mut ready: impl FnMut() -> Option<T>) -> Result<T> {
        let waited = interrupt::wait_for(what, LIMIT, || Ok(ready()));
        waited.with_context(|| self.messages())
    }

    /// Its log without the events.
    fn messages(&self) -> String {
        let log = self.daemon.log();
        log.lines().filter(|line| !line.starts_with('{')).collect::<Vec<_>>().join("\n")
    }
}
