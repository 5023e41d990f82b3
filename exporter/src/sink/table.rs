//! One line per event, for people.
//!
//! ```text
//! TIME         CONTAINER                PROCESS          ACCESS    RESULT PATH
//! 11:28:20.123 shop/web-7d4b9/web       python3[1234]    open r    ok     /etc/passwd
//! ```
//!
//! The path comes last: however long it is, no other column moves.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::printable::Printable;
use crate::container::{Container, Origin};
use crate::errno;
use crate::event::{AccessMode, Event, Operation, Outcome};
use crate::loss::Loss;
use crate::otlp;

/// Width of the container's column in a terminal of 100 columns; half of what a terminal has more is added to it.
const CONTAINER: usize = 24;
/// Two more names than this are hardly longer.
const CONTAINER_MAX: usize = 48;
const PROCESS: usize = 16;
/// Bytes of a container's id that people use.
const SHORT_ID: usize = 12;

const HEADER: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();
const FAILURE: Style = AnsiColor::Red.on_default().bold();
const UNKNOWN: Style = AnsiColor::Yellow.on_default();
const PLAIN: Style = Style::new();

/// Formats events as lines.
#[derive(Debug)]
pub(crate) struct Table {
    zone: TimeZone,
    color: bool,
    container_width: usize,
    /// The container's column is cut to its width: on a terminal, where the path needs the room.
    cut: bool,
    header_due: bool,
    cell: String,
}

impl Table {
    /// `columns` is the terminal's width; nothing where there is none, and then nothing is cut.
    pub(crate) fn new(zone: TimeZone, color: bool, columns: Option<u16>) -> Self {
        let more = columns.map_or(0, |columns| usize::from(columns).saturating_sub(100) / 2);
        let container_width = (CONTAINER + more).min(CONTAINER_MAX);
        let cut = columns.is_some();
        Self { zone, color, container_width, cut, header_due: true, cell: String::new() }
    }

    /// Appends the event's line, before the first one the header's.
    pub(crate) fn format(&mut self, event: &Event<'_>, line: &mut String) {
        if std::mem::take(&mut self.header_due) {
            self.header(line);
        }
        self.time(event.time_ns);
        self.put(line, FAINT, 12);
        container(event.container, &mut self.cell);
        self.shorten();
        self.put(line, PLAIN, self.container_width);
        // Of accesses that were only counted nobody knows the process.
        if event.access.header.tgid != 0 {
            let _infallible = write!(self.cell, "{}[{}]", Printable(event.access.comm()), event.access.header.tgid);
        }
        self.put(line, PLAIN, PROCESS);
        self.cell.push_str(access(event));
        self.put(line, PLAIN, 9);
        let style = self.result(event.access.outcome());
        self.put(line, style, 6);
        self.path(event, line);
        line.push('\n');
    }

    /// Appends the loss's line.
    pub(crate) fn format_loss(&mut self, loss: &Loss<'_>, line: &mut String) {
        if std::mem::take(&mut self.header_due) {
            self.header(line);
        }
        self.time(loss.observed_ns);
        self.put(line, FAINT, 12);
        container(loss.container, &mut self.cell);
        self.shorten();
        self.put(line, PLAIN, self.container_width);
        self.put(line, PLAIN, PROCESS);
        self.cell.push_str("lost");
        self.put(line, FAILURE, 9);
        self.put(line, PLAIN, 6);
        self.cell.push_str(&otlp::sentence(loss));
        self.put(line, FAILURE, 0);
        line.pop();
        line.push('\n');
    }

    fn header(&mut self, line: &mut String) {
        let columns =
            [("TIME", 12), ("CONTAINER", self.container_width), ("PROCESS", PROCESS), ("ACCESS", 9), ("RESULT", 6)];
        for (name, width) in columns {
            self.cell.push_str(name);
            self.put(line, HEADER, width);
        }
        self.cell.push_str("PATH");
        self.put(line, HEADER, 0);
        line.truncate(line.trim_end().len());
        line.push('\n');
    }

    /// Moves the cell into the line, filled up to `width` and followed by a space.
    fn put(&mut self, line: &mut String, style: Style, width: usize) {
        let fill = width.saturating_sub(self.cell.chars().count());
        let style = if self.color { style } else { PLAIN };
        let _infallible = write!(line, "{style}{}{style:#}{:fill$} ", self.cell, "");
        self.cell.clear();
    }

