//! What `trace` does with an event, and when it has seen enough.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::Sink;
use crate::event::Event;
use crate::filter::Filter;
use crate::loss::Loss;
use crate::stopped::Stopped;

/// Filters events, writes them, and says when to stop.
#[derive(Debug)]
pub struct Printer<W> {
    sink: Sink<W>,
    filter: Filter,
    limits: Limits,
    deadline: Option<Instant>,
    shown: u64,
    losses: u64,
    failure: Option<io::Error>,
}

/// When it is enough; nothing: never.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// Events shown, losses left out.
    pub count: Option<u64>,
    /// Time since the first call of [`Printer::drained`]: loading the programs does not count.
    pub duration: Option<Duration>,
}

/// Why to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// A limit was reached.
    Limit,
    /// The output takes no more: see [`Printer::finish`].
    Output,
}

impl<W: Write> Printer<W> {
    /// Nothing was shown yet.
    pub fn new(sink: Sink<W>, filter: Filter, limits: Limits) -> Self {
        Self { sink, filter, limits, deadline: None, shown: 0, losses: 0, failure: None }
    }

    /// Whether the event passes the filter, and more are wanted.
    #[must_use]
    pub fn wants(&self, event: &Event<'_>) -> bool {
        self.stopped().is_continue() && self.filter.matches(event)
    }

    /// Shows an event that is wanted.
    pub fn show(&mut self, event: &Event<'_>) -> ControlFlow<Stop> {
        self.stopped()?;
        let written = self.sink.write(event);
        self.check(written)?;
        self.shown += 1;
        self.stopped()
    }

    /// Shows a loss, whatever the filter: it may have been of what the filter passes.
    pub fn show_loss(&mut self, loss: &Loss<'_>) {
        if self.failure.is_none() {
            let written = self.sink.write_loss(loss);
            if self.check(written).is_continue() {
                self.losses += 1;
            }
        }
    }

    /// Shows the end of the run, where the output has a form for it.
    pub fn show_stopped(&mut self, stopped: &Stopped<'_>) {
        if self.failure.is_none() {
            let written = self.sink.write_stopped(stopped);
            // A failure is kept.
            let _enough = self.check(written);
        }
    }

    /// To be called after each drain of the ring, also when it was empty: hands lines on and looks at the time.
    pub fn drained(&mut self, now: Instant) -> ControlFlow<Stop> {
        let flushed = self.sink.flush();
        self.check(flushed)?;
        if self.deadline.is_none() {
            self.deadline = self.limits.duration.and_then(|duration| now.checked_add(duration));
        }
        match self.deadline {
            Some(deadline) if now >= deadline => ControlFlow::Break(Stop::Limit),
            _ => self.stopped(),
        }
    }

    /// Flushes, and returns how many events were shown, losses too.
    ///
    /// # Errors
    /// The output failed, other than by its reader having gone: that is how `trace | head` ends.
    pub fn finish(mut self) -> io::Result<u64> {
        let result = match self.failure.take() {
            Some(error) => Err(error),
            None => self.sink.flush(),
        };
        match result {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            _ => Ok(self.shown + self.losses),
        }
    }

    fn stopped(&self) -> ControlFlow<Stop> {
        if self.failure.is_some() {
            return ControlFlow::Break(Stop::Output);
        }
        match self.limits.count {
            Some(count) if self.shown >= count => ControlFlow::Break(Stop::Limit),
            _ => ControlFlow::Continue(()),
        }
    }

    fn check(&mut self, result: io::Result<()>) -> ControlFlow<Stop> {
        match result {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.failure = Some(error);
                ControlFlow::Break(Stop::Output)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::choice::TraceOutput;
    use crate::sink::sample::{self, Sample};

    /// Takes some bytes, then fails.
    struct Closing(usize, io::ErrorKind);

    impl Write for Closing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.0.checked_sub(bytes.len()) {
                Some(rest) => self.0 = rest,
                None => return Err(self.1.into()),
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn printer<W: Write>(out: W, filter: Filter, limits: Limits) -> Printer<W> {
        Printer::new(Sink::new(out, TraceOutput::Table, sample::node(), false, None), filter, limits)
    }

    #[test]
    fn counts_only_what_is_shown() {
        let filter = Filter { denied: true, ..Filter::default() };
        let mut printer = printer(Vec::new(), filter, Limits { count: Some(2), ..Limits::default() });
        let denied = Sample { result: -13, ..Sample::default() };
        let mut give = |sample: &Sample| {
            sample.with(|event| if printer.wants(event) { printer.show(event) } else { ControlFlow::Continue(()) })
        };
        assert_eq!(give(&Sample::default()), ControlFlow::Continue(()));
        assert_eq!(give(&denied), ControlFlow::Continue(()));
        assert_eq!(give(&denied), ControlFlow::Break(Stop::Limit));
        assert_eq!(give(&denied), ControlFlow::Continue(()), "nothing more is wanted");
        assert_eq!(printer.finish().expect("finish"), 2);
    }

    #[test]
    fn time_runs_from_the_first_drain() {
        let second = Duration::from_secs(1);
        let mut printer = printer(Vec::new(), Filter::default(), Limits { duration: Some(second), count: None });
        let start = Instant::now() + Duration::from_secs(100);
        assert_eq!(printer.drained(start), ControlFlow::Continue(()));
        assert_eq!(printer.drained(start + second / 2), ControlFlow::Continue(()));
        assert_eq!(printer.drained(start + second), ControlFlow::Break(Stop::Limit));
    }

    #[test]
    fn a_reader_that_goes_is_no_error() {
        let give = |kind| {
            let mut printer = printer(Closing(100, kind), Filter::default(), Limits::default());
            let sample = Sample::default();
            let first = sample.with(|event| printer.show(event));
            (first, sample.with(|event| printer.show(event)), printer.finish())
        };
        let (first, second, end) = give(io::ErrorKind::BrokenPipe);
        assert_eq!((first, second), (ControlFlow::Break(Stop::Output), ControlFlow::Break(Stop::Output)));
        assert_eq!(end.expect("finish"), 0);
        assert_eq!(give(io::ErrorKind::StorageFull).2.expect_err("full").kind(), io::ErrorKind::StorageFull);
    }
}
