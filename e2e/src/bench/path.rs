//! The whole way of an event through user space: from the bytes of a ring buffer's record to those of a request.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use anyhow::Result;
use inotrail::app::export::{Export, Outbox};
use inotrail::batch::{Limits, Request};
use inotrail::container::CgroupEvents;
use inotrail::event::{Backend, Event, Node};
use inotrail::lane::Lane;
use inotrail::loss::Loss;
use inotrail::metrics::Metrics;
use inotrail::pipeline::{Output, Pipeline};
use inotrail::route::Route;
use inotrail::sensor::Paths;
use inotrail::stopped::Stopped;
use inotrail_ebpf::{Header, program};
use zerocopy::IntoBytes as _;

use super::lookup::{self, DISK, ROOTS, SECRETS};
use super::memory::{ANCESTORS, some_processes};
use super::sample::{BATCH, CONTAINERS, Sample, header};
use super::sdk::Sdk;

/// Processes that act, ten of each container but the first, which has those that forked them.
const PROCESSES: u32 = 490;
/// Different records, each of another file; more are the same again.
const RECORDS: u32 = 1000;
/// Different records where none is of a file that was there before: as many as are measured.
const NEW: u32 = 40_000;
/// Records that are taken from the ring at once.
const DRAIN: usize = 64;

/// Which files records are of.
#[derive(Clone, Copy, Debug)]
pub enum Files {
    /// A thousand, again and again.
    Again,
    /// Each of one that was not there before.
    New,
}

/// Gives the bytes of every request of `events` records to `each`, as `inotrail run` makes them.
pub fn ours(events: usize, files: Files, each: impl FnMut(&[u8])) {
    Way::new(exported(each)).of(files).take(events).finish();
}

/// The same by the SDK: what is known of a record is found out as ours is.
///
/// # Errors
/// None is known.
pub fn sdk(events: usize, files: Files, each: impl FnMut(&[u8])) -> Result<()> {
    let mut logged = Way::new(logged(each)?).of(files).take(events);
    logged.flush();
    logged.result
}

/// Gives requests to a function.
pub struct Requests<F>(RefCell<F>);

impl<F: FnMut(&[u8])> Outbox for Requests<F> {
    fn offer(&self, _: Lane, _: usize, _: &str, request: Request) {
        self.0.borrow_mut()(&request.body);
    }

    fn is_pressed(&self) -> bool {
        false
    }

    fn is_behind(&self, _: usize) -> bool {
        false
    }
}

/// What `inotrail run` does with events, to one destination that gets them all.
pub fn exported<F: FnMut(&[u8])>(each: F) -> Export<Requests<F>> {
    // Requests that the clock makes would be others in each run.
    let limits = Limits { records: BATCH, bytes: usize::MAX, age: Duration::MAX, interval: Duration::MAX };
    Export::new(vec![Route::default()], limits, &node(), Requests(RefCell::new(each)))
}

fn logged<F: FnMut(&[u8])>(each: F) -> Result<Logged<F>> {
    let containers = lookup::mounted(CONTAINERS as u32).snapshot();
    let containers = (1..=CONTAINERS as u64).filter_map(|cgroup| containers.get(cgroup));
    Ok(Logged { sdk: Sdk::new(&node(), containers)?, each, waiting: 0, result: Ok(()) })
}

/// Logs events by the SDK.
struct Logged<F> {
    sdk: Sdk,
    each: F,
    waiting: usize,
    result: Result<()>,
}

impl<F: FnMut(&[u8])> Logged<F> {
    fn flush(&mut self) {
        self.waiting = 0;
        self.result = self.sdk.flush(&mut self.each);
    }
}

impl<F: FnMut(&[u8])> Output for Logged<F> {
    fn wants(&self, _: &Event<'_>) -> bool {
        true
    }

    fn has_room(&mut self, _: &Event<'_>) -> bool {
        true
    }

