//! One flat JSON object per line: times, body and severity, then every attribute of the record and of its Resource
//! under OpenTelemetry's name.

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Proto;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use serde_json::{Map, Value};

use super::lines::Place;

/// Names of what is no attribute. OpenTelemetry's attribute names have dots, so none is hidden.
pub(crate) const TIME: &str = "time";
/// When the exporter saw the access.
pub(crate) const OBSERVED_TIME: &str = "observed_time";
/// OpenTelemetry's severity number.
pub(crate) const SEVERITY_NUMBER: &str = "severity_number";
/// The sentence.
pub(crate) const BODY: &str = "body";

/// The record.
pub(super) fn object(Place { resource, record, .. }: Place<'_>) -> Map<String, Value> {
    let mut object = Map::new();
    let attributes = |list: &[KeyValue], object: &mut Map<String, Value>| {
        object.extend(list.iter().map(|pair| (pair.key.clone(), optional(pair.value.as_ref()))));
    };
    if let Some(resource) = resource {
        attributes(&resource.attributes, &mut object);
    }
    attributes(&record.attributes, &mut object);
    object.insert(TIME.into(), time(record.time_unix_nano));
    object.insert(OBSERVED_TIME.into(), time(record.observed_time_unix_nano));
    object.insert(SEVERITY_NUMBER.into(), record.severity_number.into());
    object.insert(BODY.into(), optional(record.body.as_ref()));
    object
}

/// RFC 3339 in UTC with three, six or nine digits of a second, or none.
pub(crate) fn time(nanos: u64) -> Value {
    let digits = match nanos % 1_000_000_000 {
        0 => 0,
        rest if rest % 1_000_000 == 0 => 3,
        rest if rest % 1_000 == 0 => 6,
        _ => 9,
    };
    let printer = DateTimePrinter::new().precision(Some(digits));
    Timestamp::from_nanosecond(i128::from(nanos)).map_or(Value::Null, |time| printer.timestamp_to_string(&time).into())
}

/// An attribute's value as JSON has it.
pub(crate) fn optional(value: Option<&AnyValue>) -> Value {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Proto::StringValue(text)) => text.clone().into(),
        Some(Proto::BoolValue(truth)) => (*truth).into(),
        Some(Proto::IntValue(number)) => (*number).into(),
        Some(Proto::DoubleValue(number)) => (*number).into(),
        Some(Proto::ArrayValue(list)) => list.values.iter().map(|value| optional(Some(value))).collect(),
        Some(Proto::KvlistValue(list)) => {
            list.values.iter().map(|pair| (pair.key.clone(), optional(pair.value.as_ref()))).collect()
        }
        // The encoder writes neither; bytes have no form of their own in JSON.
        Some(Proto::BytesValue(_) | Proto::StringValueStrindex(_)) | None => Value::Null,
    }
}
