//! The exporter is restarted, and replaced by another build, while containers open files. Needs root.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use e2e::containerd::{Container, Containerd, Spec};
use e2e::exporter::{self, Exporter};
use e2e::folder::Folder;
use e2e::stack::{Ports, Stack};
use e2e::{image, interrupt};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

const LIMIT: Duration = Duration::from_secs(60);
/// Makes one file after another, and says in the end how many.
const SCRIPT: &str = "
trap 'end=yes' USR1
number=0
while [ -z \"$end\" ]; do : > /tmp/file-$number; number=$((number + 1)); sleep 0.02; done
: > /tmp/made-$number
while :; do sleep 1; done
";
/// Accesses that each run of the exporter is to report before it ends.
const EACH: u64 = 500;

/// A BPF file system of this test's own, with what is pinned there.
struct Pins(PathBuf);

impl Pins {
    fn new(folder: &Path) -> Self {
        let path = folder.join("bpf");
        fs::create_dir(&path).unwrap();
        mount("bpf", &path, "bpf", MountFlags::empty(), None).unwrap();
        Self(path)
    }

    fn folder(&self) -> String {
        self.0.join("inotrail").to_string_lossy().into_owned()
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        unmount(&self.0, UnmountFlags::DETACH).unwrap();
    }
}

/// The same program, which takes itself for another build: it finds other eBPF programs than its own.
fn other_build(folder: &Path) -> PathBuf {
    let own = exporter::binary().unwrap();
    let version = Command::new(&own).arg("--version").output().unwrap().stdout;
    let version = String::from_utf8(version).unwrap();
    let hash = version.split(|c: char| !c.is_ascii_hexdigit()).find(|word| word.len() == 64).unwrap().as_bytes();
    let other: Vec<u8> = hash.iter().rev().copied().collect();
    let mut program = fs::read(&own).unwrap();
    let mut found = 0;
    while let Some(at) = program.windows(hash.len()).position(|part| part == hash) {
        program[at..at + hash.len()].copy_from_slice(&other);
        found += 1;
    }
    assert!(found > 0, "no {version}");
    let copy = folder.join("inotrail-other");
    fs::write(&copy, program).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    copy
}

/// Waits until it has reported enough, and ends it. Returns its log.
fn end(mut exporter: Exporter) -> String {
    interrupt::wait_for("accesses", LIMIT, || Ok((exporter.metric("inotrail_events_total")? >= EACH).then_some(())))
        .unwrap();
    assert_eq!(exporter.metric("inotrail_dropped_total").unwrap(), 0);
    exporter.daemon.stop();
    exporter.daemon.log()
}

#[test]
fn every_access_is_told_once_whatever_build_runs() {
    let started = SystemTime::now();
    let folder = Folder::new(None).unwrap();
    let pins = Pins::new(folder.as_ref());
    let (own, other) = (exporter::binary().unwrap(), other_build(folder.as_ref()));
    let stack = Stack::start(None, Ports::Free).unwrap();
    let containerd = Containerd::start(None).unwrap();
    let run = |build: &Path| {
        exporter::run_build(build, &containerd, &stack, folder.as_ref(), &["--pin-dir", &pins.folder()]).unwrap()
    };
    let first = run(&own);
    let containers = ["one", "two"]
        .map(|name| containerd.run(&Spec::script("shop", "web-7d4b9", name, image::USER, SCRIPT)).unwrap());

    // Another program file each time, but the first.
    let mut exporter = first;
    for build in [&own, &other, &own] {
        eprintln!("{}", end(exporter));
        exporter = run(build);
    }
    for container in &containers {
        container.signal("SIGUSR1").unwrap();
    }
    for (container, name) in containers.iter().zip(["one", "two"]) {
        judge(&stack, container, name, started);
    }
    assert_eq!(exporter.metric("inotrail_dropped_total").unwrap(), 0);
    exporter.daemon.stop();
    let losses = r#"{service_name=~".+"} | otel_event_name="inotrail.exporter.loss""#;
    assert_eq!(stack.loki.query(losses, started).unwrap(), []);
}

/// Every file that the container made is told once, with its names.
fn judge(stack: &Stack, container: &Container<'_>, name: &str, started: SystemTime) {
    let of = |path: &str| {
        let selected = r#"{service_name=~".+"} | inotrail_file_operation="create""#;
        format!(r#"{selected} | container_id="{}" | file_path=~"^/tmp/{path}-.*""#, container.id)
    };
    let query = |path: &str| stack.loki.query(&of(path), started).unwrap();
    let made = interrupt::wait_for("the last file", LIMIT, || Ok(query("made").pop())).unwrap();
    let made: usize = made.get("file_path").unwrap().rsplit('-').next().unwrap().parse().unwrap();
    // Requests are on their way side by side: what was made before may come behind it.
    let all = || Ok(Some(query("file")).filter(|told| told.len() >= made));
    let told = interrupt::wait_for("all files", LIMIT, all).unwrap();
    let mut times = BTreeMap::<usize, usize>::new();
    for entry in &told {
        let number = entry.get("file_path").unwrap().rsplit('-').next().unwrap().parse().unwrap();
        *times.entry(number).or_default() += 1;
        let of_entry = ["k8s_namespace_name", "k8s_pod_name", "k8s_container_name"].map(|key| entry.get(key));
        assert_eq!(of_entry, [Some("shop"), Some("web-7d4b9"), Some(name)], "{entry:#?}");
        assert_eq!(entry.get("process_executable_path"), Some("/bin/sh"), "{entry:#?}");
    }
    eprintln!("{name}: {made} made, {} told", told.len());
    assert!(made > 100, "{made}");
    let wrong: Vec<_> = (0..made).filter(|number| times.get(number) != Some(&1)).collect();
    assert_eq!((wrong, told.len()), (vec![], made));
}
