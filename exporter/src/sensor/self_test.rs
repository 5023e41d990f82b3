//! The proof that a backend works: one open, one event.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::thread;
use std::time::{Duration, Instant};

use inotrail_ebpf::{Control, program};

use super::{Paths, Record, Sensor, record};

/// How the sentinel was not seen exactly once.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The sentinel could not be opened.
    #[error("self-test: cannot open {0}: is /proc mounted? ({1})")]
    Sentinel(String, std::io::Error),
    /// The programs attached and saw nothing.
    #[error("self-test: attached, but an open of {0} was not reported within {1:?}")]
    NotSeen(String, Duration),
    /// It was reported more than once.
    #[error("self-test: one open of {0} was reported {1} times")]
    Repeated(String, usize),
}

/// Far longer than a loaded machine needs: the record is written before the open returns.
const DEADLINE: Duration = Duration::from_secs(10);
/// Bytes kept of records that come while the test runs, in sizes of the ring: a busy node makes many, and none may be
/// lost here. The sentinel's record has at most one full ring before it.
const EARLY_RINGS: usize = 4;

/// Opens a file that no one else opens and expects its record exactly once. `tgid` is this process's.
pub(super) fn run(sensor: &mut Sensor, tgid: u32) -> Result<(), Failure> {
    let control = sensor.control.get();
    sensor.control.set(Control { self_tgid: tgid, self_test: 1, ..control });
    let result = prove(sensor);
    sensor.control.set(control);
    result
}

fn prove(sensor: &mut Sensor) -> Result<(), Failure> {
    // A descriptor's file in procfs: it exists on a read-only root file system, and its name is ours alone.
    let anchor =
        File::open("/proc/self/stat").map_err(|error| Failure::Sentinel("/proc/self/stat".to_owned(), error))?;
    let sentinel = format!("/proc/self/fdinfo/{}", anchor.as_raw_fd());
    let comm = std::fs::read("/proc/thread-self/comm").unwrap_or_default();
    let start = Instant::now();
    while start.elapsed() < DEADLINE {
        // Room first: on a busy node a small ring is full before the sentinel is opened.
        collect(sensor, &sentinel, &comm, &mut Vec::new());
        let full = ring_full(sensor);
        let mut seen = Vec::new();
        drop(File::open(&sentinel).map_err(|error| Failure::Sentinel(sentinel.clone(), error))?);
        while seen.is_empty() && ring_full(sensor) == full && start.elapsed() < DEADLINE {
            collect(sensor, &sentinel, &comm, &mut seen);
            if seen.is_empty() {
                thread::yield_now();
            }
        }
        // A second record would lie right behind the first.
        collect(sensor, &sentinel, &comm, &mut seen);
        match seen[..] {
            [] => {}
            [()] => return Ok(()),
            _ => return Err(Failure::Repeated(sentinel, seen.len())),
        }
    }
    Err(Failure::NotSeen(sentinel, DEADLINE))
}

/// Records of accesses for which the ring had no room.
fn ring_full(sensor: &Sensor) -> u64 {
    let hooks = [program::FEXIT, program::KPROBE, program::SYS_EXIT];
    hooks.into_iter().map(|program| sensor.counters.totals(program).ring_full).sum()
}

/// Takes the sentinel's records out of the stream and keeps all others for the first drain. Ends where the ring is empty or
/// has been read once over, because others may write as fast as this reads.
fn collect(sensor: &mut Sensor, sentinel: &str, comm: &[u8], seen: &mut Vec<()>) {
    let (mut read, mut paths) = (0, Paths::default());
    while read < sensor.ring_bytes && sensor.early_bytes < EARLY_RINGS * sensor.ring_bytes {
        let Some(item) = sensor.ring.next() else { break };
        read += item.len();
        match record::parse(&item, &mut paths) {
            Ok(Record::Access(access))
                if access.requested == sentinel.as_bytes() && access.comm() == comm.trim_ascii_end() =>
            {
                seen.push(());
            }
            _ => {
                sensor.early_bytes += item.len();
                sensor.early.push_back(item.to_vec());
            }
        }
    }
}
