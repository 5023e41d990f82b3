use std::sync::Arc;

use inotrail_ebpf::{Header, kind, mask};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use prost::Message;
use zerocopy::FromZeros;

use super::*;
use crate::container::{Container, File, Origin};
use crate::event::{Access, Backend};
use crate::process::{Ancestor, Process};
use crate::sink::sample::Judged;

fn header() -> Header {
    Header { kind: kind::ACCESS, mask: mask::OPEN | mask::READ, inode: 7, tgid: 1234, ..Header::new_zeroed() }
}

fn container(id: &str) -> Arc<Container> {
    let id = id.to_owned();
    Arc::new(Container::new(Origin::Container { id, name: "app".into(), runtime: "containerd", resolved: true }))
}

fn event<'a>(header: &'a Header, container: &'a Arc<Container>, path: &'a [u8]) -> Event<'a> {
    Event {
        time_ns: 1_795_244_695_123_000_000,
        observed_ns: 1_795_244_695_124_000_000,
        access: Access { path, requested: path, ..Access::of(header) },
        process: Process::unknown(),
        process_start_ns: 1_795_244_690_000_000_000,
        container,
        file: File::default(),
        judgement: None,
        backend: Backend::RawTracepoint,
        sequence: container.next_sequence(),
        count: 1,
        processes: 0,
        last_ns: 0,
    }
}

fn batch(records: usize, bytes: usize) -> (Batch, Encoder) {
    let limits = Limits { records, bytes, age: Duration::from_nanos(100), interval: Duration::from_nanos(100) };
    (Batch::new(limits, Node::default()), Encoder::new(&Node::default()))
}

#[test]
fn full_by_count() {
    let (header, container) = (header(), container("a"));
    let (mut batch, mut encoder) = batch(3, usize::MAX);
    for _ in 0..2 {
        assert_eq!(batch.push(&mut encoder, &event(&header, &container, b"/etc/passwd"), 0), None);
        assert_eq!(batch.push(&mut encoder, &event(&header, &container, b"/etc/passwd"), 0), None);
        assert_eq!(batch.push(&mut encoder, &event(&header, &container, b"/etc/passwd"), 0).unwrap().records, 3);
        assert_eq!(batch.take(), None);
    }
}

#[test]
fn full_by_bytes() {
    let (header, containers) = (header(), [container("a"), container("b")]);
    let (mut batch, mut encoder) = batch(usize::MAX, 10_000);
    let mut sent = 0;
    for index in 0..1000 {
        sent += 1;
        if let Some(request) = batch.push(&mut encoder, &event(&header, &containers[index % 2], b"/etc/passwd"), 0) {
            assert_eq!(request.records, sent);
            assert!((10_000..11_000).contains(&request.body.len()), "{}", request.body.len());
            // The prediction was exact.
            assert_eq!(Vec::from(request.body.clone()).capacity(), request.body.len());
            sent = 0;
        }
    }
    assert!(sent < 20);
}

#[test]
fn due_by_the_time_since_the_last_request() {
    let (header, container) = (header(), container("a"));
    let (mut batch, mut encoder) = batch(3, usize::MAX);
    let mut push = |batch: &mut Batch, now| batch.push(&mut encoder, &event(&header, &container, b"/a"), now);
    let take_due = |batch: &mut Batch, now| batch.take_due(now, 1, || true);
    assert_eq!(take_due(&mut batch, u64::MAX), None);
    assert_eq!(push(&mut batch, 1000), None);
    assert_eq!(take_due(&mut batch, 1000).unwrap().records, 1, "nothing came for long");
    assert_eq!(push(&mut batch, 1010), None);
    assert_eq!(push(&mut batch, 1060), None);
    assert_eq!(take_due(&mut batch, 1099), None);
    assert_eq!(take_due(&mut batch, 1100).unwrap().records, 2);
    assert_eq!(take_due(&mut batch, 1200), None, "nothing came");
    assert_eq!(push(&mut batch, 1250), None);
    assert_eq!(take_due(&mut batch, 1050).unwrap().records, 1, "the clock went back");
    assert_eq!((push(&mut batch, 1250), push(&mut batch, 1260)), (None, None));
    assert_eq!(push(&mut batch, 1270).unwrap().records, 3, "full");
    assert_eq!(push(&mut batch, 1280), None);
    assert_eq!(take_due(&mut batch, 1369), None);
    assert_eq!(take_due(&mut batch, 1370).unwrap().records, 1);
}

