//! Alerts of the chart's `PrometheusRule`, on what an exporter that is not well shows at `/metrics`: each of them is told, and
//! none where all is well. promtool does what Prometheus would.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use e2e::{chart, tools};
use inotrail::event::Backend;
use inotrail::metrics::{Books, Dropped, KernelState, Metrics, Source, Waiting, registry};
use inotrail::sensor::RingFill;
use inotrail::sensor::backend::Misses;
use serde_json::{Value, json};

use super::{objects, succeeded};

/// As the `PodMonitor` has Prometheus label them.
const LABELS: &str = r#"job="inotrail/inotrail",node="node-1",instance="node-1""#;
/// Minutes of scrapes: longer than any alert waits, and than what waits in the spool may be old.
const MINUTES: u64 = 120;

fn rule() -> Value {
    let all: Vec<_> = chart::examples().unwrap().iter().flat_map(|example| objects(example)).collect();
    all.into_iter().find(|object| object["kind"] == "PrometheusRule").expect("no example has a PrometheusRule")
}

/// What `/metrics` says, and whether it answers.
fn shown(is_well: bool) -> (String, bool) {
    let metrics = Arc::new(Metrics::default());
    let books: Arc<Books> = metrics.open_books("siem");
    metrics.health.sensor.set(is_well);
    metrics.health.runtime.set(is_well);
    if is_well {
        books.set_health(Ok(()));
    } else {
        books.lose(Dropped::Expired, 15, 1);
        books.set_health(Err("connection refused".to_owned()));
        books.set_waiting(Waiting { requests: 2, bytes: 1, accesses: 9, oldest_ns: 60_000_000_000 });
        metrics.filter_full.inc();
        metrics.reloads(false).inc();
    }
    let peak = if is_well { 1 << 20 } else { 15 << 20 };
    let kernel = move || KernelState {
        backend: Backend::Fexit,
        misses: Misses::Never,
        swaps: 0,
        counts: Vec::new(),
        ring: RingFill { used: 0, peak, size: 16 << 20 },
    };
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry(&Source::new(&metrics, kernel))).unwrap();
    (text, is_well)
}

/// The same for two hours, as promtool writes series: counters grow, the others stay.
fn series((text, is_up): &(String, bool)) -> Vec<Value> {
    let line = |line: &str| {
        let (name, value) = line.rsplit_once(' ')?;
        let (name, labels) = name.split_once('{').unwrap_or((name, "}"));
        let labels = labels.strip_suffix('}')?;
        let comma = if labels.is_empty() { "" } else { "," };
        let values =
            if name.ends_with("_total") { format!("0+{value}x{MINUTES}") } else { format!("{value}+0x{MINUTES}") };
        Some(json!({"series": format!("{name}{{{LABELS}{comma}{labels}}}"), "values": values}))
    };
    let up = json!({"series": format!("up{{{LABELS}}}"), "values": format!("{}+0x{MINUTES}", u8::from(*is_up))});
    text.lines().filter(|line| !line.starts_with('#')).filter_map(line).chain([up]).collect()
}

/// promtool finds that these alerts and no others are told after the time.
fn tells(folder: &Path, shown: &(String, bool), alerts: &BTreeSet<String>) {
    let sample = |name: &String| json!({"labels": format!("{{alertname=\"{name}\"}}"), "value": 1});
    let told = json!({
        "expr": r#"count by (alertname) (ALERTS{alertstate="firing"})"#,
        "eval_time": format!("{MINUTES}m"),
        "exp_samples": alerts.iter().map(sample).collect::<Vec<_>>(),
    });
    let test = json!({
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": series(shown), "promql_expr_test": [told]}],
    });
    let file = folder.join("test.yaml");
    fs::write(&file, test.to_string()).unwrap();
    let program = tools::prometheus().unwrap().join("promtool");
    succeeded(&Command::new(program).args(["test", "rules"]).arg(file).output().unwrap());
}

#[test]
fn each_is_told_when_it_is_to_be_and_else_none() {
    let (rule, folder) = (rule(), tempfile::tempdir().unwrap());
    fs::write(folder.path().join("rules.yaml"), rule["spec"].to_string()).unwrap();
    let rules = rule["spec"]["groups"][0]["rules"].as_array().unwrap();
    let names: BTreeSet<_> = rules.iter().map(|rule| rule["alert"].as_str().unwrap().to_owned()).collect();
    assert_eq!((names.len(), rules.len()), (9, 9));
    tells(folder.path(), &shown(false), &names);
    tells(folder.path(), &shown(true), &BTreeSet::new());
    // The README names them all.
    let readme = fs::read_to_string(chart::folder().join("../README.md")).unwrap();
    let missing: Vec<_> = names.iter().filter(|name| !readme.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "the README does not name {missing:?}");
}
