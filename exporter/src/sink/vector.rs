//! One JSON object per line in the shape that Vector's `opentelemetry` source gives its events (legacy log namespace),
//! so that a pipeline is tried with a file before anything is wired.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use serde_json::{Map, Value, json};

use super::json::{optional, time};
use super::lines::Place;

/// The event. Members that Vector leaves out when empty are left out.
pub(super) fn object(Place { resource, scope, record }: Place<'_>) -> Map<String, Value> {
    let mut event = Map::new();
    let mut put = |name: &str, value: Value, present: bool| {
        if present {
            event.insert(name.into(), value);
        }
    };
    if let Some(scope) = scope {
        put("scope", json!({ "name": scope.name, "version": scope.version }), true);
    }
    if let Some(resource) = resource {
        put("resources", map(&resource.attributes), !resource.attributes.is_empty());
    }
    put("message", optional(record.body.as_ref()), record.body.is_some());
    put("attributes", map(&record.attributes), !record.attributes.is_empty());
    put("severity_text", record.severity_text.clone().into(), !record.severity_text.is_empty());
    put("severity_number", record.severity_number.into(), record.severity_number != 0);
    put("flags", record.flags.into(), record.flags > 0);
    let dropped = record.dropped_attributes_count;
    put("dropped_attributes_count", dropped.into(), dropped > 0);
    put("observed_timestamp", time(record.observed_time_unix_nano), true);
    put("timestamp", time(record.time_unix_nano), true);
    put("source_type", "opentelemetry".into(), true);
    event
}

fn map(attributes: &[KeyValue]) -> Value {
    attributes.iter().map(|pair| (pair.key.clone(), optional(pair.value.as_ref()))).collect()
}
