//! Requests as lines of JSON, in three forms.

use std::io::{self, Write};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use serde::Serialize;
use serde_json::Serializer;

use super::printable::Escape;
use super::{json, otlp_json, vector};
use crate::config::choice::Form;

/// A record, and what it shares with others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) resource: Option<&'a Resource>,
    pub(super) scope: Option<&'a InstrumentationScope>,
    pub(super) record: &'a LogRecord,
}

/// Writes an encoded `ExportLogsServiceRequest`: all of it in one line by [`Form::OtlpJson`], else each record in one.
///
/// # Errors
/// Those of `out`, and `InvalidData` where the request is none.
pub(crate) fn write(form: Form, request: &[u8], out: &mut impl Write) -> io::Result<()> {
    let request =
        ExportLogsServiceRequest::decode(request).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let mut records = request.resource_logs.iter().flat_map(places);
    match form {
        Form::OtlpJson => line(out, &otlp_json::object(&request)?),
        Form::Json => records.try_for_each(|place| line(out, &json::object(place))),
        Form::Vector => records.try_for_each(|place| line(out, &vector::object(place))),
    }
}

fn places(logs: &ResourceLogs) -> impl Iterator<Item = Place<'_>> {
    let resource = logs.resource.as_ref();
    logs.scope_logs.iter().flat_map(move |logs| {
        logs.log_records.iter().map(move |record| Place { resource, scope: logs.scope.as_ref(), record })
    })
}

fn line(out: &mut impl Write, object: &impl Serialize) -> io::Result<()> {
    object.serialize(&mut Serializer::with_formatter(&mut *out, Escape))?;
    out.write_all(b"\n")
}
