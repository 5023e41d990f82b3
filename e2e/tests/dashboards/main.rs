//! Dashboards and alert rules, on records of the real encoder that went through a real Collector into a real Loki, and on the exporter's
//! own metrics in a real Prometheus. Grafana's published packages do what Grafana would do with the answers.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod queries;
mod scrapes;
mod workload;

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use e2e::folder::Folder;
use e2e::loki::Loki;
use e2e::stack::{Ports, Stack};
use e2e::{interrupt, tools};
use scrapes::Prometheus;
use serde_json::Value;

/// Until Loki has what the Collector was given; and until its ruler has looked at each rule, which it does every minute.
const LIMIT: Duration = Duration::from_secs(30);
const RULES_LIMIT: Duration = Duration::from_secs(120);

/// How long the dashboards look back.
const RANGE_S: u64 = 3600;

fn grafana(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../grafana").join(name)
}

/// Where everything is, and the end of the hour that is looked at.
struct Bench {
    stack: Stack,
    prometheus: Prometheus,
    end_s: u64,
}

impl Bench {
    /// Runs a program below `grafana/` with packages that it needs, and shows what it prints.
    #[track_caller]
    fn node(&self, program: &str, packages: &Path, arguments: &[&OsStr]) {
        let mut command = Command::new("node");
        command.arg(grafana(program)).args(arguments).env("PACKAGES", packages);
        command.env("LOKI", &self.stack.loki.url).env("PROMETHEUS", &self.prometheus.url);
        let output = command.env("END", self.end_s.to_string()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        eprintln!("{text}");
        assert!(output.status.success(), "{program}:\n{text}");
    }
}

#[test]
fn dashboards_and_rules_say_what_is_there() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    // Whole minutes: charts are the same whenever this runs.
    let end_s = now / 60 * 60;
    let folder = Folder::new(None).unwrap();
    // Where a Loki without tenants looks for its ruler's rules.
    let rules = folder.as_ref().join("loki/rules/fake");
    fs::create_dir_all(&rules).unwrap();
    fs::copy(grafana("loki-rules/inotrail.yaml"), rules.join("inotrail.yaml")).unwrap();
    let stack = Stack::start(Some(folder.as_ref()), Ports::Free).unwrap();
    let prometheus = scrapes::serve(folder.as_ref(), end_s - RANGE_S, end_s);

    let records = workload::send(&stack, (end_s - RANGE_S) * 1_000_000_000);
    let started = UNIX_EPOCH + Duration::from_secs(end_s - RANGE_S);
    interrupt::wait_for(&format!("{records} records"), LIMIT, || {
        Ok((stack.loki.query(r#"{service_name=~".+"}"#, started)?.len() == records).then_some(()))
    })
    .unwrap();

    queries::ask(&stack.loki, end_s, RANGE_S);
    let (bench, packages) = (Bench { stack, prometheus, end_s }, tools::grafana().unwrap());
    let write: &[&OsStr] = if env::var_os("WRITE").is_some() { &["--write".as_ref()] } else { &[] };
    bench.node("check/gate.mjs", &packages, write);
    bench.node("check/mutations.mjs", &packages, &[]);
    if let Some(pictures) = env::var_os("PICTURES") {
        bench.node("preview/draw.mjs", &tools::grafana_preview().unwrap(), &[&pictures]);
    }
    fire(&bench.stack.loki);
    erase(&bench.stack.loki, started);
}

/// Loki takes requests to delete, which it carries out later.
fn erase(loki: &Loki, started: SystemTime) {
    let start = started.duration_since(UNIX_EPOCH).unwrap().as_secs().to_string();
    let request = ureq::post(format!("{}/loki/api/v1/delete", loki.url)).query("start", start);
    assert_eq!(request.query("query", r#"{k8s_namespace_name="data"}"#).send_empty().unwrap().status(), 204);
    let asked = ureq::get(format!("{}/loki/api/v1/delete", loki.url)).call().unwrap();
    let asked: Value = serde_json::from_reader(asked.into_body().into_reader()).unwrap();
    assert_eq!(asked[0]["status"], "received", "{asked}");
}

/// Loki's own ruler takes the rules, and finds what each of them is about.
fn fire(loki: &Loki) {
    let mut last = String::new();
    let found = interrupt::wait_for("alerts of all rules", RULES_LIMIT, || {
        last = ureq::get(format!("{}/prometheus/api/v1/rules", loki.url)).call()?.body_mut().read_to_string()?;
        let answer: Value = serde_json::from_str(&last)?;
        let groups = answer["data"]["groups"].as_array().cloned().unwrap_or_default();
        let rules: Vec<_> = groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).collect();
        let fires = |rule: &&Value| rule["health"] == "ok" && !rule["alerts"].as_array().unwrap().is_empty();
        Ok((!rules.is_empty() && rules.iter().all(fires)).then_some(rules.len()))
    });
    assert_eq!(found.unwrap_or_else(|error| panic!("{error}: {last}")), 6, "{last}");
}
