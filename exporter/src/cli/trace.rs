//! `inotrail trace`: events on stdout.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;

use super::Error;
use crate::config::args::{FilterArgs, TraceArgs};
use crate::config::choice::Color;
use crate::filter::{self, Filter};
use crate::metrics::Metrics;
use crate::sink::{Limits, Printer, Sink};
use crate::{app, config};

/// Lines of one drain go out in few writes.
const BUFFER: usize = 64 << 10;

pub(super) fn trace(args: TraceArgs) -> Result<ExitCode, Error> {
    let config = config::Trace::new(args.sensor, args.node, &args.process, args.policy, !args.no_host)?;
    let filter = filter(args.filter)?;
    let color = color(args.color, io::stdout().is_terminal(), std::env::var_os("NO_COLOR").as_deref());
    let columns = super::columns();
    let out = BufWriter::with_capacity(BUFFER, io::stdout());
    let sink = Sink::new(out, args.output, config.node.clone(), color, columns);
    let printer = Printer::new(sink, filter, Limits { count: args.count.map(u64::from), duration: args.duration });
    let metrics = Arc::new(Metrics::default());
    let printer = app::trace(&config, &metrics, printer)?;
    let shown = printer.finish().map_err(Error::Output)?;
    let _closed = writeln!(io::stderr(), "inotrail: {shown} events; {}", metrics.drops());
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

#[cfg(test)]
mod tests {
    use super::*;

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
