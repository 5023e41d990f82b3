//! What a receiver knows of each record.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher as _, RandomState};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message as _;

/// Each record by its number.
pub(super) struct Books {
    /// Accesses are those of files below this folder, and those whose path is not known.
    base: PathBuf,
    streams: HashMap<Id, Stream>,
    hasher: RandomState,
    pub(super) received: Received,
}

/// Run, container, event name.
type Id = (String, String, String);

#[derive(Default)]
struct Stream {
    /// By their numbers.
    records: HashMap<i64, Known>,
    /// The highest numbers: of violations, which overtake, and of the rest.
    violation: i64,
    last: i64,
}

struct Known {
    /// Of its bytes.
    digest: u64,
    came_again: bool,
    has_changed: bool,
}

/// What was received, each record once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Accesses, by the counts of their records.
    pub accesses: u64,
    /// The most processes that one record of them names.
    pub processes: u64,
    /// Accesses of other files.
    pub others: u64,
    /// Accesses told as lost, by reason.
    pub lost: HashMap<String, u64>,
    /// Records of all requests, whether they came before or not.
    pub taken: u64,
    /// Records that came more than once.
    pub again: u64,
    /// Records that came again with another content.
    pub changed: u64,
    /// Records that came for the first time when one with a higher number was there, of violations and of the rest.
    pub late: u64,
    /// Violations, as they came.
    pub alarms: Vec<Alarm>,
}

/// A violation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// When the access was.
    pub time: SystemTime,
    /// When its record came.
    pub came: SystemTime,
}

impl Books {
    pub(super) fn new(base: &Path) -> Self {
        let (streams, hasher) = (HashMap::new(), RandomState::new());
        Self { base: base.to_owned(), streams, hasher, received: Received::default() }
    }

    pub(super) fn take(&mut self, request: ExportLogsServiceRequest) {
        for logs in request.resource_logs {
            let resource = logs.resource.unwrap_or_default();
            let container = ["container.id", "service.name"].map(|key| text(&resource.attributes, key)).concat();
            for record in logs.scope_logs.iter().flat_map(|scope| &scope.log_records) {
                self.record(&container, record);
            }
        }
    }

    fn record(&mut self, container: &str, record: &LogRecord) {
        self.received.taken += 1;
        let run = text(&record.attributes, "inotrail.stream.id");
        let number = number(&record.attributes, "inotrail.stream.sequence");
        let digest = self.hasher.hash_one(record.encode_to_vec());
        let stream = self.streams.entry((run, container.to_owned(), record.event_name.clone())).or_default();
        match stream.records.entry(number) {
            Entry::Vacant(place) => {
                let last = if is_violation(record) { &mut stream.violation } else { &mut stream.last };
                self.received.late += u64::from(number < *last);
                *last = number.max(*last);
                place.insert(Known { digest, came_again: false, has_changed: false });
                self.count(record);
            }
            Entry::Occupied(mut place) => {
                let known = place.get_mut();
                self.received.again += u64::from(!std::mem::replace(&mut known.came_again, true));
                if known.digest != digest {
                    self.received.changed += u64::from(!std::mem::replace(&mut known.has_changed, true));
                }
            }
        }
    }

    fn count(&mut self, record: &LogRecord) {
        let text = |key| text(&record.attributes, key);
        let number = |key| number(&record.attributes, key).unsigned_abs();
        let path = text("file.path");
        if is_violation(record) {
            let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(record.time_unix_nano);
            self.received.alarms.push(Alarm { time, came: SystemTime::now() });
        }
        match record.event_name.as_str() {
            "inotrail.exporter.loss" => {
                *self.received.lost.entry(text("inotrail.loss.reason")).or_default() += number("inotrail.loss.count");
            }
            "inotrail.exporter.stopped" => {}
            _ if path.is_empty() || Path::new(&path).starts_with(&self.base) => {
                self.received.accesses += number("inotrail.aggregation.count");
                self.received.processes = self.received.processes.max(number("inotrail.aggregation.processes"));
            }
            _ => self.received.others += number("inotrail.aggregation.count"),
        }
    }
}

fn is_violation(record: &LogRecord) -> bool {
    text(&record.attributes, "inotrail.policy.action") == "violation"
}

impl Received {
    /// Accesses told as lost, for whatever reason.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.values().sum()
    }
}

/// Takes this many of the last records off, if there are as many; returns how many it were.
pub(super) fn take_off(request: &mut ExportLogsServiceRequest, mut count: usize) -> i64 {
    let mut taken = 0;
    let scopes = request.resource_logs.iter_mut().rev().flat_map(|logs| logs.scope_logs.iter_mut().rev());
    for scope in scopes {
        let off = count.min(scope.log_records.len());
        scope.log_records.truncate(scope.log_records.len() - off);
        count -= off;
        taken += off as i64;
    }
    taken
}

fn value<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    let AnyValue { value } = found.value.as_ref()?;
    value.as_ref()
}

/// The text of an attribute; empty where there is none.
pub(crate) fn text(attributes: &[KeyValue], key: &str) -> String {
    if let Some(Value::StringValue(text)) = value(attributes, key) { text.clone() } else { String::new() }
}

/// 0 where there is none.
fn number(attributes: &[KeyValue], key: &str) -> i64 {
    if let Some(Value::IntValue(number)) = value(attributes, key) { *number } else { 0 }
}
