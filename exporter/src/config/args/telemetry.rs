//! The exporter's own metrics and log messages.

use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Uri};

use crate::config::{default, endpoint, parse};

/// Where the exporter's own metrics and log messages go by OTLP.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Own telemetry (OTLP)")]
pub struct TelemetryArgs {
    /// Also send the exporter's own metrics to this receiver of OTLP over gRPC: http://host:port, or https:// for TLS. Without
    /// it, they are only on --listen.
    #[arg(long, value_name = "URL", value_parser = endpoint::receiver)]
    pub telemetry_endpoint: Option<Uri>,
    /// How often; a bare number is milliseconds.
    #[arg(long, value_name = "DURATION", value_parser = parse::timeout, default_value = default::TELEMETRY_INTERVAL)]
    pub telemetry_interval: Duration,
    /// Send own log messages there too.
    #[arg(long)]
    pub telemetry_logs: bool,
    /// Header of every request to it, the value percent-encoded; may be repeated, or a list with commas.
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse::header, value_delimiter = ',', hide_env_values = true)]
    pub telemetry_header: Vec<(HeaderName, HeaderValue)>,
    /// Certificates (PEM) to trust for it, instead of the system's.
    #[arg(long, value_name = "PATH")]
    pub telemetry_ca_file: Option<PathBuf>,
    /// Send nothing to --telemetry-endpoint, whatever else says so.
    #[arg(long)]
    pub telemetry_disabled: bool,
}
