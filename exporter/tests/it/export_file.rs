//! Shipping to a file, through the queue that all destinations have.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use inotrail::config::choice::Form;
use inotrail::config::{Endpoint, Export, Lines};
use inotrail::lane::Lane;
use inotrail::metrics::Metrics;
use inotrail::ship;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use super::requests::{Queue, config, request, settled};
use super::verify;

fn to(path: &Path, form: Form, rotate_size: u64) -> Export {
    let lines = Lines { form, rotate_size, rotate_keep: 1000 };
    Export { endpoint: Endpoint::File(path.to_owned()), lines, in_flight: 1, ..config() }
}

fn ship(config: &Export, metrics: &Metrics) -> Queue {
    Queue::new(metrics, 16 << 20, |journal, books| ship::spawn(config, 0, journal, books).unwrap())
}

async fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    let wait = async {
        while !is_so() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(timeout(Duration::from_secs(60), wait).await.is_ok(), "{what}");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trail_is_complete() {
    let folder = tempfile::tempdir().unwrap();
    let metrics = Metrics::default();
    let queue = ship(&to(&folder.path().join("records.jsonl"), Form::OtlpJson, 8 << 10), &metrics);
    let (mut records, mut accesses) = (0, 0);
    for (number, request) in verify::encoded().into_iter().enumerate() {
        (records, accesses) = (records + request.records, accesses + request.accesses);
        // Both workers write.
        let lane = if number % 3 == 0 { Lane::Violation } else { Lane::Access };
        queue.journal.offer(lane, 0, "", request);
    }
    queue.drain(Instant::now() + Duration::from_secs(30)).await;
    assert_eq!(metrics.delivered.get(), accesses);
    let files = files(folder.path());
    assert!(files.len() > 3, "rotated: {files:?}");
    assert!(files.iter().all(|file| fs::metadata(file).unwrap().len() <= 8 << 10));
    let paths: Vec<_> = files.iter().map(PathBuf::as_path).collect();
    let output = verify::verify(&paths, &["--output", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &report["verdict"]), (Some(0), &"complete".into()), "{report}");
    // One that is missing is found.
    let output = verify::verify(&paths[1..], &[]);
    assert_eq!(output.status.code(), Some(1));
    let lines: usize = files.iter().map(|file| fs::read_to_string(file).unwrap().lines().count()).sum();
    assert_eq!(lines as u64, records);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_goes_is_waited_for() {
    let above = tempfile::tempdir().unwrap();
    let (folder, away) = (above.path().join("here"), above.path().join("away"));
    fs::create_dir(&folder).unwrap();
    let metrics = Metrics::default();
    let queue = ship(&to(&folder.join("records.jsonl"), Form::Json, 1 << 20), &metrics);
    wait("a file, without a record", || metrics.health.export.get()).await;
    queue.offer(request(1, 10, 20));
    wait("delivery", || metrics.delivered.get() == 10).await;
    fs::rename(&folder, &away).unwrap();
    queue.offer(request(11, 10, 20));
    wait("a failure", || metrics.export_retries.get() > 0).await;
    let books = metrics.health.export.all().remove(0);
    let why = books.why();
    assert!(!books.is_well() && why.ends_with("records.jsonl: No such file or directory (os error 2)"), "{why}");
    fs::rename(&away, &folder).unwrap();
    wait("delivery after all", || settled(&metrics) == 20).await;
    assert!(books.is_well());
    queue.drain(Instant::now() + Duration::from_secs(5)).await;
    assert_eq!(metrics.delivered.get(), 20);
    let text = fs::read_to_string(folder.join("records.jsonl")).unwrap();
    let numbers = text.lines().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        line["inotrail.stream.sequence"].as_u64().unwrap()
    });
    let mut numbers: Vec<_> = numbers.collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=20).collect::<Vec<_>>(), "none is missing, none is doubled");
}
