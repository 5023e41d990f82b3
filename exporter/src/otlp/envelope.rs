//! `ResourceLogs` and `ScopeLogs` around records that are encoded already.

use super::attribute::SCHEMA_URL;
use super::wire::{bytes, bytes_len, tag, varint};

/// `InstrumentationScope.name`
pub const SCOPE_NAME: &str = "inotrail";
/// `InstrumentationScope.version`
pub const SCOPE_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The encoded `InstrumentationScope`.
const SCOPE_LEN: usize = bytes_len(SCOPE_NAME.len()) + bytes_len(SCOPE_VERSION.len());
/// `schema_url` of either message: field 3.
const SCHEMA_LEN: usize = bytes_len(SCHEMA_URL.len());

const fn scope_logs_len(records_len: usize) -> usize {
    bytes_len(SCOPE_LEN) + records_len + SCHEMA_LEN
}

const fn body_len(resource_len: usize, records_len: usize) -> usize {
    bytes_len(resource_len) + bytes_len(scope_logs_len(records_len)) + SCHEMA_LEN
}

/// Bytes of one `ResourceLogs` in a request, for an encoded `Resource` and encoded records of these lengths.
#[must_use]
pub const fn resource_logs_len(resource_len: usize, records_len: usize) -> usize {
    bytes_len(body_len(resource_len, records_len))
}

/// Appends what precedes the records: exactly `records_len` bytes of them must follow, then [`close_resource_logs`].
pub fn open_resource_logs(out: &mut Vec<u8>, resource: &[u8], records_len: usize) {
    out.push(tag(1));
    varint(out, body_len(resource.len(), records_len) as u64);
    bytes(out, tag(1), resource);
    out.push(tag(2));
    varint(out, scope_logs_len(records_len) as u64);
    out.push(tag(1));
    varint(out, SCOPE_LEN as u64);
    bytes(out, tag(1), SCOPE_NAME.as_bytes());
    bytes(out, tag(2), SCOPE_VERSION.as_bytes());
}

/// Appends what follows the records.
pub fn close_resource_logs(out: &mut Vec<u8>) {
    // Of the ScopeLogs, then of the ResourceLogs.
    bytes(out, tag(3), SCHEMA_URL.as_bytes());
    bytes(out, tag(3), SCHEMA_URL.as_bytes());
}
