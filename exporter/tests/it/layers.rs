//! The invariants of the README that a text search can check: which part of the code knows what.

use std::fs;
use std::path::{Path, PathBuf};

/// Every source file below `folder`, with its path below `src`.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        let mut paths: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for path in paths {
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(found.len() > 50, "the sources moved: {}", found.len());
    found
}

/// `words` stand only in files whose name starts with one of `places`, and in each of the places.
fn only(words: &[&str], places: &[&str]) {
    let knows = |text: &str| words.iter().any(|word| text.contains(word));
    let known: Vec<_> = sources().into_iter().filter(|(_, text)| knows(text)).map(|(name, _)| name).collect();
    for name in &known {
        assert!(places.iter().any(|place| name.starts_with(place)), "{name} must not know {words:?}");
    }
    for place in places {
        assert!(known.iter().any(|name| name.starts_with(place)), "{place} does not know {words:?} any more");
    }
}

/// `words` do not stand in the files whose name starts with one of `places`, their tests left out.
fn never(words: &[&str], places: &[&str]) {
    let mut seen = 0;
    for (name, text) in sources() {
        if places.iter().any(|place| name.starts_with(place)) && !name.ends_with("tests.rs") {
            seen += 1;
            let code = text.split("#[cfg(test)]").next().unwrap();
            for word in words {
                assert!(!code.contains(word), "{name} must not know {word}");
            }
        }
    }
    assert!(seen > 0, "{places:?} moved");
}

#[test]
fn only_the_sensor_knows_the_kernel_interface() {
    only(&["aya::"], &["sensor"]);
    only(&["unsafe {"], &["sensor"]);
}

#[test]
fn only_their_modules_know_the_remote_ends() {
    only(&["containerd_client::"], &["container/containerd", "container/channel"]);
    only(&["k8s_cri::"], &["container/cri"]);
    only(
        &["kube::Client", "kube::{Api, Client"],
        &["container/kube", "policy_source/resources", "policy_source/status"],
    );
    only(&["k8s_openapi::"], &["container/kube", "policy/crd", "policy_source/status"]);
    only(&["tonic::transport"], &["ship", "container/containerd", "container/cri", "container/channel"]);
    only(&["opentelemetry::", "opentelemetry_sdk::", "opentelemetry_otlp::"], &["telemetry"]);
    only(&["opentelemetry_proto::"], &["ship", "sink", "app/export/tests", "batch/tests"]);
}

#[test]
fn the_event_path_reads_no_clock_and_no_file() {
    let clocks = ["Instant::now", "SystemTime::now", "clock::", "std::fs", "std::net"];
    never(&clocks, &["otlp", "batch", "escape", "errno", "event", "policy/", "policy.rs"]);
}