    fn event(&mut self, event: &Event<'_>) -> ControlFlow<()> {
        self.sdk.emit(event.access.header.cgroup_id as usize - 1, event);
        self.waiting += 1;
        if self.waiting == BATCH {
            self.flush();
        }
        if self.result.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    fn loss(&mut self, _: &Loss<'_>) {}

    fn stopped(&mut self, _: &Stopped<'_>) {}

    fn drained(&mut self, _: u64) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// A pipeline, and the records that go through it.
pub struct Way<O> {
    pipeline: Pipeline<O>,
    records: Vec<Bytes>,
    paths: Paths,
    taken: usize,
}

/// Bytes as the ring has them: aligned.
type Bytes = (Vec<u64>, usize);

impl<O: Output> Way<O> {
    /// Tables of [`CONTAINERS`] containers and [`PROCESSES`] processes.
    pub fn new(output: O) -> Self {
        Self::counted(output, &Arc::default())
    }

    /// The same, which counts in these metrics.
    pub fn counted(output: O, metrics: &Arc<Metrics>) -> Self {
        let metrics = Arc::clone(metrics);
        let containers = lookup::mounted(CONTAINERS as u32);
        let processes = some_processes(10 + PROCESSES, true);
        // Nobody tells anything.
        let news = (sync_channel(1).1, sync_channel(1).1);
        let tables = (containers, CgroupEvents::unheard());
        let pipeline = Pipeline::new(Backend::Fexit, false, tables, processes, news, metrics, output);
        Self { pipeline, records: (0..RECORDS).map(record).collect(), paths: Paths::default(), taken: 0 }
    }

    /// The same with records of these files.
    #[must_use]
    pub fn of(mut self, files: Files) -> Self {
        if matches!(files, Files::New) {
            self.records.extend((RECORDS..NEW).map(record));
        }
        self
    }

    /// Takes so many more records, and gives the output back.
    #[must_use]
    pub fn take(mut self, events: usize) -> O {
        self.go(events);
        self.into_output()
    }

    /// Takes so many more records.
    pub fn go(&mut self, events: usize) {
        let end = self.taken + events;
        while self.taken < end {
            if self.drain(DRAIN.min(end - self.taken)).is_break() {
                return;
            }
        }
    }

    /// Takes so many more records from the ring at once, or looks at an empty one.
    pub fn drain(&mut self, records: usize) -> ControlFlow<()> {
        let next = (self.taken..self.taken + records).map(|number| &self.records[number % self.records.len()]);
        let bytes = next.map(|(words, len)| &words.as_bytes()[..*len]);
        self.taken += records;
        self.pipeline.replay(bytes, &mut self.paths)
    }

    /// What a record takes in the ring buffer, on average: its own header (linux/bpf.h, `BPF_RINGBUF_HDR_SZ`) and up to a multiple of eight.
    #[must_use]
    pub fn bytes_per_record(&self) -> usize {
        let bytes: usize = self.records.iter().map(|(words, _)| 8 + 8 * words.len()).sum();
        bytes / self.records.len()
    }

    /// The output.
    pub fn into_output(self) -> O {
        self.pipeline.into_output()
    }
}

/// Where all of it happens.
pub(super) fn node() -> Node {
    Sample::default().node
}

/// One in two reads its image, one in four a Secret through the kubelet's links, and one in four a `ConfigMap` by the path that it is
/// at.
fn record(number: u32) -> Bytes {
    let random = u64::from(number).wrapping_mul(2_654_435_761) >> 3;
    let process = (random >> 8) as u32 % PROCESSES;
    let tgid = 10 + process;
    let container = tgid / 10;
    let (device, path, requested) = match number % 4 {
        0 | 1 => (ROOTS + container, format!("/usr/lib/python3/dist-packages/module_{number:04}/__init__.py"), None),
        2 => (
            SECRETS + container,
            format!("/etc/tls/..2026_11_22_10_00_00.{number:09}/tls.key"),
            Some("/etc/tls/tls.key"),
        ),
        _ => (DISK, format!("/etc/conf/..2026_11_22_10_00_00.{number:09}/settings.yaml"), None),
    };
    let components = path[1..].rsplit('/').collect::<Vec<_>>().join("\0") + "\0";
    let requested = requested.unwrap_or(&path);
    let header = Header {
        time_ns: 1_000_000_000 + u64::from(number) * 12_345,
        process_start_ns: tgid.into(),
        cgroup_id: u64::from(container) + 1,
        program: program::FEXIT,
        tgid,
        tid: tgid,
        ppid: ANCESTORS,
        device,
        requested_len: requested.len() as u16,
        path_len: components.len() as u16,
        ..header(random)
    };
    let bytes = [header.as_bytes(), requested.as_bytes(), components.as_bytes()].concat();
    let mut words = vec![0_u64; bytes.len().div_ceil(8)];
    words.as_mut_bytes()[..bytes.len()].copy_from_slice(&bytes);
    (words, bytes.len())
}

#[cfg(test)]
mod tests {
    use super::super::tests::records;
    use super::*;

    /// Gives the same events to both.
    struct Both<A, B>(A, B);

    impl<A: Output, B: Output> Output for Both<A, B> {
        fn wants(&self, event: &Event<'_>) -> bool {
            self.0.wants(event) && self.1.wants(event)
        }

        fn has_room(&mut self, event: &Event<'_>) -> bool {
            self.0.has_room(event) && self.1.has_room(event)
        }

        fn event(&mut self, event: &Event<'_>) -> ControlFlow<()> {
            self.0.event(event)?;
            self.1.event(event)
        }

        fn loss(&mut self, _: &Loss<'_>) {}

        fn stopped(&mut self, _: &Stopped<'_>) {}

        fn drained(&mut self, _: u64) -> ControlFlow<()> {
            ControlFlow::Continue(())
        }
    }

    #[test]
    fn both_ways_tell_the_same() {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let both = Both(
            exported(|request| ours.push(request.to_vec())),
            logged(|request| theirs.push(request.to_vec())).unwrap(),
        );
        let Both(export, mut logged) = Way::new(both).take(2500);
        export.finish();
        logged.flush();
        logged.result.unwrap();
        let (ours, theirs) = (records(&ours), records(&theirs));
        assert_eq!((ours.len(), theirs.len()), (2500, 2500));
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!(ours, theirs);
        }
    }
}
