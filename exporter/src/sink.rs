//! Events on stdout: a table for people, JSON lines for programs.

mod escape;
mod json;
mod otlp_json;
mod printer;
#[cfg(test)]
pub(crate) mod sample;
mod table;
mod vector;

use std::io::{self, Write};

use jiff::tz::TimeZone;

pub use printer::{Limits, Printer, Stop};

use crate::config::choice::TraceOutput;
use crate::event::{Event, Node};
use crate::otlp;
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
    Json(Node, Json),
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
        let form = match output {
            TraceOutput::Table => Form::Table(Table::new(TimeZone::system(), color, columns)),
            TraceOutput::Json => Form::Json(node, Json::Flat),
            TraceOutput::OtlpJson => Form::Json(node, Json::Otlp),
            TraceOutput::Vector => Form::Json(node, Json::Vector),
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
            Form::Json(node, form) => {
                // All three are made from the bytes that the exporter would send: there is one list of attributes.
                let logs = otlp::resource_logs(node, event).map_err(io::Error::other)?;
                match form {
                    Json::Flat => serde_json::to_writer(&mut self.out, &json::object(&logs))?,
                    Json::Otlp => serde_json::to_writer(&mut self.out, &otlp_json::object(logs)?)?,
                    Json::Vector => serde_json::to_writer(&mut self.out, &vector::object(&logs))?,
                }
                self.out.write_all(b"\n")
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
