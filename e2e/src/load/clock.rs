//! The calendar is set back while files are opened.

use std::{collections::HashMap, path::Path, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use inotrail::{
    clock::{Clock, unix_now},
    event::Backend,
    sensor::Record,
};
use rustix::time::{ClockId, Timespec, clock_gettime, clock_settime};

use super::{Opens, Reader, run};

/// How far it is set back, in seconds.
const STEP: i64 = 3600;
/// What two measurements of one clock may differ by, in nanoseconds.
const PRECISION: u64 = 500_000_000;

/// Sets the calendar back under load: the kernel's times go on, and an event has its time either by the old calendar or,
/// from then on, by the new one. For test machines only.
///
/// # Errors
/// Where a time is any other.
pub fn prove_clock(opens: Opens, backend: Backend, guest: &Path, reader: Reader) -> Result<()> {
    super::only_in_a_machine()?;
    let mut times = Times::start();
    let (total, mut seen) = (opens.threads * opens.each, 0);
    let books = run(backend, guest, reader, &opens.arguments(), |record| {
        if seen == total / 4 {
            set_calendar(-STEP)?;
        }
        seen += 1;
        times.see(record)
    })?;
    let came = times.until_new();
    set_calendar(STEP)?;
    came?;
    ensure!(books.ring_full == 0, "the ring was too small: {books:?}");
    books.unseen(total as u64)?;
    eprintln!("{}: {seen} opens, {} of them told by the new calendar", backend.as_str(), times.new);
    Ok(())
}

struct Times {
    clock: Clock,
    /// Calendar time of boot before the step.
    old: u64,
    /// Events by the new calendar.
    new: u64,
    started: u64,
    /// Of each CPU, the last event.
    last: HashMap<u32, u64>,
    /// Of each process, by the kernel and by the calendar.
    processes: HashMap<u64, u64>,
}

impl Times {
    fn start() -> Self {
        Self {
            clock: Clock::now(),
            old: unix_now() - boottime(),
            new: 0,
            started: boottime(),
            last: HashMap::new(),
            processes: HashMap::new(),
        }
    }

    fn see(&mut self, record: &Record<'_>) -> Result<()> {
        let header = record.header();
        let last = self.last.insert(header.cpu, header.time_ns).unwrap_or(self.started);
        ensure!((last..=boottime()).contains(&header.time_ns), "an event at {} after {last}", header.time_ns);
        self.clock.refresh();
        let is_new = self.is_new()?;
        ensure!(is_new || self.new == 0, "back to the old calendar");
        self.new += u64::from(is_new);
        let start = self.clock.process_start(header.process_start_ns);
        let first = *self.processes.entry(header.process_start_ns).or_insert(start);
        ensure!(start == first, "a process started at {first}, and at {start}");
        Ok(())
    }

    /// Which calendar events are told by.
    fn is_new(&self) -> Result<bool> {
        let boot = self.clock.unix(1) - 1;
        let new = self.old - STEP.cast_unsigned() * 1_000_000_000;
        let is_new = boot.abs_diff(new) < PRECISION;
        ensure!(is_new || boot.abs_diff(self.old) < PRECISION, "boot was at {boot}: not {} and not {new}", self.old);
        Ok(is_new)
    }

    /// The clock is measured now and then: the step shows in the end.
    fn until_new(&mut self) -> Result<()> {
        for _ in 0..1000 {
            self.clock.refresh();
            if self.is_new()? {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(10));
        }
        anyhow::bail!("the step never showed")
    }
}

fn boottime() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

/// Sets the calendar so many seconds ahead, or back.
///
/// # Errors
/// The kernel refuses it.
pub(crate) fn set_calendar(seconds: i64) -> Result<()> {
    let now = clock_gettime(ClockId::Realtime);
    let then = Timespec { tv_sec: now.tv_sec + seconds, tv_nsec: now.tv_nsec };
    clock_settime(ClockId::Realtime, then).context("set the clock")
}
