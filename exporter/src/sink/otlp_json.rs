//! One OTLP/JSON object per line (opentelemetry-proto, docs/specification.md, "JSON Protobuf Encoding"), as the
//! Collector's file exporter writes and its `otlpjsonfile` receiver reads it.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use serde_json::Value;

/// The request without the fields that have their default.
pub(super) fn object(request: &ExportLogsServiceRequest) -> serde_json::Result<Value> {
    let mut value = serde_json::to_value(request)?;
    prune(&mut value);
    Ok(value)
}

/// Drops members that hold nothing: every reader takes an absent field for its default.
fn prune(value: &mut Value) {
    match value {
        Value::Object(members) => members.retain(|name, member| {
            // A value says which type it has even where it is empty.
            if !name.ends_with("Value") {
                prune(member);
                return !is_default(member);
            }
            prune(member);
            true
        }),
        Value::Array(items) => items.iter_mut().for_each(prune),
        _ => {}
    }
}

fn is_default(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Number(number) => number.as_u64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Bool(_) | Value::Object(_) => false,
    }
}
