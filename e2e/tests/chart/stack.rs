//! The Collector and Loki as their pods run them: arguments, variables and files are those of the pods, but for addresses.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use e2e::daemon::Daemon;
use e2e::loki::Loki;
use e2e::{chart, interrupt, tools};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{config_map, objects};

/// A program starts, or a record arrives, on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// The containers of an example, in a folder for each.
struct Pods {
    example: PathBuf,
    folder: TempDir,
    loki_port: u16,
}

impl Pods {
    fn of(example: &str) -> Self {
        let example = chart::folder().join("examples").join(example);
        Self { example, folder: tempfile::tempdir().unwrap(), loki_port: free_port() }
    }

    /// A command with the arguments and variables of a pod's container, whose configuration is mounted at `mounted`.
    fn command(&self, program: &Path, name: &str, mounted: &str) -> Command {
        let folder = self.folder.path().join(name);
        fs::create_dir_all(&folder).unwrap();
        for (file, text) in config_map(&self.example, name).unwrap() {
            fs::write(folder.join(file), text.as_str().unwrap()).unwrap();
        }
        let is_it = |object: &Value| object["metadata"]["name"] == name && object["spec"]["template"].is_object();
        let object = objects(&self.example).into_iter().find(is_it).unwrap();
        let container = &object["spec"]["template"]["spec"]["containers"][0];
        let mut command = Command::new(program);
        for argument in container["args"].as_array().unwrap() {
            command.arg(argument.as_str().unwrap().replace(mounted, &folder.to_string_lossy()));
        }
        for variable in container["env"].as_array().unwrap() {
            command.env(variable["name"].as_str().unwrap(), variable["value"].as_str().unwrap());
        }
        command
    }

    fn start_loki(&self) -> (Daemon, Loki) {
        let program = tools::loki().unwrap().join("loki");
        let mut command = self.command(&program, "inotrail-loki", "/etc/loki");
        command.env("LOKI_DIR", self.folder.path().join("loki-data")).env("LOKI_HTTP_PORT", self.loki_port.to_string());
        command.env("LOKI_GRPC_PORT", free_port().to_string());
        let mut daemon = Daemon::start("loki", &mut command, self.folder.path(), None).unwrap();
        let loki = Loki { url: format!("http://127.0.0.1:{}", self.loki_port) };
        daemon.wait_ready(LIMIT, || loki.is_ready()).unwrap();
        (daemon, loki)
    }

    /// The Collector, and where it takes OTLP over HTTP.
    fn start_collector(&self) -> (Daemon, String) {
        let program = tools::collector().unwrap().join("otelcol-inotrail");
        let mut command = self.command(&program, "inotrail-collector", "/etc/otelcol");
        let [grpc, http, health, metrics] = [(); 4].map(|()| free_port());
        let any = |port: u16| format!("0.0.0.0:{port}");
        command.env("COLLECTOR_OTLP_GRPC", any(grpc)).env("COLLECTOR_OTLP_HTTP", any(http));
        command.env("COLLECTOR_HEALTH", any(health)).env("COLLECTOR_METRICS_PORT", metrics.to_string());
        command.env("COLLECTOR_STATE", self.folder.path().join("queue"));
        command.env("LOKI_ENDPOINT", format!("http://127.0.0.1:{}/otlp", self.loki_port));
        let mut daemon = Daemon::start("collector", &mut command, self.folder.path(), None).unwrap();
        let health = format!("http://127.0.0.1:{health}");
        daemon.wait_ready(LIMIT, || ureq::get(&health).call().is_ok()).unwrap();
        (daemon, format!("http://127.0.0.1:{http}/v1/logs"))
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Whether the Collector has taken the record.
fn send(url: &str, path: &str) -> bool {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos().to_string();
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let record = json!({"timeUnixNano": time, "body": {"stringValue": "x"}, "attributes": [text("file.path", path)]});
    let request = json!({"resourceLogs": [{
        "resource": {"attributes": [text("service.name", "web")]},
        "scopeLogs": [{"logRecords": [record]}],
    }]});
    let sent = ureq::post(url).header("content-type", "application/json").send(request.to_string());
    sent.is_ok()
}

fn arrives(loki: &Loki, path: &str, started: SystemTime) {
    let query = format!(r#"{{service_name="web"}} | file_path="{path}""#);
    interrupt::wait_for(&format!("{path} in Loki"), LIMIT, || {
        Ok((!loki.query(&query, started)?.is_empty()).then_some(()))
    })
    .unwrap();
}

#[test]
fn a_collector_with_a_volume_takes_records_while_loki_is_away() {
    let (pods, started) = (Pods::of("default"), SystemTime::now());
    let (collector, url) = pods.start_collector();
    assert!(send(&url, "/before"));
    // What it has acknowledged outlives it.
    drop(collector);
    let (_loki, loki) = pods.start_loki();
    let (_collector, _) = pods.start_collector();
    arrives(&loki, "/before", started);
}

#[test]
fn a_collector_without_one_refuses_them() {
    let (pods, started) = (Pods::of("no-volumes"), SystemTime::now());
    let (_collector, url) = pods.start_collector();
    assert!(!send(&url, "/before"));
    let (_loki, loki) = pods.start_loki();
    assert!(send(&url, "/after"));
    arrives(&loki, "/after", started);
}
