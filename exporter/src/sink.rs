//! Events on stdout: a table for people, JSON lines for programs.

mod json;
pub(crate) mod lines;
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

pub(crate) use printable::{Escape, Printable};
pub use printer::{Limits, Printer, Stop};

use crate::batch::{self, Batch, Request};
use crate::config::choice::{self, TraceOutput};
use crate::event::{Event, Node};
use crate::loss::Loss;
use crate::otlp::Encoder;
use crate::stopped::Stopped;
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
    Json(Box<(Batch, Encoder)>, choice::Form),
}

impl<W: Write> Sink<W> {
    /// `columns` is the terminal's width; nothing where `out` is none.
    pub fn new(out: W, output: TraceOutput, node: Node, color: bool, columns: Option<u16>) -> Self {
        let json = |form| {
            let one =
                batch::Limits { records: 1, bytes: batch::REQUEST_MAX, age: Duration::ZERO, interval: Duration::ZERO };
            let encoder = Encoder::new(&node);
            Form::Json(Box::new((Batch::new(one, node), encoder)), form)
        };
        let form = match output {
            TraceOutput::Table => Form::Table(Table::new(TimeZone::system(), color, columns)),
            TraceOutput::Json => json(choice::Form::Json),
            TraceOutput::OtlpJson => json(choice::Form::OtlpJson),
            TraceOutput::Vector => json(choice::Form::Vector),
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
            Form::Json(encoded, form) => {
                let (batch, encoder) = &mut **encoded;
                let request = batch.push(encoder, event, 0);
                write(*form, request, &mut self.out)
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
            Form::Json(encoded, form) => {
                let (batch, encoder) = &mut **encoded;
                let request = batch.push_loss(encoder, loss, 0);
                write(*form, request, &mut self.out)
            }
        }
    }

    /// Writes the end of the run in the forms that stand for what a receiver gets; the others have nothing of it.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_stopped(&mut self, stopped: &Stopped<'_>) -> io::Result<()> {
        match &mut self.form {
            Form::Json(encoded, form @ (choice::Form::OtlpJson | choice::Form::Vector)) => {
                let (batch, encoder) = &mut **encoded;
                let request = batch.push_stopped(encoder, stopped, 0);
                write(*form, request, &mut self.out)
            }
            Form::Table(_) | Form::Json(..) => Ok(()),
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

/// All three are made of the request that would be sent: there is one list of attributes.
fn write(form: choice::Form, request: Option<Request>, out: &mut impl Write) -> io::Result<()> {
    request.map_or(Ok(()), |request| lines::write(form, &request.body, out))
}

#[cfg(test)]
mod tests;
