//! `inotrail trace` with its events as JSON.

use std::cell::RefCell;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;
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

/// A running `inotrail trace`; it is read as [`Events`] are.
#[derive(Debug)]
pub struct Trace {
    /// Its process.
    pub daemon: Daemon,
    events: Events,
    _folder: Folder,
}

/// What an `inotrail trace` writes into a file: events, and lines of its own.
#[derive(Debug)]
pub struct Events {
    file: PathBuf,
    /// Bytes that were read, and the events in them.
    read: RefCell<(u64, Vec<Attributes>)>,
}

/// How it has to be started: all of its lines are told apart by that.
pub const ARGUMENTS: [&str; 5] = ["trace", "--log-level", "info", "--output", "json"];

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
        Self::start_program(place.command(binary()?), arguments)
    }

    /// Starts it by a command of its own, without arguments.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start_program(mut command: Command, arguments: &[&str]) -> Result<Self> {
        let folder = Folder::new(None)?;
        command.args(ARGUMENTS).args(arguments);
        let daemon = Daemon::start("trace", &mut command, folder.as_ref(), None)?;
        let events = Events::of(folder.as_ref().join("trace.log"));
        Ok(Self { daemon, events, _folder: folder })
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// It has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(self.daemon.pid().cast_signed()).context("a process id")?;
        Ok(kill_process(pid, signal)?)
    }
}

impl Deref for Trace {
    type Target = Events;

    fn deref(&self) -> &Events {
        &self.events
    }
}

impl Events {
    /// Those in a file, which need not be there yet.
    #[must_use]
    pub fn of(file: PathBuf) -> Self {
        Self { file, read: RefCell::default() }
    }

    /// Waits until its log has a text so many times.
    ///
    /// # Errors
    /// That does not come to be; with the log.
    pub fn wait_for_log(&self, text: &str, times: usize) -> Result<()> {
        self.wait_for(text, || (self.log().matches(text).count() >= times).then_some(()))
    }

    /// Whether its log has a text by now.
    #[must_use]
    pub fn says(&self, text: &str) -> bool {
        self.log().contains(text)
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
            self.look(|events| {
                let found = events[seen..].iter().find(|event| is_it(event)).cloned();
                seen = events.len();
                found
            })
        })
    }

    /// Looks at all events so far, which may be many.
    pub fn look<T>(&self, look: impl FnOnce(&[Attributes]) -> T) -> T {
        self.read();
        look(&self.read.borrow().1)
    }

    /// All events so far.
    #[must_use]
    pub fn events(&self) -> Vec<Attributes> {
        self.look(<[Attributes]>::to_vec)
    }

    /// Takes in what is new, line by line: its own messages are no JSON.
    fn read(&self) {
        let (read, events) = &mut *self.read.borrow_mut();
        let new = from(&self.file, *read);
        let whole = new.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let lines = new[..whole].split(|byte| *byte == b'\n');
        events.extend(lines.filter_map(|line| serde_json::from_slice::<Attributes>(line).ok()));
        *read += whole as u64;
    }

    fn wait_for<T>(&self, what: &str, mut ready: impl FnMut() -> Option<T>) -> Result<T> {
        let waited = interrupt::wait_for(what, LIMIT, || Ok(ready()));
        waited.with_context(|| self.messages())
    }

    /// All of it: where much is written at once, a line of its own may stand inside of an event's.
    fn log(&self) -> String {
        String::from_utf8_lossy(&from(&self.file, 0)).into_owned()
    }

    /// Its lines that are no events.
    fn messages(&self) -> String {
        self.log().lines().filter(|line| !line.starts_with('{')).collect::<Vec<_>>().join("\n")
    }
}

/// A file's content after so many bytes; a file that cannot be read has none.
fn from(file: &Path, offset: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = File::open(file).and_then(|mut file| {
        file.seek(SeekFrom::Start(offset))?;
        file.read_to_end(&mut bytes)
    });
    read.map(|_| bytes).unwrap_or_default()
}
