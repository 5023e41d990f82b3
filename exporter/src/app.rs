//! Configuration -> running stages.

use std::io::Write;
use std::sync::Arc;

use thiserror::Error;

use crate::config;
use crate::metrics::Metrics;
use crate::sensor::report::Report;
use crate::sink::Printer;

/// Why it cannot start.
#[derive(Debug, Error)]
pub enum Error {
    /// The stages are not wired.
    #[error("not built yet")]
    NotBuilt,
}

/// Runs the exporter until SIGTERM or SIGINT; returns when everything is drained.
///
/// # Errors
/// It cannot start.
pub fn run(_config: config::Run) -> Result<(), Error> {
    Err(Error::NotBuilt)
}

/// Shows events until the printer has enough, or SIGTERM or SIGINT comes. `metrics` has the final counts on return.
///
/// # Errors
/// It cannot start.
pub fn trace<W>(_config: config::Trace, _metrics: &Arc<Metrics>, _printer: Printer<W>) -> Result<Printer<W>, Error>
where
    W: Write + Send + 'static,
{
    Err(Error::NotBuilt)
}

/// Loads and attaches each backend, detaches it again, and says what happened. Not being able to is no error.
///
/// # Errors
/// This machine cannot be asked at all.
pub fn check(_config: config::Check) -> Result<Report, Error> {
    Err(Error::NotBuilt)
}
