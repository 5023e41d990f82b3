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
mod deed;
mod envelope;
mod file;
mod loss;
mod memo;
mod names;
mod parts;
mod phrase;
mod policy;
mod record;
mod resource;
mod room;
mod split;
mod stopped;
mod tail;
mod thread;
mod time;
mod wire;

pub use envelope::{SCOPE_NAME, SCOPE_VERSION, close_resource_logs, open_resource_logs, resource_logs_len};
pub use loss::{LOSS_EVENT_NAME, sentence};
pub use record::{EVENT_NAME, Encoder};
pub use resource::resource;
pub use room::Room;
pub use split::{Half, split};
pub use stopped::STOPPED_EVENT_NAME;
