//! OTLP/JSON: one request per line, as the Collector's file exporter writes, or whole files of one or more.
//!
//! Only what is asked for is named: the rest of a line is skipped (opentelemetry-proto, docs/specification.md, "JSON
//! Protobuf Encoding").

use std::borrow::Cow;
use std::io::{self, BufRead, Read};

use foldhash::fast::RandomState;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::books::{Books, Full};
use super::record::{EVENT_NAME_FIELD, Faulty, RecordBuilder};

/// Most bytes of a line: a request before compression has at most a few MiB, and JSON is twice as long.
const LINE_MAX: u64 = 64 << 20;

/// Why a line, or a record of it, does not count.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// It is something else, or cut.
    #[error("not OTLP/JSON of logs: {0}")]
    Json(#[from] serde_json::Error),
    /// It is no UTF-8.
    #[error("not UTF-8")]
    Utf8(#[from] std::str::Utf8Error),
    /// It is longer than any request.
    #[error("longer than {} MiB", LINE_MAX >> 20)]
    Long,
    /// A record cannot be counted.
    #[error(transparent)]
    Record(#[from] Faulty),
}

/// Why reading stopped.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// The source failed.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// The books are full.
    #[error(transparent)]
    Full(#[from] Full),
}

/// Enters all records of `source`. `each` is called for each line with its number, from 1, and for each that does not count,
/// or a record of it, with the reason: reading goes on then.
///
/// # Errors
/// [`Stop`]
pub fn read(
    mut source: impl BufRead,
    books: &mut Books,
    each: &mut dyn FnMut(u64, Option<Malformed>, &Books),
) -> Result<(), Stop> {
    let hasher = books.hasher();
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if (&mut source).take(LINE_MAX).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        // A file of one object with line breaks begins so.
        let is_spread = line.trim_ascii() == b"{";
        if is_spread {
            (&mut source).take(LINE_MAX).read_to_end(&mut line)?;
        }
        let result = if line.len() as u64 >= LINE_MAX {
            Err(Malformed::Long)
        } else {
            parse(line.trim_ascii_end(), books, &hasher)?
        };
        if matches!(result, Err(Malformed::Long)) && line.last() != Some(&b'\n') {
            source.skip_until(b'\n')?;
        }
        let wrong = match result {
            Ok(faulty) => faulty.into_iter().map(Malformed::from).collect(),
            Err(malformed) => vec![malformed],
        };
        each(number, None, books);
        for malformed in wrong {
            books.fault();
            each(number, Some(malformed), books);
        }
    }
    Ok(())
}

/// Enters the records of one line, and returns those that cannot be; the inner error is the line's.
fn parse(line: &[u8], books: &mut Books, hasher: &RandomState) -> Result<Result<Vec<Faulty>, Malformed>, Full> {
    let text = match str::from_utf8(line) {
        Ok(text) => text,
        Err(error) => return Ok(Err(error.into())),
    };
    let mut faulty = Vec::new();
    for request in serde_json::Deserializer::from_str(text).into_iter::<Request<'_>>() {
        match request {
            Ok(request) => request.enter(books, hasher, &mut faulty)?,
            Err(error) => return Ok(Err(error.into())),
        }
    }
    Ok(Ok(faulty))
}

/// `ExportLogsServiceRequest`
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    #[serde(borrow)]
    resource_logs: Vec<ResourceLogs<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ResourceLogs<'a> {
    #[serde(borrow)]
    resource: Option<Resource<'a>>,
    scope_logs: Vec<ScopeLogs<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Resource<'a> {
    #[serde(borrow)]
    attributes: Vec<KeyValue<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ScopeLogs<'a> {
    #[serde(borrow)]
    log_records: Vec<LogRecord<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct LogRecord<'a> {
    #[serde(borrow)]
    time_unix_nano: Option<Text<'a>>,
    observed_time_unix_nano: Option<Text<'a>>,
    severity_number: Option<Text<'a>>,
    body: Option<AnyValue<'a>>,
    attributes: Vec<KeyValue<'a>>,
    event_name: Option<Str<'a>>,
}

#[derive(Deserialize)]
struct KeyValue<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(default)]
    value: Option<AnyValue<'a>>,
}

/// Only one is there.
#[derive(Default, Deserialize)]
#[serde(default)]
struct AnyValue<'a> {
    #[serde(borrow, rename = "stringValue")]
    string: Option<Str<'a>>,
    #[serde(rename = "boolValue")]
    bool: Option<Text<'a>>,
    #[serde(rename = "intValue")]
    int: Option<Text<'a>>,
    #[serde(rename = "doubleValue")]
    double: Option<Text<'a>>,
    #[serde(rename = "arrayValue")]
    array: Option<Text<'a>>,
    #[serde(rename = "kvlistValue")]
    kvlist: Option<Text<'a>>,
    #[serde(rename = "bytesValue")]
    bytes: Option<Text<'a>>,
}

/// A string, copied only where something in it is escaped.
#[derive(Deserialize)]
struct Str<'a>(#[serde(borrow)] Cow<'a, str>);

/// What is written, whatever its type: 64-bit integers are strings or numbers.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] &'a RawValue);

impl Text<'_> {
    fn get(&self) -> &str {
        self.0.get().trim_matches('"')
    }
}

impl AnyValue<'_> {
    fn text(&self) -> &str {
        let Self { string, bool, int, double, array, kvlist, bytes } = self;
        let written = [int, bool, double, array, kvlist, bytes];
        match string {
            Some(Str(text)) => text,
            None => written.into_iter().flatten().next().map_or("", Text::get),
        }
    }
}

impl Request<'_> {
    fn enter(&self, books: &mut Books, hasher: &RandomState, faulty: &mut Vec<Faulty>) -> Result<(), Full> {
        for logs in &self.resource_logs {
            let mut builder = RecordBuilder::new(hasher);
            for KeyValue { key, value } in logs.resource.iter().flat_map(|resource| &resource.attributes) {
                builder.resource(key, value.as_ref().map_or("", AnyValue::text));
            }
            for record in logs.scope_logs.iter().flat_map(|logs| &logs.log_records) {
                match record.build(builder) {
                    Ok(Some(record)) => books.take(&record)?,
                    Ok(None) => books.other(),
                    Err(error) => faulty.push(error),
                }
            }
        }
        Ok(())
    }
}

impl LogRecord<'_> {
    fn build<'a>(&'a self, mut builder: RecordBuilder<'a>) -> Result<Option<super::Record<'a>>, Faulty> {
        let text = |text: &'a Option<Text<'_>>| text.as_ref().map_or("", Text::get);
        for KeyValue { key, value } in &self.attributes {
            builder.attribute(key, value.as_ref().map_or("", AnyValue::text));
        }
        if let Some(Str(name)) = &self.event_name {
            builder.attribute(EVENT_NAME_FIELD, name);
        }
        let body = self.body.as_ref().map_or("", AnyValue::text);
        builder.says((text(&self.observed_time_unix_nano), text(&self.severity_number), body));
        builder.finish(text(&self.time_unix_nano).parse().unwrap_or(0))
    }
}