    /// Cuts the middle out of a cell that is too wide: a namespace's and a container's name are at its ends.
    fn shorten(&mut self) {
        let length = self.cell.chars().count();
        if !self.cut || length <= self.container_width {
            return;
        }
        let head = (self.container_width - 1) / 2;
        let tail = self.container_width - 1 - head;
        let at = |index| self.cell.char_indices().nth(index).map_or(self.cell.len(), |(at, _)| at);
        let (from, to) = (at(head), at(length - tail));
        self.cell.replace_range(from..to, "\u{2026}");
    }

    fn time(&mut self, time_ns: u64) {
        let Ok(time) = Timestamp::from_nanosecond(i128::from(time_ns)) else { return self.cell.push('?') };
        let time = time.to_zoned(self.zone.clone());
        let (hour, minute, second, millis) = (time.hour(), time.minute(), time.second(), time.millisecond());
        let _infallible = write!(self.cell, "{hour:02}:{minute:02}:{second:02}.{millis:03}");
    }

    fn result(&mut self, outcome: Outcome) -> Style {
        match outcome {
            Outcome::Success => {
                self.cell.push_str("ok");
                PLAIN
            }
            Outcome::Failure(number) => {
                match errno::symbol(number) {
                    Some(symbol) => self.cell.push_str(symbol),
                    None => {
                        let _infallible = write!(self.cell, "E{number}");
                    }
                }
                FAILURE
            }
            Outcome::Unknown => {
                self.cell.push('?');
                UNKNOWN
            }
        }
    }

    /// The path or two, then what is special about it: `/etc/passwd x12 [raced]`, `/a -> /b`.
    fn path(&mut self, event: &Event<'_>, line: &mut String) {
        let access = &event.access;
        let path = if access.path.is_empty() { access.requested } else { access.path };
        let _infallible = match path {
            b"" if access.header.inode != 0 => {
                let (inode, device) = (access.header.inode, access.header.device);
                write!(line, "inode {inode} of device {}:{}", device >> 20, device & 0xf_ffff)
            }
            b"" => line.write_char('?'),
            path => write!(line, "{}", Printable(path)),
        };
        if !access.target.is_empty() {
            let _infallible = write!(line, " -> {}", Printable(access.target));
        }
        if event.count > 1 {
            let _infallible = write!(line, " x{}", event.count);
        }
        // The path of a refused access is what was asked for: that goes without saying.
        let failed = matches!(access.outcome(), Outcome::Failure(_));
        let confidence =
            Some(access.confidence()).filter(|name| *name != "confirmed" && !(failed && *name == "requested"));
        for note in confidence.into_iter().chain(access.flags()) {
            self.cell.push(if self.cell.is_empty() { '[' } else { ',' });
            self.cell.push_str(note);
        }
        if !self.cell.is_empty() {
            self.cell.push(']');
            line.push(' ');
            self.put(line, FAINT, 0);
            line.pop();
        }
    }
}

/// `namespace/pod/container`, a container's name or short id, a unit, or `host`.
fn container(container: &Container, cell: &mut String) {
    let name = match &container.origin {
        Origin::Host => "host",
        Origin::Exporter => "inotrail",
        Origin::Unit(unit) => unit,
        Origin::Container { id, name, .. } if name.is_empty() => id.get(..SHORT_ID).unwrap_or(id),
        Origin::Container { name, .. } => name,
    };
    let _infallible = match &container.pod {
        Some(pod) => write!(
            cell,
            "{}/{}/{}",
            Printable(pod.namespace.as_bytes()),
            Printable(pod.name.as_bytes()),
            Printable(name.as_bytes())
        ),
        None => write!(cell, "{}", Printable(name.as_bytes())),
    };
}

fn access(event: &Event<'_>) -> &'static str {
    use AccessMode::{Execute, Read, ReadWrite, Write};
    match (event.access.operation(), event.access.access_mode()) {
        (Operation::MmapExecute, _) => "mmap exec",
        (Operation::Open, Some(Read)) => "open r",
        (Operation::Open, Some(Write)) => "open w",
        (Operation::Open, Some(ReadWrite)) => "open rw",
        (Operation::Open, None | Some(Execute)) => "open",
        (Operation::Create, Some(Read)) => "create r",
        (Operation::Create, Some(Write)) => "create w",
        (Operation::Create, Some(ReadWrite)) => "create rw",
        (Operation::Create, None | Some(Execute)) => "create",
        (operation, _) => operation.as_str(),
    }
}

#[cfg(test)]
mod tests;
