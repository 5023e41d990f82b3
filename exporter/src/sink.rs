//! Events on stdout: a table for people, JSON lines for programs.

mod json;
mod otlp_json;
mod printable;
mod printer;
#[cfg(test)]
pub(crate) mod sample;
mod table;
mod vector;

use std::io::{self, Write};
use std::time::Duration;

use jiff::tz::TimeZone;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use prost::Message;
use serde::Serialize;
use serde_json::Serializer;

pub use printer::{Limits, Printer, Stop};

use crate::batch::{self, Batch, Request};
use crate::config::choice::TraceOutput;
use crate::event::{Event, Node};
use crate::loss::Loss;
use printable::Escape;
use table::Table;

/// Writes events as lines to `out`, which should buffer.
#[derive(Debug)]
pub struct Sink<W> {
    out: W,
    form: Form,
    line: String,
}

#[derive(Debug)]
enum Form {
    Table(Table),
    Json(Box<Batch>, Json),
}

#[derive(Clone, Copy, Debug)]
enum Json {
    Flat,
    Otlp,
    Vector,
}

impl<W: Write> Sink<W> {
    /// `columns` is the terminal's width; nothing where `out` is none.
    pub fn new(out: W, output: TraceOutput, node: Node, color: bool, columns: Option<u16>) -> Self {
        let json = |form| {
            let one = batch::Limits { records: 1, bytes: batch::REQUEST_MAX, age: Duration::ZERO };
            Form::Json(Box::new(Batch::new(one, node)), form)
        };
        let form = match output {
            TraceOutput::Table => Form::Table(Table::new(TimeZone::system(), color, columns)),
            TraceOutput::Json => json(Json::Flat),
            TraceOutput::OtlpJson => json(Json::Otlp),
            TraceOutput::Vector => json(Json::Vector),
        };
        Self { out, form, line: String::new() }
    }

    /// Writes one event.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&mut self, event: &Event<'_>) -> io::Result<()> {
        match &mut self.form {
            Form::Table(table) => {
                self.line.clear();
                table.format(event, &mut self.line);
                self.out.write_all(self.line.as_bytes())
            }
            Form::Json(batch, form) => {
                let request = batch.push(event, 0);
                form.write(&mut self.out, request)
            }
        }
    }

    /// Writes one loss.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_loss(&mut self, loss: &Loss<'_>) -> io::Result<()> {
        match &mut self.form {
            Form::Table(table) => {
                self.line.clear();
                table.format_loss(loss, &mut self.line);
                self.out.write_all(self.line.as_bytes())
            }
            Form::Json(batch, form) => {
                let request = batch.push_loss(loss, 0);
                form.write(&mut self.out, request)
            }
        }
    }

    /// Hands on what is buffered.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Json {
    /// All three are made of the request that would be sent: there is one list of attributes.
    fn write(self, out: &mut impl Write, request: Option<Request>) -> io::Result<()> {
        let Some(request) = request else { return Ok(()) };
        let request = ExportLogsServiceRequest::decode(request.body).map_err(io::Error::other)?;
        match self {
            Self::Otlp => line(out, &otlp_json::object(&request)?),
            Self::Flat => request.resource_logs.iter().try_for_each(|logs| line(out, &json::object(logs))),
            Self::Vector => request.resource_logs.iter().try_for_each(|logs| line(out, &vector::object(logs))),
        }
    }
}

fn line(out: &mut impl Write, object: &impl Serialize) -> io::Result<()> {
    object.serialize(&mut Serializer::with_formatter(&mut *out, Escape))?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests;
