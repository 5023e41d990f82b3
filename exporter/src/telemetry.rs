//! The exporter's own metrics and log messages, by OTLP over gRPC to a receiver of their own.
//!
//! ```text
//! metrics::Source <- read every --telemetry-interval <- reader's thread -> receiver
//! tracing -> OwnLogs -> queue (full: dropped) -> processor's thread -> receiver
//! ```
//!
//! Nothing here counts: it reads what `/metrics` shows. The audit trail does not depend on it: a receiver that is away costs
//! a line in the log, and a bounded queue.

mod instruments;
mod logs;
mod watched;

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use http::HeaderMap;
use opentelemetry::KeyValue;
use opentelemetry_otlp::{
    Compression, ExporterBuildError, LogExporter, MetricExporter, RetryPolicy, WithExportConfig, WithTonicConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::{BatchConfigBuilder, BatchLogProcessor, SdkLoggerProvider};
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_semantic_conventions::attribute::{
    HOST_NAME, K8S_CLUSTER_NAME, K8S_NODE_NAME, SERVICE_INSTANCE_ID, SERVICE_VERSION,
};
use tokio::runtime::Handle;
use tonic::metadata::MetadataMap;

use crate::config;
use crate::event::Node;
use crate::metrics::Source;
use crate::otlp::{SCOPE_NAME, SCOPE_VERSION};
use crate::ship;
pub use logs::OwnLogs;
use watched::Watched;

/// Longest time that the last metrics and messages may take.
const STOP: Duration = Duration::from_secs(2);
/// Messages that wait at most; more are dropped. They are on stderr as well.
const QUEUE: usize = 512;
/// Messages of one request.
const BATCH: usize = 128;

/// Why there is no telemetry.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Certificates or keys are not usable.
    #[error("--telemetry-endpoint: {0}")]
    Ship(#[from] ship::Error),
    /// The library does not take the configuration.
    #[error("--telemetry-endpoint: {0}")]
    Build(#[from] ExporterBuildError),
}

/// What exports metrics and messages. Dropping it is as good as [`Self::stop`].
#[derive(Debug)]
pub struct Telemetry {
    metrics: SdkMeterProvider,
    messages: Option<SdkLoggerProvider>,
    logs: OwnLogs,
}

impl Telemetry {
    /// Starts to export what `source` has, and what `logs` hears if that is asked for. Must be called inside a tokio runtime,
    /// which has to live until this has stopped. A receiver that is not there is waited for.
    ///
    /// # Errors
    ///
    /// [`Error`]
    pub fn start(config: &config::Telemetry, node: &Node, source: &Arc<Source>, logs: &OwnLogs) -> Result<Self, Error> {
        let (resource, channel) = (resource(node), ship::channel(&config.export)?);
        let headers: HeaderMap = config.export.headers.iter().cloned().collect();
        // The library would also send those of OTEL_EXPORTER_OTLP_LOGS_HEADERS, which are another receiver's secrets.
        let headers = MetadataMap::from_headers(headers);
        let only = |headers: MetadataMap| {
            move |mut request: tonic::Request<()>| {
                request.metadata_mut().clone_from(&headers);
                Ok(request)
            }
        };
        let exporter = MetricExporter::builder()
            .with_tonic()
            .with_channel(channel.clone())
            .with_compression(Compression::Gzip)
            .with_interceptor(only(headers.clone()))
            .with_timeout(config.export.timeout)
            // The next ones say all that these do.
            .with_retry_policy(RetryPolicy::disabled())
            .build()?;
        let exporter = Watched::new(exporter, "metrics", &config.export, Handle::current());
        let reader = PeriodicReader::builder(exporter).with_interval(config.interval).build();
        let metrics = SdkMeterProvider::builder().with_resource(resource.clone()).with_reader(reader).build();
        instruments::register(&metrics, source);
        let mut this = Self { metrics, messages: None, logs: logs.clone() };
        if config.logs {
            let exporter = LogExporter::builder()
                .with_tonic()
                .with_channel(channel)
                .with_compression(Compression::Gzip)
                .with_interceptor(only(headers))
                .with_timeout(config.export.timeout)
                .build()?;
            let exporter = Watched::new(exporter, "log messages", &config.export, Handle::current());
            let limits = BatchConfigBuilder::default().with_max_queue_size(QUEUE).with_max_export_batch_size(BATCH);
            let processor = BatchLogProcessor::builder(exporter).with_batch_config(limits.build()).build();
            let messages = SdkLoggerProvider::builder().with_resource(resource).with_log_processor(processor).build();
            logs.export_by(&messages);
            this.messages = Some(messages);
        }
        Ok(this)
    }

    /// Exports what there is, within two seconds: what takes longer is given up.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        self.logs.stop();
        let deadline = Instant::now() + STOP;
        let (sender, receiver) = sync_channel::<()>(2);
        // Each on a thread of its own: the library takes its time, and the process need not wait for it to end.
        let (metrics, messages, done) = (self.metrics.clone(), self.messages.take(), sender.clone());
        let stops: [Box<dyn FnOnce() + Send>; 2] = [
            Box::new(move || {
                drop(metrics.shutdown_with_timeout(STOP));
                let _nobody_waits = done.send(());
            }),
            Box::new(move || {
                drop(messages.map(|messages| messages.shutdown_with_timeout(STOP)));
                let _nobody_waits = sender.send(());
            }),
        ];
        for stop in stops {
            drop(thread::Builder::new().name("telemetry".to_owned()).spawn(stop));
        }
        for _ in 0..2 {
            let left = deadline.saturating_duration_since(Instant::now());
            let _given_up = receiver.recv_timeout(left);
        }
    }
}

/// The exporter as its own records of losses describe it ([`crate::otlp::resource`]), with what `OTEL_RESOURCE_ATTRIBUTES`
/// adds.
fn resource(node: &Node) -> Resource {
    let attributes = [
        (HOST_NAME, &*node.host),
        (K8S_CLUSTER_NAME, &*node.cluster),
        (K8S_NODE_NAME, &*node.name),
        (SERVICE_INSTANCE_ID, &*node.stream_id),
        (SERVICE_VERSION, SCOPE_VERSION),
    ];
    let attributes = attributes.into_iter().filter(|(_, value)| !value.is_empty());
    Resource::builder()
        .with_service_name(SCOPE_NAME)
        .with_attributes(attributes.map(|(key, value)| KeyValue::new(key, value.to_owned())))
        .build()
}