#[test]
fn due_sooner_where_the_destination_keeps_up() {
    let (header, container) = (header(), container("a"));
    let limits =
        Limits { records: 40, bytes: usize::MAX, age: Duration::from_nanos(1000), interval: Duration::from_nanos(10) };
    let (mut batch, mut encoder) = (Batch::new(limits, Node::default()), Encoder::new(&Node::default()));
    let mut push = |batch: &mut Batch, count: u64| {
        for _ in 0..count {
            assert_eq!(batch.push(&mut encoder, &event(&header, &container, b"/a"), 5000), None);
        }
    };
    // Records that wait, how many batches share the interval, and when they go, after the last one went.
    let check = |batch: &mut Batch, share: u32, expected: u64, records: u64| {
        let last = batch.taken_ns;
        assert_eq!(batch.take_due(last + expected - 1, share, || false), None);
        assert_eq!(batch.take_due(last + expected, share, || false).unwrap().records, records);
    };
    push(&mut batch, 1);
    assert_eq!(batch.take_due(5000, 1, || false).unwrap().records, 1, "nothing came for long");
    push(&mut batch, 9);
    check(&mut batch, 1, 10, 9);
    push(&mut batch, 9);
    check(&mut batch, 3, 30, 9);
    // So many that they fill it soon.
    push(&mut batch, 10);
    check(&mut batch, 1, 40, 10);
    push(&mut batch, 10);
    check(&mut batch, 3, 120, 10);
    batch.limits.records = 400;
    push(&mut batch, 9);
    check(&mut batch, 1, 1000, 9);
    push(&mut batch, 10);
    check(&mut batch, 1, 10, 10);
    batch.limits.records = 40;
    push(&mut batch, 9);
    let last = batch.taken_ns;
    assert_eq!(batch.take_due(last + 999, 1, || true), None, "requests wait");
    assert_eq!(batch.take_due(last + 1000, 1, || true).unwrap().records, 9);
    push(&mut batch, 1);
    let last = batch.taken_ns;
    assert_eq!(batch.take_due(last + 1000, u32::MAX, || false).unwrap().records, 1, "no longer than its age");
}

#[test]
fn every_version_of_a_container_has_its_own_resource() {
    let (header, first) = (header(), container("a"));
    let second = Arc::new(first.update(Origin::Unit("sshd.service".into()), None, None));
    let (mut batch, mut encoder) = batch(100, usize::MAX);
    for container in [&first, &second, &first, &second] {
        assert_eq!(batch.push(&mut encoder, &event(&header, container, b"/a"), 0), None);
    }
    let message = ExportLogsServiceRequest::decode(batch.take().unwrap().body).unwrap();
    let counts: Vec<_> = message.resource_logs.iter().map(|logs| logs.scope_logs[0].log_records.len()).collect();
    assert_eq!(counts, [2, 2]);
    assert_ne!(message.resource_logs[0].resource, message.resource_logs[1].resource);
}

#[test]
fn resources_of_containers_that_are_gone_are_forgotten() {
    let header = header();
    let (mut batch, mut encoder) = batch(100, usize::MAX);
    let mut records = 0;
    for index in 0..10_000 {
        // Freed at once: the next container may well get the same address.
        let container = container(&index.to_string());
        if let Some(request) = batch.push(&mut encoder, &event(&header, &container, b"/a"), 0) {
            records += request.records;
            let message = ExportLogsServiceRequest::decode(request.body).unwrap();
            assert_eq!(message.resource_logs.len(), 100);
            assert!(batch.resources.len() <= 612, "{}", batch.resources.len());
        }
    }
    assert_eq!(records, 10_000);
}

#[test]
fn the_longest_event_fits_over_the_highest_limit() {
    let header = Header { comm: [0xff; 16], flags: u32::MAX, ..header() };
    let container = container("a");
    let (mut batch, mut encoder) = batch(usize::MAX, usize::MAX);
    let (longest, other) = (vec![0xff; 8192], vec![0xfe; 8192]);
    let mut longest = event(&header, &container, &longest);
    longest.access.requested = &other;
    let executable: Arc<[u8]> = longest.access.path.into();
    let ancestor = |tgid| Ancestor { tgid, executable: Arc::clone(&executable) };
    let arguments = [b"\xff\0".as_slice(); 1024].concat().into();
    // Their number is bounded, and so are their bytes together.
    let ancestors = [u32::MAX, 7].map(ancestor).into();
    let process = Process { executable: Arc::clone(&executable), ancestors, arguments, ..Process::default() };
    longest.process = &process;
    let request = (0..1000).find_map(|_| batch.push(&mut encoder, &longest, 0)).unwrap();
    assert!(request.body.len() > REQUEST_MAX - EVENT_MAX && request.body.len() <= REQUEST_MAX);
    assert!(request.body.len() / (request.records as usize) < EVENT_MAX / 2);
}

#[test]
fn a_warm_batch_allocates_nothing_per_event() {
    let (header, containers) = (header(), [container("a"), container("b")]);
    let executable: Arc<[u8]> = b"/bin/sh".as_slice().into();
    let ancestors = (1..9).map(|tgid| Ancestor { tgid, executable: Arc::clone(&executable) }).collect();
    let arguments = b"sh\0-c\0exit".as_slice().into();
    let process = Process { executable, ancestors, arguments, vpid: 7, session: true, ..Process::default() };
    let judged = Judged::new();
    let (mut batch, mut encoder) = batch(100_000, usize::MAX);
    // Its body has no length of one byte.
    let long = [b'/'; 200];
    let mut fill = |paths: [&[u8]; 3]| {
        for index in 0..1000 {
            // A number of its own would be longer the second time.
            let event = Event {
                sequence: 1,
                process: &process,
                judgement: Some(judged.judgement()),
                ..event(&header, &containers[index % 2], paths[index / 2 % 3])
            };
            assert_eq!(batch.push(&mut encoder, &event, 0), None);
        }
        batch.take().unwrap()
    };
    let cold = fill([b"/etc/passwd", b"/tmp/\xff", &long]);
    let mut warm = None;
    let allocations = allocation_counter::measure(|| warm = Some(fill([b"/etc/passwd", b"/tmp/\xff", &long])));
    assert_eq!(warm.unwrap().body.len(), cold.body.len());
    // The request's own bytes, and what Bytes counts its owners in.
    assert!(allocations.count_total <= 2, "{}", allocations.count_total);
}
