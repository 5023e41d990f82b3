//! Where the exporter's own metrics and log messages go.

use std::time::Duration;

use http::Uri;
use http::uri::Scheme;

use super::args::TelemetryArgs;
use super::choice::{Compression, Form, Protocol};
use super::{Endpoint, Error, Export, Lines, Telemetry, Tls, shipping};

/// As that of `OTEL_EXPORTER_OTLP_METRICS_TIMEOUT`.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Nothing: only `/metrics` and stderr have them.
pub(super) fn telemetry(args: TelemetryArgs) -> Result<Option<Telemetry>, Error> {
    let Some(endpoint) = args.telemetry_endpoint.filter(|_| !args.telemetry_disabled) else {
        if args.telemetry_logs && !args.telemetry_disabled {
            return Err(Error::Usage("--telemetry-logs is of no use without --telemetry-endpoint: name a receiver"));
        }
        return Ok(None);
    };
    let endpoint = whole(endpoint)?;
    if args.telemetry_ca_file.is_some() && endpoint.scheme() != Some(&Scheme::HTTPS) {
        return Err(Error::Usage(
            "--telemetry-ca-file is of no use without TLS: write --telemetry-endpoint https://...",
        ));
    }
    let ca = args.telemetry_ca_file.map(|path| shipping::pem("--telemetry-ca-file", path)).transpose()?;
    Ok(Some(Telemetry {
        export: Export {
            endpoint: Endpoint::Receiver(endpoint),
            protocol: Protocol::Grpc,
            token_file: None,
            headers: args.telemetry_header,
            compression: Compression::Gzip,
            timeout: TIMEOUT,
            tls: Tls { ca, identity: None },
            max_age: TIMEOUT,
            in_flight: 1,
            tenant_header: None,
            // Of files only.
            lines: Lines { form: Form::OtlpJson, rotate_size: u64::MAX, rotate_keep: 1 },
        },
        interval: args.telemetry_interval,
        logs: args.telemetry_logs,
    }))
}

/// With a scheme; without a path.
fn whole(given: Uri) -> Result<Uri, Error> {
    if !matches!(given.path(), "" | "/") || given.query().is_some() {
        return Err(Error::Usage("--telemetry-endpoint is for OTLP over gRPC, which takes no path: leave it out"));
    }
    if given.scheme().is_none() {
        return Err(Error::Usage("--telemetry-endpoint needs http:// or https:// before the host"));
    }
    Ok(given)
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches as _;

    use super::*;
    use crate::config::args::{Args, Command};

    fn check(flags: &[&str], expected: Result<Option<(&str, u64, bool)>, &str>) {
        let words = ["inotrail", "run"].iter().chain(flags);
        let matches = crate::config::command().try_get_matches_from(words).expect("flags");
        let Command::Run(args) = Args::from_arg_matches(&matches).expect("args").command else { panic!("run") };
        let found = telemetry(args.telemetry);
        let found = found
            .as_ref()
            .map(|it| it.as_ref().map(|it| (it.export.endpoint.to_string(), it.interval.as_millis() as u64, it.logs)));
        match (found, expected) {
            (Ok(found), Ok(expected)) => {
                let expected = expected.map(|(endpoint, interval, logs)| (endpoint.to_owned(), interval, logs));
                assert_eq!(found, expected, "{flags:?}");
            }
            (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{flags:?}: {error}"),
            (found, expected) => panic!("{flags:?}: {found:?}, not {expected:?}"),
        }
    }

    #[test]
    fn flags() {
        let url = "--telemetry-endpoint=http://x:4317";
        check(&[], Ok(None));
        check(&[url], Ok(Some(("http://x:4317/", 60_000, false))));
        check(&[url, "--telemetry-interval=5000", "--telemetry-logs"], Ok(Some(("http://x:4317/", 5000, true))));
        check(&[url, "--telemetry-interval", "30s"], Ok(Some(("http://x:4317/", 30_000, false))));
        check(&[url, "--telemetry-logs", "--telemetry-disabled"], Ok(None));
        check(&["--telemetry-logs"], Err("without --telemetry-endpoint"));
        check(&["--telemetry-endpoint=http://x:4318/v1/metrics"], Err("takes no path"));
        check(&["--telemetry-endpoint=x:4317"], Err("needs http:// or https://"));
        check(&[url, "--telemetry-ca-file=/x"], Err("of no use without TLS"));
        check(&["--telemetry-endpoint=https://x:1", "--telemetry-ca-file=/no/such"], Err("readable PEM"));
    }
}
