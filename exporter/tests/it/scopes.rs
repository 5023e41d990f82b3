//! What becomes of a cgroup's accesses, with the real programs. Needs root. Where containers are in cgroup version 1, or on aarch64, the
//! programs remember no scope, and this cannot show that what they remember is renewed.

use std::fs::File;

use inotrail::container::cgroup::Hierarchy;
use inotrail::container::{KernelFilter as _, Recorded};
use inotrail::event::Backend;
use inotrail::sensor::{Options, Record, Sensor};
use inotrail_ebpf::program;
use rustix::thread::{CpuSet, gettid, sched_getaffinity, sched_setaffinity};

/// The series of the program that reports accesses.
fn series(backend: Backend) -> u32 {
    match backend {
        Backend::Fexit => program::FEXIT,
        Backend::Kprobe => program::KPROBE,
        Backend::RawTracepoint => program::SYS_EXIT,
    }
}

/// Keeps this thread on one CPU: what the programs remember, each CPU remembers for itself.
fn stay() {
    let allowed = sched_getaffinity(None).unwrap();
    let mut one = CpuSet::new();
    one.set((0..CpuSet::MAX_CPU).find(|cpu| allowed.is_set(*cpu)).unwrap());
    sched_setaffinity(None, &one).unwrap();
}

/// Opens a file so many times; how many of these were reported.
fn reported(sensor: &mut Sensor, times: usize) -> usize {
    // This thread's alone: other tests open what they want.
    let file = format!("/proc/self/task/{}/stat", gettid().as_raw_nonzero());
    (0..times).for_each(|_| drop(File::open(&file).unwrap()));
    let mut reported = 0;
    sensor.drain(|record| {
        if let Ok(Record::Access(access)) = record {
            reported += usize::from(access.requested == file.as_bytes());
        }
    });
    reported
}

#[test]
fn a_change_counts_from_the_next_access_on() {
    stay();
    let hierarchy = Hierarchy::detect().unwrap();
    let own = hierarchy.own_cgroup().unwrap();
    let id = hierarchy.id_of(&own).unwrap();
    let options = Options { include_self: true, ..Options::new(hierarchy, 1 << 20) };
    let mut sensor = Sensor::start(&options).unwrap();
    let mut scopes = sensor.take_scopes().unwrap();
    let (counters, series) = (sensor.counters(), series(sensor.backend()));
    for round in 0..20 {
        scopes.record(id, &own, &Recorded::Nothing).unwrap();
        let before = counters.totals(series).ignored;
        // The first is looked up, the others are remembered.
        assert_eq!(reported(&mut sensor, 3), 0, "round {round}");
        assert!(counters.totals(series).ignored >= before + 3, "round {round}: each is counted");
        scopes.record(id, &own, &Recorded::Everything).unwrap();
        assert_eq!(reported(&mut sensor, 3), 3, "round {round}");
    }
}
