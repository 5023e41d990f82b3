//! The way of the opentelemetry SDK: a provider per container, because a provider has one Resource, each with the SDK's
//! own batch processor; records are turned into opentelemetry-proto's structures and those into bytes.

use std::future::ready;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::Result;
use inotrail::container::{Container, File};
use inotrail::event::{Event, Node, Outcome};
use inotrail::{errno, otlp};
use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _, Severity};
use opentelemetry::{Array, InstrumentationScope, KeyValue, StringValue, Value};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as ProtoValue;
use opentelemetry_proto::tonic::resource::v1::Resource as ProtoResource;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::logs::tonic::group_logs_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::logs::{
    BatchConfigBuilder, BatchLogProcessor, LogBatch, LogExporter, SdkLogRecord, SdkLogger, SdkLoggerProvider,
};
use prost::Message as _;

use super::sample::{BATCH, CONTAINERS, Sample};

/// Encodes what the batch processor gives it.
#[derive(Debug)]
struct Encode {
    resource: ResourceAttributesWithSchema,
    requests: SyncSender<Vec<u8>>,
}

impl LogExporter for Encode {
    fn export(&self, batch: LogBatch<'_>) -> impl Future<Output = OTelSdkResult> + Send {
        let resource_logs = group_logs_by_resource_and_scope(&batch, &self.resource);
        let request = ExportLogsServiceRequest { resource_logs }.encode_to_vec();
        ready(self.requests.send(request).map_err(|error| OTelSdkError::InternalFailure(error.to_string())))
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = resource.into();
    }
}

/// The loggers of containers, and what they have encoded.
#[derive(Debug)]
pub struct Sdk {
    loggers: Vec<(SdkLogger, SdkLoggerProvider)>,
    encoded: Receiver<Vec<u8>>,
    stream_id: String,
}

impl Sdk {
    /// A logger for each of these containers.
    ///
    /// # Errors
    /// None is known.
    pub fn new<'a>(node: &Node, containers: impl Iterator<Item = &'a Arc<Container>>) -> Result<Self> {
        let (requests, encoded) = sync_channel(BATCH);
        let scope = InstrumentationScope::builder(otlp::SCOPE_NAME)
            .with_version(otlp::SCOPE_VERSION)
            .with_schema_url(otlp::attribute::SCHEMA_URL)
            .build();
        let mut loggers = Vec::new();
        for container in containers {
            let provider = provider(resource(node, container)?, requests.clone());
            loggers.push((provider.logger_with_scope(scope.clone()), provider));
        }
        Ok(Self { loggers, encoded, stream_id: node.stream_id.clone() })
    }

    /// Logs an event by the logger of this number.
    pub fn emit(&self, logger: usize, event: &Event<'_>) {
        emit(&self.loggers[logger].0, event, &self.stream_id);
    }

    /// Gives the bytes of every request to `each`.
    ///
    /// # Errors
    /// None is known.
    pub fn flush(&self, mut each: impl FnMut(&[u8])) -> Result<()> {
        for (_, provider) in &self.loggers {
            provider.force_flush()?;
        }
        self.encoded.try_iter().for_each(|request| each(&request));
        Ok(())
    }
}

/// Gives the bytes of every request of `events` events to `each`.
///
/// # Errors
/// None is known.
pub fn run(sample: &Sample, events: usize, mut each: impl FnMut(&[u8])) -> Result<()> {
    let sdk = Sdk::new(&sample.node, sample.containers.iter())?;
    for start in (0..events).step_by(BATCH) {
        for index in start..events.min(start + BATCH) {
            sdk.emit(index % CONTAINERS, &sample.event(index));
        }
        sdk.flush(&mut each)?;
    }
    Ok(())
}

fn provider(resource: Resource, requests: SyncSender<Vec<u8>>) -> SdkLoggerProvider {
    // A batch is flushed when it is full, never by time.
    let config = BatchConfigBuilder::default()
        .with_max_queue_size(BATCH)
        .with_max_export_batch_size(BATCH)
        .with_scheduled_delay(Duration::from_secs(3600));
    let exporter = Encode { resource: ResourceAttributesWithSchema::default(), requests };
    let processor = BatchLogProcessor::builder(exporter).with_batch_config(config.build()).build();
    SdkLoggerProvider::builder().with_resource(resource).with_log_processor(processor).build()
}

