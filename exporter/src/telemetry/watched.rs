//! Exporters that have a deadline, and say when their receiver comes and goes.

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use opentelemetry_otlp::{LogExporter, MetricExporter};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::logs::LogBatch;
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::config::{Endpoint, Export};

/// An exporter of the library: it is silent about failures, and waits for an answer that never ends.
#[derive(Debug)]
pub(super) struct Watched<E> {
    exporter: E,
    what: &'static str,
    endpoint: Endpoint,
    timeout: Duration,
    runtime: Handle,
    /// Nothing: not tried yet.
    well: Mutex<Option<bool>>,
}

impl<E> Watched<E> {
    pub(super) fn new(exporter: E, what: &'static str, config: &Export, runtime: Handle) -> Self {
        let (endpoint, timeout) = (config.endpoint.clone(), config.timeout);
        Self { exporter, what, endpoint, timeout, runtime, well: Mutex::new(None) }
    }

    async fn watch(&self, export: impl Future<Output = OTelSdkResult> + Send) -> OTelSdkResult {
        // The library's threads know no clock of tokio's.
        let export = {
            let _entered = self.runtime.enter();
            timeout(self.timeout, export)
        };
        let result = export.await.unwrap_or(Err(OTelSdkError::Timeout(self.timeout)));
        self.note(result.as_ref().err());
        result
    }

    /// One line for each change.
    fn note(&self, failure: Option<&OTelSdkError>) {
        let mut well = self.well.lock().unwrap_or_else(PoisonError::into_inner);
        if well.replace(failure.is_none()) == Some(failure.is_none()) {
            return;
        }
        let (what, endpoint) = (self.what, &self.endpoint);
        match failure {
            None => tracing::info!(%endpoint, "the telemetry receiver takes {what}"),
            Some(error) => tracing::warn!(%endpoint, %error, "the telemetry receiver does not take {what}"),
        }
    }
}

impl PushMetricExporter for Watched<MetricExporter> {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        self.watch(self.exporter.export(metrics)).await
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.exporter.temporality()
    }
}

impl opentelemetry_sdk::logs::LogExporter for Watched<LogExporter> {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        self.watch(self.exporter.export(batch)).await
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
