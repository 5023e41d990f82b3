//! The raw tracepoint backend on this machine's own kernel. Needs root.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use e2e::{
    accesses::{self, RING_BYTES},
    exporter,
    load::{Attack, Hostile, Opens, Reader, Renames, prove_repeats, prove_restarts},
    watched,
};
use inotrail::event::Backend::RawTracepoint;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

const READER: Reader = Reader { ring_bytes: RING_BYTES, pause: Duration::from_millis(1) };

/// Far too slow.
const SLOW: Reader = Reader { ring_bytes: 64 << 10, pause: Duration::from_millis(20) };

fn guest() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_guest"))
}

/// One sensor at a time: each is to have the machine for itself.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn tells_every_access_of_the_list() {
    let _alone = alone();
    accesses::prove(RawTracepoint, guest()).unwrap();
}

/// As in a pod. In a machine, on cgroup version 2: `e2e vm --test namespace`.
#[test]
fn cgroups_are_found_from_a_namespace_of_its_own() {
    // In a process of its own, which goes from cgroup to cgroup.
    let mut proof = Command::new(guest());
    let status = proof.args(["prove", "--backend", "raw-tracepoint", "namespace"]).status().unwrap();
    assert!(status.success());
}

#[test]
fn what_no_rule_is_about_is_kept_back() {
    let _alone = alone();
    println!("{}", accesses::prove_filtered(RawTracepoint, guest()).unwrap());
}

#[test]
fn a_change_counts_from_the_next_access_on() {
    let _alone = alone();
    // In a process of its own, which stays on one CPU.
    let status = Command::new(guest()).args(["prove", "--backend", "raw-tracepoint", "scopes"]).status().unwrap();
    assert!(status.success());
}

#[test]
fn watched_files_are_told_by_whatever_name() {
    let _alone = alone();
    let exporter = Command::new(exporter::binary().unwrap());
    let told = watched::prove(RawTracepoint, exporter, guest(), &accesses::base()).unwrap();
    println!("{told}");
}

#[test]
fn reports_every_open_under_load() {
    let _alone = alone();
    let account = Opens::new(4, 25_000).prove(RawTracepoint, guest(), READER).unwrap();
    assert_eq!((account.events, account.ring_full), (100_000, 0));
}

#[test]
fn counts_what_a_full_ring_drops() {
    let _alone = alone();
    let account = Opens::new(4, 25_000).prove(RawTracepoint, guest(), SLOW).unwrap();
    assert!(account.events > 0 && account.ledger > 0, "{account:?}");
}

#[test]
fn counts_by_file_what_a_full_ring_drops() {
    let _alone = alone();
    let account = Opens { files: 64, ..Opens::new(8, 100_000) }.prove(RawTracepoint, guest(), SLOW).unwrap();
    assert!(account.events > 0 && account.ledger > 400_000, "{account:?}");
    assert_eq!(account.events + account.ledger, 800_000);
}

#[test]
fn equal_accesses_are_counted() {
    let _alone = alone();
    let opens = Opens { files: 64, ..Opens::new(8, 25_000) };
    println!("{}", prove_repeats(opens, RawTracepoint, guest(), READER).unwrap());
}

#[test]
fn exporters_come_and_go() {
    let _alone = alone();
    let folder = Bpffs::mount();
    let opens = Opens::new(8, 100_000);
    prove_restarts(RawTracepoint, guest(), &folder.0.join("inotrail"), opens).unwrap();
}

/// A BPF file system of the test's own.
struct Bpffs(PathBuf);

impl Bpffs {
    fn mount() -> Self {
        let path = std::env::temp_dir().join(format!("inotrail-bpffs-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        mount("bpf", &path, "bpf", MountFlags::empty(), None).unwrap();
        Self(path)
    }
}

impl Drop for Bpffs {
    fn drop(&mut self) {
        unmount(&self.0, UnmountFlags::DETACH).unwrap();
        fs::remove_dir(&self.0).unwrap();
    }
}

#[test]
fn no_rename_tears_a_path() {
    let _alone = alone();
    Renames { opens: 100_000 }.prove(RawTracepoint, guest(), READER).unwrap();
}

#[test]
fn a_swapped_descriptor_is_never_confirmed() {
    let _alone = alone();
    Hostile { attack: Attack::Descriptor, opens: 100_000 }.prove(RawTracepoint, guest(), READER).unwrap();
}

#[test]
fn a_rewritten_request_changes_no_path() {
    let _alone = alone();
    Hostile { attack: Attack::Request, opens: 100_000 }.prove(RawTracepoint, guest(), READER).unwrap();
}

#[test]
fn a_moved_mount_mixes_no_paths() {
    let _alone = alone();
    Hostile { attack: Attack::Mounts, opens: 50_000 }.prove(RawTracepoint, guest(), READER).unwrap();
}
