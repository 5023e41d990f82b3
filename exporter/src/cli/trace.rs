//! `inotrail trace`: events on stdout.

use std::fmt::Write as _;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;

use super::Error;
use crate::config::args::{FilterArgs, TraceArgs};
use crate::config::choice::Color;
use crate::filter::{self, Filter};
use crate::metrics::{Dropped, Metrics};
use crate::sink::{Limits, Printer, Sink};
use crate::{app, config};

/// Lines of one drain go out in few writes.
const BUFFER: usize = 64 << 10;

pub(super) fn trace(args: TraceArgs) -> Result<ExitCode, Error> {
    let config = config::Trace::new(args.sensor, args.node, !args.no_host)?;
    let filter = filter(args.filter)?;
    let color = color(args.color, io::stdout().is_terminal(), std::env::var_os("NO_COLOR").as_deref());
    let columns = super::columns();
    let out = BufWriter::with_capacity(BUFFER, io::stdout());
    let sink = Sink::new(out, args.output, config.node.clone(), color, columns);
    let printer = Printer::new(sink, filter, Limits { count: args.count.map(u64::from), duration: args.duration });
    let metrics = Arc::new(Metrics::default());
    let printer = app::trace(&config, &metrics, printer)?;
    let shown = printer.finish().map_err(Error::Output)?;
    let _closed = writeln!(io::stderr(), "inotrail: {}", summary(shown, &metrics));
    Ok(ExitCode::SUCCESS)
}

fn filter(args: FilterArgs) -> Result<Filter, Error> {
    Ok(Filter {
        containers: args.container,
        namespaces: args.namespace,
        paths: filter::path_set(&args.path).map_err(Error::Globs)?,
        comms: args.comm,
        denied: args.denied,
    })
}

/// `NO_COLOR` counts when it is not empty (no-color.org), and a flag counts more.
fn color(choice: Color, terminal: bool, no_color: Option<&std::ffi::OsStr>) -> bool {
    match choice {
        Color::Auto => terminal && no_color.is_none_or(std::ffi::OsStr::is_empty),
        Color::Always => true,
        Color::Never => false,
    }
}

/// `340 events; 3 dropped: ring_full 2, held_full 1`
fn summary(shown: u64, metrics: &Metrics) -> String {
    let counts = Dropped::ALL.map(|reason| (reason.as_str(), metrics.dropped(reason).get()));
    let dropped: u64 = counts.iter().map(|(_, count)| count).sum();
    let mut text = format!("{shown} events; {dropped} dropped");
    let mut separator = ": ";
    for (reason, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        let _infallible = write!(text, "{separator}{reason} {count}");
        separator = ", ";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line() {
        let metrics = Metrics::default();
        assert_eq!(summary(340, &metrics), "340 events; 0 dropped");
        metrics.dropped(Dropped::HeldFull).inc_by(1);
        metrics.dropped(Dropped::RingFull).inc_by(2);
        assert_eq!(summary(340, &metrics), "340 events; 3 dropped: ring_full 2, held_full 1");
    }

    #[test]
    fn colour() {
        let check = |choice, terminal, no_color: Option<&str>, expected| {
            assert_eq!(color(choice, terminal, no_color.map(std::ffi::OsStr::new)), expected);
        };
        check(Color::Auto, true, None, true);
        check(Color::Auto, true, Some(""), true);
        check(Color::Auto, true, Some("1"), false);
        check(Color::Auto, false, None, false);
        check(Color::Always, false, Some("1"), true);
        check(Color::Never, true, None, false);
    }
}
