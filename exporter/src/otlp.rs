//! Events as OTLP, written byte by byte: no intermediate structures, no I/O, no clock.
//!
//! The bytes are those that a protobuf library makes of the same message (shortest varints, fields in order, defaults
//! left out). A request is one `ResourceLogs` per container, each with one `ScopeLogs`:
//!
//! ```text
//! ExportLogsServiceRequest { resource_logs: [
//!     ResourceLogs { resource, scope_logs: [ ScopeLogs { scope, log_records: [...], schema_url } ], schema_url },
//! ] }
//! ```
//!
//! Messages: opentelemetry/proto/logs/v1/logs.proto. Names: OpenTelemetry semantic conventions, see [`attribute`].

pub mod attribute;
mod body;
mod envelope;
mod escape;
mod names;
mod record;
mod resource;
mod split;
mod time;
mod wire;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::logs::v1::ResourceLogs;
use prost::{DecodeError, Message};

use crate::event::{Event, Node};

pub use envelope::{SCOPE_NAME, SCOPE_VERSION, close_resource_logs, open_resource_logs, resource_logs_len};
pub use record::{EVENT_NAME, Encoder};
pub use resource::resource;
pub use split::split;

/// One event as the message that the exporter would send, for those who write it in another form. Slow.
///
/// # Errors
/// None is known: the bytes are our own.
pub fn resource_logs(node: &Node, event: &Event<'_>) -> Result<ResourceLogs, DecodeError> {
    let mut record = Vec::new();
    Encoder::new(node).record(&mut record, event);
    let mut request = Vec::new();
    open_resource_logs(&mut request, &resource(node, event.container), record.len());
    request.extend_from_slice(&record);
    close_resource_logs(&mut request);
    let request = ExportLogsServiceRequest::decode(&*request)?;
    Ok(request.resource_logs.into_iter().next().unwrap_or_default())
}
