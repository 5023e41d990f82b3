//! What tests of shipping offer, and how they count.

use std::sync::Arc;
use std::time::Duration;

use inotrail::batch::{Batch, Limits, Request};
use inotrail::config::choice::{Compression, Form, Protocol};
use inotrail::config::{Export, Lines, Tls};
use inotrail::container::{Container, File, Origin};
use inotrail::event::{Access, Backend, Event, Node};
use inotrail::journal::{Journal, JournalConfig, Recipient};
use inotrail::lane::Lane;
use inotrail::loss::Uuid;
use inotrail::metrics::{Books, Dropped, Metrics};
use inotrail::otlp::Encoder;
use inotrail::process::Process;
use inotrail::ship::Destination;
use inotrail_ebpf::{Header, kind, mask};
use tokio::sync::watch;
use tokio::time::Instant;
use zerocopy::FromZeros;

pub(crate) fn config() -> Export {
    Export {
        endpoint: "http://127.0.0.1:4317".parse().unwrap(),
        lines: Lines { form: Form::OtlpJson, rotate_size: 100 << 20, rotate_keep: 5 },
        protocol: Protocol::Grpc,
        token_file: None,
        headers: Vec::new(),
        compression: Compression::Zstd,
        timeout: Duration::from_secs(10),
        tls: Tls::default(),
        max_age: Duration::from_secs(600),
        in_flight: 4,
        tenant_header: None,
    }
}

/// One destination, and the journal before it.
pub(crate) struct Queue {
    pub(crate) journal: Journal,
    destination: Destination,
}

impl Queue {
    /// `ship` starts the destination. So many bytes of memory are for what waits.
    pub(crate) fn new(
        metrics: &Metrics,
        memory: usize,
        ship: impl FnOnce(&Journal, &Arc<Books>) -> Destination,
    ) -> Self {
        let books = metrics.open_books("default");
        let config = JournalConfig { folder: None, memory, disk: 0, age: Duration::from_secs(600) };
        let recipient = Recipient { books: Arc::clone(&books), route: 0, stream: 0 };
        let (journal, _) = Journal::open(&config, vec![recipient], Uuid(1), metrics, None).unwrap();
        let destination = ship(&journal, &books);
        Self { journal, destination }
    }

    pub(crate) fn offer(&self, request: Request) {
        self.journal.offer(Lane::Access, 0, "", request);
    }

    pub(crate) async fn drain(self, deadline: Instant) {
        self.journal.close(deadline).await;
        self.destination.drain(watch::channel(deadline).1).await;
        self.journal.finish().await;
    }
}

/// A request of `count` records from number `first`, each with a path of `path` bytes, of three containers in turn.
pub(crate) fn request(first: u64, count: u64, path: usize) -> Request {
    let header = Header { kind: kind::ACCESS, mask: mask::OPEN | mask::READ, ..Header::new_zeroed() };
    let containers =
        ["a.service", "b.service", "c.service"].map(|unit| Arc::new(Container::new(Origin::Unit(unit.into()))));
    let limits = Limits { records: usize::MAX, bytes: usize::MAX, age: Duration::MAX, interval: Duration::MAX };
    let (mut batch, mut encoder) = (Batch::new(limits, Node::default()), Encoder::new(&Node::default()));
    let path = vec![b'/'; path];
    for sequence in first..first + count {
        let event = Event {
            time_ns: 1,
            observed_ns: 2,
            access: Access { path: &path, ..Access::of(&header) },
            process: Process::unknown(),
            process_start_ns: 0,
            container: &containers[sequence as usize % 3],
            file: File::default(),
            judgement: None,
            backend: Backend::Fexit,
            sequence,
            count: 1,
            processes: 0,
            last_ns: 0,
        };
        assert_eq!(batch.push(&mut encoder, &event, 0), None);
    }
    batch.take().unwrap()
}

pub(crate) fn settled(metrics: &Metrics) -> u64 {
    metrics.delivered.get() + Dropped::ALL.iter().map(|reason| metrics.dropped(*reason).get()).sum::<u64>()
}
