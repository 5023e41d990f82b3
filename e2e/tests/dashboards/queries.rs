//! The queries of `grafana/queries.md` find what `workload.json` says.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, UNIX_EPOCH};

use e2e::loki::Loki;
use serde_json::Value;

/// By their headings: rows as labels in the order of their names, and a number; or lines.
const EXPECTED: &[(&str, &[&str])] = &[
    ("Who touched this file?", &["shop web-7d4b9-x /bin/sh 0: 1"]),
    (
        "What did this pod touch?",
        &["/var/lib/postgresql/data/base/1: 1500", "/var/lib/postgresql/data/wal/0001: 20", ": 250"],
    ),
    (
        "What was changed, and by whom?",
        &[
            "/var/lib/postgresql/data/base/1 /usr/lib/postgresql/bin/postgres db: 1500",
            "/var/lib/postgresql/data/wal/0001 /usr/lib/postgresql/bin/postgres db: 20",
        ],
    ),
    ("What was refused?", &["EACCES /etc/shadow shop web: 1", "EACCES /root/.ssh/id_rsa billing api: 30"]),
    ("Everything below a folder, as sentences", &["java[7] failed to open /root/.ssh/id_rsa for reading: EACCES x30"]),
    (
        "Who read a Secret, or a token?",
        &[
            "password Secret db /usr/bin/java api: 2",
            "token ServiceAccount web /bin/cat web: 1",
            "token ServiceAccount web /usr/local/bin/envoy web: 5",
        ],
    ),
    (
        "Violations of policies",
        &[
            "java[7] failed to open /root/.ssh/id_rsa for reading: EACCES x30",
            "sh[7] failed to open /etc/shadow for reading: EACCES",
        ],
    ),
    (
        "How often is each rule met?",
        &[
            "record read service-account-tokens: 5",
            "record read-by-tool service-account-tokens: 1",
            "violation read ssh-keys: 30",
            "violation shadow accounts: 1",
        ],
    ),
    (
        "What was done by `kubectl exec`?",
        &[
            "curl[7] executed /usr/bin/curl",
            "cat[7] opened /run/secrets/kubernetes.io/serviceaccount/token for reading",
            "sh[7] failed to open /etc/shadow for reading: EACCES",
        ],
    ),
    ("Which programs were started?", &["/usr/bin/curl web: 1"]),
    (
        "Which executables are new in the last ten minutes?",
        &["/bin/cat web: 1", "/bin/sh web: 1", "/usr/bin/curl web: 1"],
    ),
    ("What is missing?", &["rejected inotrail: 3", "ring_full db: 12"]),
];

/// Asks all, as of the end of the hour.
pub(crate) fn ask(loki: &Loki, end_s: u64, range_s: u64) {
    let text = fs::read_to_string(super::grafana("queries.md")).unwrap();
    let answers: Vec<_> = queries(&text).map(|(title, query)| (title, answer(loki, query, end_s, range_s))).collect();
    let expected = EXPECTED.iter().map(|(title, rows)| (*title, rows.iter().map(|row| (*row).to_owned()).collect()));
    assert_eq!(answers, expected.collect::<Vec<(_, Vec<String>)>>());
}

/// Headings, and the query below each.
fn queries(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split("\n## ").skip(1).map(|section| {
        let (title, rest) = section.split_once('\n').unwrap();
        let (_, rest) = rest.split_once("```logql\n").unwrap();
        (title, rest.split_once("```").unwrap().0.trim())
    })
}

fn answer(loki: &Loki, query: &str, end_s: u64, range_s: u64) -> Vec<String> {
    if query.starts_with('{') {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let entries = loki.query_range(query, at(end_s - range_s), at(end_s)).unwrap();
        return entries.into_iter().map(|entry| entry.line).collect();
    }
    let request = ureq::get(format!("{}/loki/api/v1/query", loki.url)).query("query", query);
    let request = request.query("time", end_s.to_string()).config().http_status_as_error(false).build();
    let text = request.call().unwrap().body_mut().read_to_string().unwrap();
    let answer: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{query}: {text}"));
    let rows = answer["data"]["result"].as_array().unwrap().iter().map(|row| {
        let labels: BTreeMap<String, String> = serde_json::from_value(row["metric"].clone()).unwrap();
        let labels = labels.into_values().collect::<Vec<_>>().join(" ");
        format!("{labels}: {}", row["value"][1].as_str().unwrap())
    });
    let mut rows: Vec<_> = rows.collect();
    rows.sort();
    rows
}