/// The same attributes as in our Resource.
fn resource(node: &Node, container: &Container) -> Result<Resource> {
    let ours = ProtoResource::decode(&*otlp::resource(node, container))?;
    let attributes = ours.attributes.into_iter().filter_map(|attribute| {
        let value = match attribute.value?.value? {
            ProtoValue::StringValue(value) => Value::from(value),
            ProtoValue::ArrayValue(array) => {
                let values = array.values.into_iter().filter_map(|value| match value.value? {
                    ProtoValue::StringValue(value) => Some(StringValue::from(value)),
                    _ => None,
                });
                Value::Array(Array::String(values.collect()))
            }
            _ => return None,
        };
        Some(KeyValue::new(attribute.key, value))
    });
    Ok(Resource::builder_empty().with_schema_url(attributes, otlp::attribute::SCHEMA_URL).build())
}

/// One event, as an application would log it that knows each of our attributes.
fn emit(logger: &SdkLogger, event: &Event<'_>, stream_id: &str) {
    let (access, header) = (&event.access, event.access.header);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (path, comm) = (text(access.path), text(access.comm()));
    let mode = access.access_mode().map_or("", |mode| mode.as_str());
    let purpose = if mode == "write" { "writing" } else { "reading" };
    let mut record = logger.create_log_record();
    record.set_event_name(otlp::EVENT_NAME);
    record.set_timestamp(UNIX_EPOCH + Duration::from_nanos(event.time_ns));
    record.set_observed_timestamp(UNIX_EPOCH + Duration::from_nanos(event.observed_ns));
    record.add_attribute("otel.event.name", otlp::EVENT_NAME);
    record.add_attribute("inotrail.stream.id", stream_id.to_owned());
    let body = if let Outcome::Failure(number) = access.outcome() {
        let error = errno::symbol(number).unwrap_or_default();
        record.set_severity_number(Severity::Info2);
        record.add_attribute("inotrail.file.outcome", "failure");
        record.add_attribute("error.type", error);
        format!("{comm}[{}] failed to open {path} for {purpose}: {error}", header.tgid)
    } else {
        record.set_severity_number(Severity::Info);
        record.add_attribute("inotrail.file.outcome", "success");
        format!("{comm}[{}] opened {path} for {purpose}", header.tgid)
    };
    record.set_body(AnyValue::from(body));
    record.add_attribute("file.path", path);
    record.add_attribute("inotrail.file.operation", access.operation().as_str());
    record.add_attribute("inotrail.file.access_mode", mode);
    record.add_attribute("inotrail.file.open_flags", header.open_flags);
    record.add_attribute("file.inode", header.inode.to_string());
    record.add_attribute("inotrail.file.device", format!("{}:{}", header.device >> 20, header.device & 0xf_ffff));
    if access.requested != access.path && !access.requested.is_empty() {
        record.add_attribute("inotrail.file.requested_path", text(access.requested));
    }
    record.add_attribute("inotrail.file.confidence", access.confidence());
    place(&mut record, &event.file);
    record.add_attribute("inotrail.backend", event.backend.as_str());
    record.add_attribute("process.pid", header.tgid);
    record.add_attribute("process.parent_pid", header.ppid);
    record.add_attribute("thread.id", header.tid);
    record.add_attribute("thread.name", comm);
    record.add_attribute("process.executable.path", text(&event.process.executable));
    record.add_attribute("process.vpid", event.process.vpid);
    let ancestors = event.process.ancestors.iter().map(|one| format!("{}:{}", one.tgid, text(&one.executable)));
    record.add_attribute("inotrail.process.ancestors", ancestors.collect::<Vec<_>>().join(" // "));
    record.add_attribute("process.user.id", header.euid);
    record.add_attribute("process.real_user.id", header.uid);
    record.add_attribute("process.creation.time", creation_time(event.process_start_ns));
    record.add_attribute("inotrail.aggregation.count", event.count as i64);
    record.add_attribute("inotrail.stream.sequence", event.sequence as i64);
    logger.emit(record);
}

fn place(record: &mut SdkLogRecord, file: &File<'_>) {
    let mut add = |key: &'static str, value: &str| {
        if !value.is_empty() {
            record.add_attribute(key, value.to_owned());
        }
    };
    if let Some(volume) = file.volume {
        add("k8s.volume.name", &volume.name);
        add("k8s.volume.type", &volume.kind);
        add("k8s.persistentvolumeclaim.name", &volume.claim);
    }
    if let Some(object) = file.object {
        add("inotrail.volume.object.kind", object.kind);
        add("inotrail.volume.object.name", object.name);
        add("inotrail.volume.object.key", &String::from_utf8_lossy(object.key));
    }
}

fn creation_time(unix_ns: u64) -> String {
    let time = jiff::Timestamp::from_nanosecond(unix_ns.into()).unwrap_or_default();
    format!("{time:.3}")
}
