//! Whether an audit trail is complete: `inotrail verify`.
//!
//! Every record has a number in its series (run, who acted, event name), from 1. What is missing of a series is a hole, and
//! each hole is to be explained by what the exporter itself says that it lost ([`Books`]).
//!
//! ```text
//! files, Loki -> Record -> series: ranges of numbers, no sets -> Report: runs, holes, reasons, what is proven
//! ```

mod audit;
mod books;
mod digests;
mod loki;
mod loki_page;
mod otlp_json;
mod ranges;
mod record;
mod report;

pub use books::{Books, Full};
pub use loki::{Error as LokiError, Loki, Window};
pub use otlp_json::{Malformed, Stop, read};
pub use record::{Faulty, Loss, Origin, Record, RecordBuilder, Stopped};
pub use report::{Gap, Report, Run, Totals, Verdict};

/// Where the numbers of a run may begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// At 1: what is before the first number of a series is missing.
    #[default]
    Whole,
    /// In the middle of a run: of what is before the first number of a series nothing is proven.
    Cut,
}

#[cfg(test)]
mod tests;
