//! What tests of shipping offer, and how they count.

use std::sync::Arc;
use std::time::Duration;

use inotrail::batch::{Batch, Limits, Request};
use inotrail::config::choice::Compression;
use inotrail::config::{Export, Tls};
use inotrail::container::{Container, File, Origin};
use inotrail::event::{Access, Backend, Event, Node};
use inotrail::metrics::{Dropped, Metrics};
use inotrail::process::Process;
use inotrail_ebpf::{Header, kind, mask};
use zerocopy::FromZeros;

pub(crate) fn config() -> Export {
    Export {
        endpoint: "http://127.0.0.1:4317".parse().unwrap(),
        headers: Vec::new(),
        compression: Compression::Zstd,
        timeout: Duration::from_secs(10),
        tls: Tls::default(),
        batch_records: 2000,
        batch_bytes: 1 << 20,
        batch_age: Duration::from_secs(1),
        queue_requests: 8,
        max_age: Duration::from_secs(600),
    }
}

/// A request of `count` records from number `first`, each with a path of `path` bytes, of three containers in turn.
pub(crate) fn request(first: u64, count: u64, path: usize) -> Request {
    let header = Header { kind: kind::ACCESS, mask: mask::OPEN | mask::READ, ..Header::new_zeroed() };
    let containers =
        ["a.service", "b.service", "c.service"].map(|unit| Arc::new(Container::new(Origin::Unit(unit.into()))));
    let limits = Limits { records: usize::MAX, bytes: usize::MAX, age: Duration::MAX };
    let mut batch = Batch::new(limits, Node::default());
    let path = vec![b'/'; path];
    for sequence in first..first + count {
        let event = Event {
            time_ns: 1,
            observed_ns: 2,
            access: Access { header: &header, path: &path, target: b"", requested: &[], arguments: &[] },
            process: Process::unknown(),
            process_start_ns: 0,
            container: &containers[sequence as usize % 3],
            file: File::default(),
            judgement: None,
            backend: Backend::Fexit,
            sequence,
            count: 1,
            last_ns: 0,
        };
        assert_eq!(batch.push(&event, 0), None);
    }
    batch.take().unwrap()
}

pub(crate) fn settled(metrics: &Metrics) -> u64 {
    metrics.delivered.get() + Dropped::ALL.iter().map(|reason| metrics.dropped(*reason).get()).sum::<u64>()
}
