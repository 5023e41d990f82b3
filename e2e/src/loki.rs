//! Asking Loki.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// Most entries of one answer: Loki's own default limit.
const LIMIT: &str = "5000";
/// How often it is asked again when it cannot answer, and after what time.
const ATTEMPTS: usize = 20;
const PAUSE: Duration = Duration::from_millis(500);

/// A Loki's HTTP address.
#[derive(Clone, Debug)]
pub struct Loki {
    /// `http://127.0.0.1:3100`
    pub url: String,
}

/// One log line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Index labels of its stream.
    pub labels: BTreeMap<String, String>,
    /// Structured metadata: attributes of the record, and those of its Resource that are no label.
    pub metadata: BTreeMap<String, String>,
    /// The record's body.
    pub line: String,
    /// The record's time, nanoseconds since the Unix epoch.
    pub time_ns: u64,
}

impl Entry {
    /// A structured metadata value, or a label, by its Loki name (`k8s_namespace_name`).
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.metadata.get(name).or_else(|| self.labels.get(name)).map(String::as_str)
    }
}

impl Loki {
    /// Whether it is ready to serve.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        ureq::get(format!("{}/ready", self.url)).call().is_ok()
    }

    /// The value of one of its own metrics, all labels added up.
    ///
    /// # Errors
    /// Loki cannot be reached.
    pub fn metric(&self, name: &str) -> Result<u64> {
        let text = ureq::get(format!("{}/metrics", self.url)).call()?.body_mut().read_to_string()?;
        Ok(crate::exporter::metric(&text, name))
    }

    /// The one number that a `LogQL` metric query comes to now; 0 where it finds nothing.
    ///
    /// # Errors
    /// Loki cannot be reached, refuses the query, or answers with several.
    pub fn number(&self, logql: &str) -> Result<u64> {
        let url = format!("{}/loki/api/v1/query", self.url);
        let text = ureq::get(url).query("query", logql).call()?.body_mut().read_to_string()?;
        let answer: serde_json::Value =
            serde_json::from_str(&text).with_context(|| format!("Loki's answer: {text}"))?;
        let values = answer["data"]["result"].as_array().with_context(|| format!("Loki's answer: {answer}"))?;
        anyhow::ensure!(values.len() < 2, "{} numbers for {logql}", values.len());
        let Some(value) = values.first() else { return Ok(0) };
        let number = value["value"][1].as_str().and_then(|text| text.parse::<f64>().ok());
        Ok(number.with_context(|| format!("Loki's answer: {answer}"))? as u64)
    }

    /// What a `LogQL` log query finds from `start` until now, oldest first, 5,000 entries at most.
    ///
    /// # Errors
    /// Loki cannot be reached or refuses the query.
    pub fn query(&self, logql: &str, start: SystemTime) -> Result<Vec<Entry>> {
        // `end` is exclusive, and clocks are read before entries are.
        self.query_range(logql, start, SystemTime::now() + Duration::from_secs(1))
    }

    /// What a `LogQL` log query finds in a range, oldest first, 5,000 entries at most.
    ///
    /// # Errors
    /// Loki cannot be reached or refuses the query.
    pub fn query_range(&self, logql: &str, start: SystemTime, end: SystemTime) -> Result<Vec<Entry>> {
        let nanos = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos().to_string();
        let url = format!("{}/loki/api/v1/query_range", self.url);
        let ask = || {
            ureq::get(&url)
                .query("query", logql)
                .query("start", nanos(start))
                .query("end", nanos(end))
                .query("limit", LIMIT)
                .query("direction", "forward")
                // Without this Loki mixes structured metadata into the stream's labels.
                .header("X-Loki-Response-Encoding-Flags", "categorize-labels")
                .config()
                .http_status_as_error(false)
                .build()
                .call()
                .with_context(|| format!("query Loki at {url}"))
        };
        let mut response = ask()?;
        // One that has just started, or is short of time, may say that it cannot now.
        for _ in 0..ATTEMPTS {
            if !response.status().is_server_error() {
                break;
            }
            eprintln!("Loki cannot answer {logql}: {}", response.body_mut().read_to_string()?.trim());
            thread::sleep(PAUSE);
            response = ask()?;
        }
        let text = response.body_mut().read_to_string()?;
        anyhow::ensure!(response.status().is_success(), "Loki refuses {logql}: {}", text.trim());
        let answer: Answer = serde_json::from_str(&text).with_context(|| format!("Loki's answer: {text}"))?;
        let mut entries = Vec::new();
        for stream in answer.data.result {
            for Value(time, line, categories) in stream.values {
                let metadata = categories.structured_metadata;
                entries.push(Entry { labels: stream.stream.clone(), metadata, line, time_ns: time.parse()? });
            }
        }
        entries.sort_by_key(|entry| entry.time_ns);
        Ok(entries)
    }
}

#[derive(Deserialize)]
struct Answer {
    data: Streams,
}

#[derive(Deserialize)]
struct Streams {
    result: Vec<Stream>,
}

#[derive(Deserialize)]
struct Stream {
    stream: BTreeMap<String, String>,
    values: Vec<Value>,
}

/// Time, line, and labels by where they come from.
#[derive(Deserialize)]
struct Value(String, String, #[serde(default)] Categories);

#[derive(Default, Deserialize)]
struct Categories {
    #[serde(default, rename = "structuredMetadata")]
    structured_metadata: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::Answer;

    #[test]
    fn answer_with_and_without_categories() {
        let check = |value: &str, expected: usize| {
            let text = format!(r#"{{"data":{{"result":[{{"stream":{{"a":"b"}},"values":[{value}]}}]}}}}"#);
            let answer: Answer = serde_json::from_str(&text).unwrap();
            assert_eq!(answer.data.result[0].values[0].2.structured_metadata.len(), expected, "{value}");
        };
        check(r#"["1","line",{"structuredMetadata":{"file_path":"/etc/passwd"}}]"#, 1);
        check(r#"["1","line",{}]"#, 0);
        check(r#"["1","line"]"#, 0);
    }
}
