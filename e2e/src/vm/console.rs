//! A machine's serial console, line by line.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, BufRead as _, BufReader, Write as _},
    path::Path,
    process::Child,
    sync::mpsc::{self, Receiver},
    thread,
    time::Instant,
};

/// Lines of the log that are printed when a machine fails.
const TAIL: usize = 60;
/// Lines read ahead of the harness.
const AHEAD: usize = 1024;

/// The console of a running machine.
pub(super) struct Console {
    lines: Receiver<String>,
    log: File,
    tail: VecDeque<String>,
}

impl Console {
    /// Reads a machine's standard output on a thread of its own, which ends with the machine.
    pub(super) fn open(machine: &mut Child, log: &Path) -> io::Result<Self> {
        let output = machine.stdout.take().ok_or_else(|| io::Error::other("the machine has no console"))?;
        let (sender, lines) = mpsc::sync_channel(AHEAD);
        thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned();
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self { lines, log: File::create(log)?, tail: VecDeque::with_capacity(TAIL) })
    }

    /// The next line, or nothing where the machine ended or the deadline passed.
    pub(super) fn line(&mut self, deadline: Instant) -> Option<String> {
        let line = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()?;
        if let Err(error) = writeln!(self.log, "{line}") {
            eprintln!("the console's log is incomplete: {error}");
        }
        if self.tail.len() == TAIL {
            self.tail.pop_front();
        }
        self.tail.push_back(line.clone());
        Some(line)
    }

    /// The last lines, and those that come when the machine dies.
    pub(super) fn tail(&mut self) -> String {
        let last = Instant::now() + std::time::Duration::from_millis(500);
        while self.line(last).is_some() {}
        self.tail.iter().flat_map(|line| ["  | ", line, "\n"]).collect()
    }
}
