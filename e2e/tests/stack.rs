//! From a container of a real containerd, through a real Collector, into a real Loki. Needs root.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::process;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use e2e::containerd::{Container, Containerd, Spec};
use e2e::folder::Folder;
use e2e::loki::{Entry, Loki};
use e2e::stack::{Ports, Stack};
use e2e::{exporter, image, interrupt};

/// From an access to its line: drain, batch, the Collector's batch, and a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

/// Touches files when told to, the last of them last.
const SCRIPT: &str = "
trap '/bin/cat /etc/passwd; echo a > /tmp/file; echo b >> /tmp/file; /bin/cat /etc/shadow; /bin/cat /etc/group' USR1
sleep 100000 &
while :; do wait $!; done
";
const LAST: &str = "/etc/group";
const ROUNDS: usize = 3;

/// Everything of these namespaces.
const CONTAINERS: &str = r#"{k8s_namespace_name=~"demo|inotrail"}"#;

fn spec(namespace: &str, pod: &str, container: &str) -> Spec {
    Spec::script(namespace, pod, container, image::USER, SCRIPT)
}

#[test]
fn accesses_are_found_by_path() {
    let started = SystemTime::now();
    let folder = Folder::new(None).unwrap();
    let stack = Stack::start(None, Ports::Free).unwrap();
    let containerd = Containerd::start(None).unwrap();
    // The second one claims to be ours, by every name that a pod can choose.
    let containers = [spec("demo", "web-7d4b9", "web"), spec("inotrail", "inotrail-collector-0", "loki")];
    let containers = containers.map(|spec| (containerd.run(&spec).unwrap(), spec));
    let mut exporter = exporter::run(&containerd, &stack, folder.as_ref(), &["--host"]).unwrap();

    for round in 1..=ROUNDS {
        for (container, _) in &containers {
            container.signal("SIGUSR1").unwrap();
        }
        let query = format!(r#"{CONTAINERS} | file_path="{LAST}" | inotrail_file_operation="open""#);
        wait_for_entries(&stack.loki, &query, started, round * containers.len());
    }
    fs::read("/etc/hostname").unwrap();
    let own = format!(r#"{{service_name=~".+"}} | process_pid="{}" | file_path="/etc/hostname""#, process::id());
    wait_for_entries(&stack.loki, &own, started, 1);
    exporter.daemon.stop();
    let ended = SystemTime::now();

    for (container, spec) in &containers {
        let query = format!(r#"{{k8s_namespace_name="{}"}} | file_path="/etc/passwd""#, spec.namespace);
        // What a Collector has acknowledged may still be on its way to Loki.
        wait_for_entries(&stack.loki, &query, started, ROUNDS);
        let entries = stack.loki.query(&query, started).unwrap();
        assert_eq!(entries.len(), ROUNDS, "{entries:#?}");
        for entry in &entries {
            assert_passwd(entry, container, spec);
        }
        assert_sequence(&stack.loki, container, started, ended);
    }
    assert_nothing_of_ours(&stack, exporter.daemon.pid(), started);
}

fn wait_for_entries(loki: &Loki, query: &str, started: SystemTime, count: usize) {
    let what = format!("{count} entries for {query}");
    let ask = || Ok((loki.query(query, started)?.len() >= count).then_some(()));
    interrupt::wait_for(&what, LIMIT, ask).unwrap();
}

fn assert_passwd(entry: &Entry, container: &Container<'_>, spec: &Spec) {
    let labels: BTreeMap<_, _> = [
        ("k8s_namespace_name", spec.namespace.as_str()),
        ("k8s_container_name", &spec.container),
        ("service_name", &spec.container),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    assert_eq!(entry.labels, labels);
    let expected = [
        ("k8s_pod_name", spec.pod.as_str()),
        ("k8s_pod_uid", &container.pod_uid),
        ("container_id", &container.id),
        ("container_image_name", "docker.io/inotrail/demo"),
        ("otel_event_name", "inotrail.file.access"),
        ("file_path", "/etc/passwd"),
        ("inotrail_file_operation", "open"),
        ("inotrail_file_access_mode", "read"),
        ("inotrail_aggregation_count", "1"),
        ("process_executable_path", "/bin/cat"),
        ("process_user_id", "1000"),
    ];
    for (name, value) in expected {
        assert_eq!(entry.metadata.get(name).map(String::as_str), Some(value), "{name} in {entry:#?}");
    }
    assert!(entry.line.contains("opened /etc/passwd for reading"), "{}", entry.line);
}

/// All events of a container, in one series without a gap, at times that can be.
fn assert_sequence(loki: &Loki, container: &Container<'_>, started: SystemTime, ended: SystemTime) {
    let query = format!(r#"{CONTAINERS} | container_id="{}""#, container.id);
    let numbers = |entries: &[Entry]| -> Vec<u64> {
        let mut numbers: Vec<u64> =
            entries.iter().map(|entry| entry.metadata["inotrail_stream_sequence"].parse().unwrap()).collect();
        numbers.sort_unstable();
        numbers
    };
    // What the exporter sent at its end is still in the Collector's batch.
    let entries = interrupt::wait_for("sequence without a gap", LIMIT, || {
        let entries = loki.query(&query, started)?;
        Ok((numbers(&entries) == (1..=entries.len() as u64).collect::<Vec<_>>()).then_some(entries))
    });
    let entries =
        entries.unwrap_or_else(|error| panic!("{error}: {:?}", numbers(&loki.query(&query, started).unwrap())));
    assert!(entries.len() > ROUNDS * 5, "{} events", entries.len());
    let nanos = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    for entry in &entries {
        assert_eq!(entry.metadata["inotrail_stream_id"], entries[0].metadata["inotrail_stream_id"]);
        let observed: u64 = entry.metadata["observed_timestamp"].parse().unwrap();
        assert!(nanos(started) <= entry.time_ns && entry.time_ns <= observed && observed <= nanos(ended), "{entry:#?}");
    }
}

/// Host processes are reported here, and those of the stack and the exporter are not among them.
fn assert_nothing_of_ours(stack: &Stack, exporter: u32, started: SystemTime) {
    let [collector, loki] = stack.pids();
    // Loki does not anchor these expressions itself.
    let query = format!(r#"{{service_name=~".+"}} | process_pid=~"^({exporter}|{collector}|{loki})$""#);
    let found = stack.loki.query(&query, started).unwrap();
    assert!(found.is_empty(), "{} records, such as {:#?}", found.len(), found[0]);
}
