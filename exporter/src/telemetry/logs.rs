//! Own log messages, on their way to a receiver as well.

use std::fmt;
use std::sync::{Arc, LazyLock};

use arc_swap::ArcSwapOption;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_sdk::logs::{SdkLogger, SdkLoggerProvider};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

type Bridge = OpenTelemetryTracingBridge<SdkLoggerProvider, SdkLogger>;

/// What is exported: our own words.
const OWN: &str = "inotrail";
/// What is not: words about the export of words would have to be exported too. Those of libraries are none of ours; so what
/// they say of a connection that fails leads to no message.
const TELEMETRY: &str = "inotrail::telemetry";

/// A layer of tracing that is there from the start, and exports from when there is somewhere to export to. Clones are the
/// same.
#[derive(Clone, Default)]
pub struct OwnLogs(Arc<ArcSwapOption<Bridge>>);

impl OwnLogs {
    /// The process's.
    #[must_use]
    pub fn global() -> Self {
        static GLOBAL: LazyLock<OwnLogs> = LazyLock::new(OwnLogs::default);
        GLOBAL.clone()
    }

    pub(super) fn export_by(&self, provider: &SdkLoggerProvider) {
        self.0.store(Some(Arc::new(OpenTelemetryTracingBridge::new(provider))));
    }

    pub(super) fn stop(&self) {
        self.0.store(None);
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for OwnLogs {
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if is_exported(event.metadata().target())
            && let Some(bridge) = &*self.0.load()
        {
            bridge.on_event(event, context);
        }
    }
}

impl fmt::Debug for OwnLogs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnLogs")
    }
}

fn is_exported(target: &str) -> bool {
    let is_below =
        |module: &str| target.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    is_below(OWN) && !is_below(TELEMETRY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_words() {
        for target in ["inotrail", "inotrail::app", "inotrail::ship::state", "inotrail::telemetry_of_others"] {
            assert!(is_exported(target), "{target}");
        }
        let libraries = ["h2::client", "hyper_util::client", "tonic::service", "tower::buffer", "reqwest", "rustls"];
        let telemetry =
            ["inotrail::telemetry", "inotrail::telemetry::watched", "opentelemetry_sdk", "opentelemetry-otlp"];
        for target in libraries.into_iter().chain(telemetry).chain(["inotrails", ""]) {
            assert!(!is_exported(target), "{target}");
        }
    }
}
