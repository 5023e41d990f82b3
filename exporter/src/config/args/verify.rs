//! `inotrail verify`.

use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderValue;
use reqwest::Url;

use super::super::choice::VerifyOutput;
use super::super::{default, parse};

/// Flags of `verify`.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Trail")]
pub struct VerifyArgs {
    /// Files of OTLP/JSON, one request per line, as the Collector's file exporter writes and trace --output otlp-json
    /// prints; - for stdin. In any order.
    #[arg(value_name = "FILE", required_unless_present = "loki", conflicts_with = "loki")]
    pub files: Vec<PathBuf>,
    /// The files begin in the middle of runs, as rotated ones do: what is before the first number of a series is not
    /// proven then, instead of missing.
    #[arg(long, conflicts_with = "loki")]
    pub cut: bool,
    /// Read from Loki at this address instead.
    #[arg(long, value_name = "URL", value_parser = parse::loki)]
    pub loki: Option<Url>,
    /// From when on, such as 2026-11-21T11:30:00Z.
    #[arg(long, value_name = "TIME", value_parser = parse::time, requires = "loki", conflicts_with = "since")]
    pub from: Option<u64>,
    /// Before when [default: now].
    #[arg(long, value_name = "TIME", value_parser = parse::time, requires = "loki")]
    pub to: Option<u64>,
    /// From this time before --to on.
    #[arg(long, value_name = "DURATION", value_parser = parse::duration, requires = "loki", default_value = default::LOKI_SINCE)]
    pub since: Duration,
    /// LogQL that selects the exporters' records. It must select all of a series, or what it leaves out is missing.
    #[arg(long, value_name = "LOGQL", requires = "loki", default_value = default::LOKI_SELECTOR)]
    pub query_selector: String,
    /// Whose records, where Loki has tenants: X-Scope-OrgID.
    #[arg(long, value_name = "NAME", requires = "loki")]
    pub tenant: Option<HeaderValue>,
    /// File with a bearer token for Loki.
    #[arg(long, value_name = "PATH", requires = "loki")]
    pub bearer_token_file: Option<PathBuf>,
    /// Most records of one of Loki's answers.
    #[arg(long, value_name = "N", requires = "loki", default_value = default::LOKI_PAGE)]
    pub page: NonZero<u32>,
    /// Form of the output.
    #[arg(long, value_name = "FORM", default_value = default::VERIFY_OUTPUT, help_heading = "Output")]
    pub output: VerifyOutput,
}
