//! Configurations in what the chart renders, read by the programs that they are for.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

use e2e::{chart, tools};
use inotrail::config::given::Given;
use inotrail::policy::document;
use serde_json::Value;

use super::{config_map, succeeded};

/// Where Secrets are mounted.
const SECRETS: &str = "/etc/inotrail/secrets";

/// For each example, a folder with the files of one of its `ConfigMap`s.
fn each(name: &str, mut check: impl FnMut(&Path, &Path)) {
    let mut checked = 0;
    for example in chart::examples().unwrap() {
        let Some(data) = config_map(&example, name) else { continue };
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in &data {
            // What is in Secrets is not here: a certificate that is none is not looked into.
            let text = text.as_str().unwrap().replace(SECRETS, &folder.path().to_string_lossy());
            fs::write(folder.path().join(name), text).unwrap();
        }
        check(&example, folder.path());
        checked += 1;
    }
    assert!(checked > 0, "no example has a ConfigMap {name}");
}

#[test]
fn the_exporter_reads_its_configuration() {
    each("inotrail", |example, folder| {
        for secret in ["otlp-ca/ca.crt", "otlp-client/tls.crt", "otlp-client/tls.key"] {
            let path = folder.join(secret);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let file = folder.join("config.yaml");
        let arguments = ["inotrail", "run", "--config"].map(OsString::from);
        let arguments: Vec<_> = arguments.into_iter().chain([file.into_os_string()]).collect();
        let outcome = Given::read(&arguments).outcome.map(drop);
        assert!(outcome.is_ok(), "{}: {}", example.display(), outcome.unwrap_err());
    });
}

#[test]
fn the_exporter_reads_its_policies() {
    each("inotrail-policies", |example, folder| {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let (policies, problems) = document::read(&fs::read_to_string(&path).unwrap());
            let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
            assert!(
                problems.is_empty() && policies.len() == 1,
                "{}: {}: {problems:?}",
                example.display(),
                path.display()
            );
        }
    });
}

/// The Collector of these tests is made of the same components, of the same version, as the image that the chart names.
#[test]
fn the_collector_takes_its_configuration() {
    let program = tools::collector().unwrap().join("otelcol-inotrail");
    each("inotrail-collector", |_, folder| {
        let mut command = Command::new(&program);
        command.arg("validate");
        for name in ["config.yaml", "direct.yaml", "more.yaml"] {
            if folder.join(name).exists() {
                command.arg("--config").arg(folder.join(name));
            }
        }
        command.env("COLLECTOR_STATE", folder).env("COLLECTOR_OTLP_GRPC", "0.0.0.0:4317");
        succeeded(&command.output().unwrap());
    });
}

#[test]
fn loki_takes_its_configuration() {
    let program = tools::loki().unwrap().join("loki");
    each("inotrail-loki", |_, folder| {
        let mut command = Command::new(&program);
        command.arg(format!("-config.file={}", folder.join("loki.yaml").display()));
        command.args(["-config.expand-env=true", "-verify-config"]).env("LOKI_DIR", folder);
        command.env("LOKI_ADDRESS", "0.0.0.0").env("LOKI_AUTH_ENABLED", "true").env("LOKI_RETENTION", "720h");
        succeeded(&command.output().unwrap());
    });
}

/// A Loki of several processes, for whom no object is made: it reads its configuration, and takes the same records as one process.
#[test]
fn a_loki_of_several_processes_takes_its_configuration() {
    let (large, one) = (chart::folder().join("examples/large/loki.yaml"), chart::folder().join("files/loki.yaml"));
    let program = tools::loki().unwrap().join("loki");
    for target in
        ["distributor", "ingester", "querier", "query-frontend", "query-scheduler", "index-gateway", "compactor"]
    {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(&program);
        command.arg(format!("-config.file={}", large.display())).arg(format!("-target={target}"));
        command.args(["-config.expand-env=true", "-verify-config"]).env("LOKI_DIR", folder.path());
        succeeded(&command.output().unwrap());
    }
    let [large, one] =
        [large, one].map(|path| -> Value { serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap() });
    for same in [
        "/limits_config/otlp_config",
        "/limits_config/allow_structured_metadata",
        "/limits_config/max_query_series",
        "/ingester/max_chunk_age",
        "/querier/query_ingesters_within",
    ] {
        assert!(large.pointer(same).is_some(), "{same}");
        assert_eq!(large.pointer(same), one.pointer(same), "{same}");
    }
}
