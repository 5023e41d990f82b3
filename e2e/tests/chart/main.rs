//! The chart: what Helm, its linters, Kubernetes' API and the programs themselves say of what it renders.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod alerts;
mod install;
mod programs;
mod stack;
mod values;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use e2e::chart::{self, Helm, KUBERNETES, golden};
use e2e::tools;
use serde_json::{Map, Value};

/// Kinds of others, of which Kubernetes has no schema.
const OTHERS: &str = "SecurityContextConstraints,PodMonitor,ServiceMonitor,PrometheusRule";

/// What the program said, where it succeeded.
fn succeeded(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat();
    assert!(output.status.success(), "{}: {text}", output.status);
    text
}

/// Objects of what an example makes.
fn objects(example: &Path) -> Vec<Value> {
    parsed(&fs::read_to_string(example.join("rendered.yaml")).unwrap())
}

fn parsed(text: &str) -> Vec<Value> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    documents.into_iter().filter(|document| !document.is_null()).collect()
}

/// The data of an example's `ConfigMap`.
fn config_map(example: &Path, name: &str) -> Option<Map<String, Value>> {
    let is_it = |object: &Value| object["kind"] == "ConfigMap" && object["metadata"]["name"] == name;
    objects(example).into_iter().find(is_it).map(|mut object| match object["data"].take() {
        Value::Object(data) => data,
        other => panic!("{name}: {other}"),
    })
}

#[test]
fn helm_finds_no_fault() {
    let helm = Helm::new().unwrap();
    for example in chart::examples().unwrap() {
        let values = example.join("values.yaml");
        let output =
            helm.run(&["lint", "--strict", &chart::folder().to_string_lossy(), "--values", &values.to_string_lossy()]);
        let text = succeeded(&output.unwrap());
        // Its own advice, such as to have an icon, is no fault.
        assert!(!text.contains("[WARNING]") && !text.contains("[ERROR]"), "{}: {text}", example.display());
    }
}

/// `cargo run -p e2e -- chart` writes them.
#[test]
fn examples_make_what_is_written() {
    let helm = Helm::new().unwrap();
    for example in chart::examples().unwrap() {
        let text = golden(&helm.template(&chart::folder(), &example.join("values.yaml"), KUBERNETES).unwrap());
        let written = fs::read_to_string(example.join("rendered.yaml")).unwrap_or_default();
        let differs = text.lines().zip(written.lines()).find(|(is, was)| is != was);
        assert!(text == written, "{}: {differs:?}; cargo run -p e2e -- chart", example.display());
    }
}

#[test]
fn helm_3_makes_the_same_objects() {
    let helm = Helm::old().unwrap();
    for example in chart::examples().unwrap() {
        let text = helm.template(&chart::folder(), &example.join("values.yaml"), KUBERNETES).unwrap();
        assert!(parsed(&golden(&text)) == objects(&example), "{}", example.display());
    }
}

/// What is linked to from outside of the folder is in the package.
#[test]
fn a_package_makes_the_same() {
    let (helm, folder) = (Helm::new().unwrap(), tempfile::tempdir().unwrap());
    let destination = folder.path().to_string_lossy();
    let output = helm.run(&["package", &chart::folder().to_string_lossy(), "--destination", &destination]);
    succeeded(&output.unwrap());
    let package = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let example = chart::folder().join("examples/default");
    let text = helm.template(&package, &example.join("values.yaml"), KUBERNETES).unwrap();
    assert!(golden(&text) == fs::read_to_string(example.join("rendered.yaml")).unwrap(), "{text}");
    dashboards_are_whole(&text);
}

/// What is kept beside an example leaves them out.
fn dashboards_are_whole(text: &str) {
    let maps: Vec<_> = parsed(text).into_iter().filter(|object| object["kind"] == "ConfigMap").collect();
    let mut names = Vec::new();
    for entry in fs::read_dir(chart::folder().join("../grafana/dashboards")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let written = fs::read_to_string(&path).unwrap();
        let is_it = |map: &&Value| map["data"][format!("inotrail-{name}")].is_string();
        let map = maps.iter().find(is_it).unwrap_or_else(|| panic!("{name} is in no ConfigMap"));
        assert_eq!(map["data"][format!("inotrail-{name}")].as_str().unwrap().trim(), written.trim(), "{name}");
        names.push(map["metadata"]["name"].clone());
    }
    // Grafana's pod has all of them mounted.
    let grafana =
        parsed(text).into_iter().find(|it| it["kind"] == "Deployment" && it["metadata"]["name"] == "inotrail-grafana");
    let volumes = grafana.unwrap()["spec"]["template"]["spec"]["volumes"].clone();
    let mounted = volumes.as_array().unwrap().iter().find(|volume| volume["name"] == "dashboards").unwrap();
    let sources = mounted["projected"]["sources"].as_array().unwrap();
    let mounted: Vec<_> = sources.iter().map(|source| source["configMap"]["name"].clone()).collect();
    names.sort_by_key(ToString::to_string);
    assert_eq!(mounted, names);
}

#[test]
fn kubernetes_takes_all_objects() {
    let (helm, schemas) = (Helm::new().unwrap(), tools::kubernetes_schemas().unwrap());
    let program = tools::kubeconform().unwrap().join("kubeconform");
    let folder = tempfile::tempdir().unwrap();
    for version in ["1.34", "1.35", "1.36"] {
        for example in chart::examples().unwrap() {
            let text = helm.template(&chart::folder(), &example.join("values.yaml"), &format!("{version}.0")).unwrap();
            let name = example.file_name().unwrap().to_string_lossy().into_owned();
            fs::write(folder.path().join(format!("{name}-{version}.yaml")), text).unwrap();
        }
        let location = schemas.join(version).join("{{.ResourceKind}}{{.KindSuffix}}.json");
        let mut command = Command::new(&program);
        command.args(["-strict", "-summary", "-skip", OTHERS, "-schema-location"]);
        let output = command.arg(location).arg(folder.path()).output().unwrap();
        let text = succeeded(&output);
        assert!(text.contains("Invalid: 0, Errors: 0"), "{version}: {text}");
    }
}

#[test]
fn unit_tests_pass() {
    let mut command = Command::new(tools::helm_unittest().unwrap().join("helm-unittest"));
    let output = command.args(["--strict", "--color=false"]).arg(chart::folder()).output().unwrap();
    let text = succeeded(&output);
    assert!(text.contains("Tests: ") && !text.contains(" 0 total\nSnap"), "{text}");
}
