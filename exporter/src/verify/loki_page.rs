//! One answer of Loki (docs: "Query logs within a range of time", with categorized labels).

use std::borrow::Cow;
use std::collections::HashMap;
use std::rc::Rc;

use serde::Deserialize;

use super::record::{Faulty, Record, RecordBuilder};

/// Most characters of a refusal that are shown.
const TEXT_MAX: usize = 300;
/// So begin labels that Loki itself adds: `__stream_shard__`, which differs when a record comes again at another rate.
const LOKIS_OWN: &str = "__";

/// The body of an answer.
pub(super) struct Answer(pub(super) Vec<u8>);

/// One log line with all that belongs to it.
pub(super) struct Entry<'a> {
    pub(super) time_ns: u64,
    line: Cow<'a, str>,
    labels: Rc<Labels<'a>>,
    metadata: Labels<'a>,
}

type Labels<'a> = HashMap<Str<'a>, Str<'a>>;

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    data: Data<'a>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    result: Vec<Stream<'a>>,
}

#[derive(Deserialize)]
struct Stream<'a> {
    #[serde(borrow)]
    stream: Labels<'a>,
    values: Vec<Value<'a>>,
}

/// Time, line, and labels by where they come from.
#[derive(Deserialize)]
struct Value<'a>(
    #[serde(borrow)] Cow<'a, str>,
    #[serde(borrow)] Cow<'a, str>,
    #[serde(borrow, default)] Categories<'a>,
);

#[derive(Default, Deserialize)]
struct Categories<'a> {
    #[serde(borrow, default, rename = "structuredMetadata")]
    metadata: Labels<'a>,
}

#[derive(Deserialize, PartialEq, Eq, Hash)]
struct Str<'a>(#[serde(borrow)] Cow<'a, str>);

impl Answer {
    /// All entries, the earliest first.
    pub(super) fn entries(&self) -> serde_json::Result<Vec<Entry<'_>>> {
        let body: Body<'_> = serde_json::from_slice(&self.0)?;
        let mut entries = Vec::new();
        for Stream { stream, values } in body.data.result {
            let labels = Rc::new(stream);
            for Value(time, line, Categories { metadata }) in values {
                let time_ns = time.parse().map_err(serde::de::Error::custom)?;
                entries.push(Entry { time_ns, line, labels: Rc::clone(&labels), metadata });
            }
        }
        entries.sort_by_key(|entry| entry.time_ns);
        Ok(entries)
    }
}

impl Entry<'_> {
    /// The record's number.
    pub(super) fn sequence(&self) -> Option<u64> {
        let name = Str(Cow::Borrowed("inotrail_stream_sequence"));
        self.metadata.get(&name).or_else(|| self.labels.get(&name))?.0.parse().ok()
    }

    /// The record; nothing where it is of somebody else.
    pub(super) fn record<'a>(&'a self, mut builder: RecordBuilder<'a>) -> Result<Option<Record<'a>>, Faulty> {
        for (name, value) in self.labels.iter().chain(&self.metadata).filter(|(name, _)| !name.0.starts_with(LOKIS_OWN))
        {
            builder.attribute(&name.0, &value.0);
        }
        builder.says(&*self.line);
        builder.finish(self.time_ns)
    }
}

/// Loki's words for a refusal, or those of something before it.
pub(super) fn words(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(TEXT_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_comes_again_in_another_shard_says_the_same() {
        let hasher = foldhash::fast::RandomState::default();
        let digest = |label: &str| {
            let metadata = r#"{"otel_event_name":"inotrail.file.access","inotrail_stream_id":"run","inotrail_stream_sequence":"7"}"#;
            let text = format!(
                r#"{{"data":{{"result":[{{"stream":{{"service_name":"a"{label}}},"values":[["1","line",{{"structuredMetadata":{metadata}}}]]}}]}}}}"#
            );
            let answer = Answer(text.into_bytes());
            answer.entries().unwrap()[0].record(RecordBuilder::new(&hasher)).unwrap().unwrap().digest
        };
        assert_eq!(digest(""), digest(r#","__stream_shard__":"1""#));
        assert_ne!(digest(""), digest(r#","container_id":"1""#));
    }

    #[test]
    fn answers_with_and_without_categories() {
        let check = |value: &str, expected: Option<u64>| {
            let text = format!(r#"{{"data":{{"result":[{{"stream":{{"a":"b"}},"values":[{value}]}}]}}}}"#);
            let answer = Answer(text.into_bytes());
            assert_eq!(answer.entries().unwrap()[0].sequence(), expected, "{value}");
        };
        check(r#"["1","line",{"structuredMetadata":{"inotrail_stream_sequence":"7"}}]"#, Some(7));
        check(r#"["1","line",{}]"#, None);
        check(r#"["1","line"]"#, None);
        let text =
            r#"{"data":{"result":[{"stream":{"inotrail_stream_sequence":"8"},"values":[["2","b"],["1","a"]]}]}}"#;
        let answer = Answer(text.into());
        let entries = answer.entries().unwrap();
        assert_eq!(
            entries.iter().map(|it| (it.time_ns, it.sequence())).collect::<Vec<_>>(),
            [(1, Some(8)), (2, Some(8))]
        );
        assert!(Answer(b"{}".to_vec()).entries().is_err());
    }
}
