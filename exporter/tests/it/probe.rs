//! The self-test while running, with the real programs. Needs root.

use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use inotrail::container::cgroup::Hierarchy;
use inotrail::sensor::{Options, Probe, Record, Sensor};

fn options(root: PathBuf, include_self: bool) -> Options {
    Options { root, include_self, ..Options::new(Hierarchy::detect().unwrap(), 1 << 20) }
}

/// Drains until the test's open was reported. Also returns how many of this process's accesses were given out.
fn answered(sensor: &mut Sensor, probe: &Probe, patience: Duration) -> (bool, usize) {
    let (before, own) = (probe.seen(), std::process::id());
    probe.open().unwrap();
    let (start, mut given) = (Instant::now(), 0);
    while probe.seen() == before && start.elapsed() < patience {
        sensor.drain(|record| match record {
            Ok(Record::Access(access)) if access.header.tgid == own => given += 1,
            _ => {}
        });
    }
    (probe.seen() > before, given)
}

#[test]
fn a_test_is_answered_while_the_programs_are_attached() {
    let mut sensor = Sensor::start(&options(PathBuf::from("/"), false)).unwrap();
    let probe = sensor.probe().expect("procfs");
    for _ in 0..3 {
        assert_eq!(answered(&mut sensor, &probe, Duration::from_secs(60)), (true, 0), "answered, and given to nobody");
        drop(File::open("/proc/self/stat"));
    }
    sensor.detach();
    let drains = probe.drains();
    assert_eq!(answered(&mut sensor, &probe, Duration::from_secs(1)), (false, 0));
    assert!(probe.drains() > drains, "the ring was read");
}

#[test]
fn a_test_is_answered_where_the_exporter_reports_itself() {
    let mut sensor = Sensor::start(&options(PathBuf::from("/"), true)).unwrap();
    let probe = sensor.probe().expect("procfs");
    let (seen, given) = answered(&mut sensor, &probe, Duration::from_secs(60));
    assert!(seen, "given to nobody, but for {given} other accesses");
    let own = std::process::id();
    drop(File::open("/proc/self/stat"));
    let start = Instant::now();
    let mut reported = false;
    while !reported && start.elapsed() < Duration::from_secs(60) {
        sensor.drain(|record| reported |= matches!(record, Ok(Record::Access(access)) if access.header.tgid == own));
    }
    assert!(reported, "its own accesses are still reported");
}
