//! Values: each is documented, has a place in the schema, and flags among them are flags of `run`.

use std::collections::BTreeSet;
use std::fs;

use clap::CommandFactory as _;
use e2e::chart;
use inotrail::config::args::DestinationArgs;
use serde_json::{Map, Value};

/// Flags of `run` that other values give, or the chart itself.
const GIVEN: [&str; 27] = [
    "config",
    "endpoint",
    "protocol",
    "insecure",
    "header",
    "bearer-token-file",
    "ca-file",
    "client-cert",
    "client-key",
    "tenant",
    "node-name",
    "cluster-name",
    "listen",
    "kubernetes",
    "kubeconfig",
    "runtime",
    "runtime-socket",
    "nri-socket",
    "hook-socket",
    "state",
    "spool-size",
    "pin-dir",
    "policy",
    "kubernetes-policies",
    "decoys",
    // Of every subcommand: variables give them.
    "log-level",
    "log-format",
];

fn schema() -> Value {
    serde_json::from_str(&fs::read_to_string(chart::folder().join("values.schema.json")).unwrap()).unwrap()
}

fn values() -> Value {
    serde_saphyr::from_str(&fs::read_to_string(chart::folder().join("values.yaml")).unwrap()).unwrap()
}

fn names(object: &Value) -> BTreeSet<&str> {
    object.as_object().into_iter().flat_map(Map::keys).map(String::as_str).collect()
}

fn flags(command: &clap::Command) -> BTreeSet<&str> {
    command
        .get_arguments()
        .filter_map(clap::Arg::get_long)
        .filter(|name| !matches!(*name, "help" | "version"))
        .collect()
}

/// Comments are what helm-docs asks for: it fails where one is missing.
#[test]
fn the_readme_says_what_values_are() {
    let written = fs::read_to_string(chart::folder().join("README.md")).unwrap_or_default();
    assert!(chart::readme().unwrap() == written, "helm/README.md is not of these values; cargo run -p e2e -- chart");
}

#[test]
fn values_and_schema_name_the_same() {
    let (values, mut schema) = (values(), schema());
    // Helm gives it to every chart.
    schema["properties"].as_object_mut().unwrap().remove("global").unwrap();
    let mut open = vec![(String::new(), &values, &schema)];
    while let Some((path, value, schema)) = open.pop() {
        let Some(properties) = schema.get("properties") else { continue };
        assert_eq!(schema["additionalProperties"], false, "{path} takes anything");
        if path == ".exporter.config" {
            continue;
        }
        assert_eq!(names(value), names(properties), "values and schema of {path:?}");
        for name in names(value) {
            open.push((format!("{path}.{name}"), &value[name], &properties[name]));
        }
    }
}

#[test]
fn flags_are_those_of_run() {
    let schema = schema();
    let command = inotrail::config::command();
    let command = command.find_subcommand("run").unwrap();
    let config = names(&schema["properties"]["exporter"]["properties"]["config"]["properties"]);
    let expected: BTreeSet<_> = flags(command).into_iter().filter(|name| !GIVEN.contains(name)).collect();
    assert_eq!(config, expected, "exporter.config");
    let wrong: Vec<_> =
        GIVEN.iter().filter(|name| !name.starts_with("log-") && !flags(command).contains(*name)).collect();
    assert!(wrong.is_empty(), "no flags of run: {wrong:?}");

    let destination = DestinationArgs::command();
    let pattern = schema["properties"]["destinations"]["patternProperties"].as_object().unwrap().values().next();
    assert_eq!(names(&pattern.unwrap()["properties"]), flags(&destination), "destinations");
}

/// Pods are not replaced for what the exporter reads again while it runs.
#[test]
fn what_changes_while_it_runs_is_left_out_of_the_checksum() {
    let text = fs::read_to_string(chart::folder().join("templates/_helpers.tpl")).unwrap();
    let line = text.lines().find_map(|line| line.split_once("$live := list ")).unwrap().1;
    let listed: BTreeSet<_> = line.split('"').skip(1).step_by(2).collect();
    assert_eq!(listed, BTreeSet::from(inotrail::config::given::LIVE));
}

#[test]
fn definitions_are_those_of_the_program() {
    let written = fs::read_to_string(chart::folder().join("files/crds.yaml")).unwrap();
    assert!(written == inotrail::policy::crd::definitions(), "inotrail crd > helm/files/crds.yaml");
}

/// Whoever has no Internet needs to know all of them.
#[test]
fn images_are_listed() {
    let listed = fs::read_to_string(chart::folder().join("operating.md")).unwrap();
    let listed: BTreeSet<_> = listed.lines().filter_map(|line| line.strip_prefix("- `")?.split('`').next()).collect();
    let rendered = fs::read_to_string(chart::folder().join("examples/default/rendered.yaml")).unwrap();
    let images: Vec<_> = rendered.lines().filter_map(|line| line.trim().strip_prefix("image: ")).collect();
    let cleanup = &values()["cleanup"]["image"];
    let part = |name: &str| cleanup[name].as_str().unwrap().to_owned();
    let pause = format!("{}/{}:{}", part("registry"), part("repository"), part("tag"));
    assert_eq!(images.len(), 4);
    for image in images.into_iter().chain([&*pause]) {
        assert!(listed.contains(image), "operating.md does not list {image}");
    }
}

/// Those that are run here are those that are installed.
#[test]
fn images_are_of_the_versions_that_are_tested() {
    let values = values();
    let read = |path: &str| fs::read_to_string(chart::folder().join("..").join(path)).unwrap();
    let tag = |part: &str| values[part]["image"]["tag"].as_str().unwrap().to_owned();
    assert!(read("otel-collector/manifest.yaml").contains(&format!("version: {}\n", tag("collector"))));
    assert!(read("e2e/tools/loki/go.mod").contains(&format!("github.com/grafana/loki/v3 v{}", tag("loki"))));
    assert!(read("grafana/check/package.json").contains(&format!("\"@grafana/data\": \"{}\"", tag("grafana"))));
}
