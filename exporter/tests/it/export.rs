//! From an offered request to the books, over a wire inside the process and with time paused.

mod status;

use std::sync::Arc;
use std::time::Duration;

use inotrail::batch::Request;
use inotrail::config::Export;
use inotrail::metrics::{Dropped, Metrics};
use inotrail::ship;
use prost::Message;
use tokio::time::{Instant, sleep, timeout};
use tonic::codec::CompressionEncoding::{self, Gzip, Zstd};
use tonic::{Code, Status};

use super::fakes::collector::{Answer, Collector};
use super::requests::{Queue, config, request, settled};

/// Room for about twelve requests of three records that are not compressed yet, and for thirty that are.
const MEMORY: usize = 1 << 20;

/// A queue into a collector, and the books.
struct Bench {
    collector: Collector,
    /// Nothing: drained.
    queue: Option<Queue>,
    metrics: Arc<Metrics>,
    offered: u64,
}

impl Bench {
    fn new(collector: Collector, encodings: &[CompressionEncoding], config: &Export) -> Self {
        let metrics = Arc::new(Metrics::default());
        let channel = collector.listen(encodings);
        let queue = Queue::new(&metrics, MEMORY, |journal, books| ship::spawn_on(&channel, config, 0, journal, books));
        Self { collector, queue: Some(queue), metrics, offered: 0 }
    }

    fn offer(&mut self, request: Request) {
        self.offered += request.records;
        self.queue.as_ref().unwrap().offer(request);
    }

    /// Offers three records.
    fn offer_three(&mut self) {
        self.offer(request(self.offered + 1, 3, 20));
    }

    async fn drain(mut self, deadline: Instant) -> Self {
        self.queue.take().unwrap().drain(deadline).await;
        self
    }

    async fn settled(&self) {
        until("all are settled", || settled(&self.metrics) == self.offered).await;
    }

    /// Every record is in one account, and these are the accounts.
    #[track_caller]
    fn check(&self, delivered: u64, dropped: &[(Dropped, u64)]) {
        assert_eq!(self.metrics.delivered.get(), delivered);
        for reason in Dropped::ALL {
            let expected = dropped.iter().find(|(of, _)| *of == reason).map_or(0, |(_, count)| *count);
            assert_eq!(self.metrics.dropped(reason).get(), expected, "{reason:?}");
        }
        assert_eq!(settled(&self.metrics), self.offered);
    }
}

/// Waits for a condition; where time is paused, that takes none. Fails where it does not come true within an hour.
async fn until(what: &str, condition: impl Fn() -> bool) {
    let met = async {
        while !condition() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(timeout(Duration::from_secs(3600), met).await.is_ok(), "in vain: {what}");
}

fn bench(script: impl Fn(usize) -> Answer + Send + Sync + 'static) -> Bench {
    Bench::new(Collector::new(move |call, _| script(call)), &[Gzip, Zstd], &config())
}

#[tokio::test(start_paused = true)]
async fn acknowledged() {
    let mut config = config();
    let mut secret = http::HeaderValue::from_static("Bearer secret");
    secret.set_sensitive(true);
    config.headers = vec![(http::header::AUTHORIZATION, secret)];
    let mut bench = Bench::new(Collector::new(|_, _| Answer::Ok), &[Gzip, Zstd], &config);
    assert!(!bench.metrics.health.export.get());
    bench.offer_three();
    bench.offer(request(4, 1000, 50));
    bench.settled().await;
    bench.check(1003, &[]);
    assert!(bench.metrics.health.export.get());
    assert!((1..=1003).eq(bench.collector.taken().into_keys()));
    let calls = bench.collector.calls();
    assert!(calls.iter().all(|call| call.encoding == "zstd" && call.header.as_deref() == Some("Bearer secret")));
    assert_eq!(bench.metrics.export_retries.get(), 0);
    assert!((1..100_000).contains(&bench.metrics.exported_bytes.get()), "compressed");
}

#[tokio::test(start_paused = true)]
async fn unavailable_for_a_while() {
    let mut bench = bench(|call| if call < 3 { Answer::Refuse(Status::unavailable("queue full")) } else { Answer::Ok });
    bench.offer_three();
    until("a first attempt", || bench.metrics.export_retries.get() == 1).await;
    assert!(!bench.metrics.health.export.get());
    bench.settled().await;
    bench.check(3, &[]);
    assert!(bench.metrics.health.export.get());
    assert_eq!(bench.metrics.export_retries.get(), 3);
    let calls = bench.collector.calls();
    let waits: Vec<_> = calls.windows(2).map(|pair| (pair[1].at - pair[0].at).as_millis()).collect();
    for (wait, most) in waits.iter().zip([500, 1000, 2000]) {
        assert!((most / 2..most + 50).contains(wait), "{waits:?}");
    }
}

/// A status with `google.rpc.RetryInfo` of 42 s, written by hand: code and message are not looked at.
fn with_retry_info(code: Code) -> Status {
    let mut any = b"\x0a\x28type.googleapis.com/google.rpc.RetryInfo\x12\x04\x0a\x02\x08\x2a".to_vec();
    let mut details = vec![0x08, code as u8, 0x1a, any.len() as u8];
    details.append(&mut any);
    Status::with_details(code, "later", details.into())
}

#[tokio::test(start_paused = true)]
async fn the_receiver_says_when() {
    for code in [Code::Unavailable, Code::ResourceExhausted] {
        let mut bench = bench(move |call| if call == 0 { Answer::Refuse(with_retry_info(code)) } else { Answer::Ok });
        bench.offer_three();
        bench.settled().await;
        bench.check(3, &[]);
        let calls = bench.collector.calls();
        assert_eq!(calls.len(), 2);
        assert_eq!((calls[1].at - calls[0].at).as_secs(), 42, "{code:?}");
        assert_eq!(calls[0].records, calls[1].records, "not halved");
    }
}

#[tokio::test(start_paused = true)]
async fn too_large_is_halved_until_it_fits() {
    let collector = Collector::new(|_, request| {
        let fits = request.encoded_len() <= 20_000;
        if fits { Answer::Ok } else { Answer::Refuse(Status::resource_exhausted("larger than max")) }
    });
    let mut bench = Bench::new(collector, &[Gzip, Zstd], &config());
    bench.offer(request(1, 500, 30));
    // One of these records is too large even alone.
    let mut large = request(501, 1, 30_000);
    let small = request(502, 5, 30);
    large.body = [large.body, small.body].concat().into();
    large.records += small.records;
    bench.offer(large);
    bench.settled().await;
    bench.check(505, &[(Dropped::Rejected, 1)]);
    let taken = bench.collector.taken();
    assert!((1..=506).filter(|sequence| *sequence != 501).eq(taken.keys().copied()));
    assert!(taken.values().all(|times| *times == 1), "none twice");
    assert!(bench.collector.calls().len() < 60, "halved, not sent one by one");
}

#[tokio::test(start_paused = true)]
async fn compression_falls_back_and_that_is_remembered() {
    for (known, expected) in [(&[Gzip][..], "gzip"), (&[], "identity")] {
        let mut bench = Bench::new(Collector::new(|_, _| Answer::Ok), known, &config());
        bench.offer_three();
        bench.settled().await;
        let tried = bench.metrics.export_retries.get();
        for _ in 0..5 {
            bench.offer_three();
            bench.settled().await;
        }
        bench.check(18, &[]);
        assert_eq!(bench.metrics.export_retries.get(), tried, "asked once, not each time");
        assert!(bench.metrics.health.export.get());
        assert!(bench.collector.calls().iter().all(|call| call.encoding == expected));
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_connection_is_asked_again() {
    let mut bench = bench(|call| match call {
        0 | 2 => Answer::Refuse(Status::unimplemented("no such compression")),
        4 => Answer::Reset,
        _ => Answer::Ok,
    });
    for _ in 0..3 {
        bench.offer_three();
        bench.settled().await;
    }
    bench.check(9, &[]);
    let encodings: Vec<_> = bench.collector.calls().into_iter().map(|call| call.encoding).collect();
    assert_eq!(encodings, ["zstd", "gzip", "gzip", "identity", "identity", "zstd"]);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_has_to_mend_is_waited_for() {
    for (code, asked) in [(Code::Unimplemented, 3), (Code::Unauthenticated, 1), (Code::PermissionDenied, 1)] {
        let refused = move |call| call < asked + 2;
        let mut bench =
            bench(move |call| if refused(call) { Answer::Refuse(Status::new(code, "no")) } else { Answer::Ok });
        bench.offer_three();
        until("the attempts", || bench.collector.calls().len() == asked).await;
        assert!(!bench.metrics.health.export.get());
        bench.settled().await;
        bench.check(3, &[]);
        let calls = bench.collector.calls();
        let wait = (calls[asked].at - calls[asked - 1].at).as_secs();
        assert!((15..=30).contains(&wait), "{code:?}: {wait}");
    }
}

#[tokio::test(start_paused = true)]
async fn partial_success_is_not_sent_again() {
    let mut bench = bench(|call| Answer::Partial([2, -5, 100][call]));
    for _ in 0..3 {
        bench.offer_three();
        bench.settled().await;
    }
    bench.check(1 + 3, &[(Dropped::Rejected, 2 + 3)]);
    assert_eq!(bench.collector.calls().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn silence_and_broken_connections_are_survived() {
    for script in [
        |call| if call == 0 { Answer::Hang } else { Answer::Ok },
        |call| if call < 2 { Answer::Reset } else { Answer::Ok },
    ] {
        let mut bench = bench(script);
        bench.offer_three();
        bench.settled().await;
        bench.check(3, &[]);
        assert!(bench.metrics.health.export.get());
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_has_a_deadline() {
    let mut bench = bench(|call| if call == 0 { Answer::Hang } else { Answer::Ok });
    bench.offer_three();
    bench.settled().await;
    let calls = bench.collector.calls();
    let wait = calls[1].at - calls[0].at;
    assert!((10_200..10_600).contains(&wait.as_millis()), "{wait:?}");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_tried_for_ever() {
    let mut bench = bench(|_| Answer::Refuse(Status::unavailable("never")));
    let start = Instant::now();
    bench.offer_three();
    bench.settled().await;
    bench.check(0, &[(Dropped::Expired, 3)]);
    assert!((600..611).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_not_there_fills_the_queue_and_is_waited_for() {
    let mut bench = bench(|_| Answer::Ok);
    bench.collector.set_up(false);
    for _ in 0..8 {
        bench.offer_three();
    }
    until("a first attempt", || bench.metrics.export_retries.get() > 0).await;
    bench.offer(request(1000, 1, MEMORY));
    let large = bench.offered + 1;
    bench.offer(request(large, 1, MEMORY / 2));
    assert!(!bench.metrics.health.export.get());
    bench.collector.set_up(true);
    bench.settled().await;
    bench.check(25, &[(Dropped::QueueFull, 1)]);
    // Again, after it was there.
    bench.collector.set_up(false);
    bench.offer_three();
    until("the failure is seen", || !bench.metrics.health.export.get()).await;
    bench.collector.set_up(true);
    bench.settled().await;
    bench.check(28, &[(Dropped::QueueFull, 1)]);
    assert!(bench.metrics.health.export.get());
}

#[tokio::test(start_paused = true)]
async fn draining_sends_what_is_left() {
    let mut bench = bench(|_| Answer::Ok);
    for _ in 0..8 {
        bench.offer_three();
    }
    let start = Instant::now();
    let bench = bench.drain(start + Duration::from_secs(5)).await;
    assert!(start.elapsed() < Duration::from_secs(1));
    assert_eq!(bench.metrics.delivered.get(), 24);
}

#[tokio::test(start_paused = true)]
async fn draining_does_not_sit_out_a_pause() {
    let mut bench = bench(|_| Answer::Ok);
    bench.collector.set_up(false);
    bench.offer_three();
    sleep(Duration::from_secs(100)).await;
    bench.collector.set_up(true);
    let start = Instant::now();
    let bench = bench.drain(start + Duration::from_secs(5)).await;
    bench.check(3, &[]);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_drained_is_counted() {
    let mut bench = bench(|call| if call == 0 { Answer::Ok } else { Answer::Hang });
    for _ in 0..8 {
        bench.offer_three();
    }
    let start = Instant::now();
    let bench = bench.drain(start + Duration::from_secs(5)).await;
    assert_eq!(start.elapsed().as_secs(), 5);
    bench.check(3, &[(Dropped::Shutdown, 21)]);
}

/// Everything at once: whatever happens, the books close, and nothing is delivered that did not arrive.
#[tokio::test(start_paused = true)]
async fn the_books_close() {
    let collector = Collector::new(|call, request| match call.wrapping_mul(2_654_435_761) >> 7 & 15 {
        0 => Answer::Refuse(Status::unavailable("full")),
        1 => Answer::Refuse(with_retry_info(Code::Unavailable)),
        2 => Answer::Refuse(Status::invalid_argument("no")),
        3 => Answer::Hang,
        4 => Answer::Reset,
        5 => Answer::Partial(1),
        6 if request.encoded_len() > 2000 => Answer::Refuse(Status::resource_exhausted("large")),
        7 => Answer::Refuse(Status::internal("broken")),
        _ => Answer::Ok,
    });
    let mut bench = Bench::new(collector, &[Gzip, Zstd], &config());
    for _ in 0..300 {
        bench.offer(request(bench.offered + 1, 10, 20));
        sleep(Duration::from_millis(700)).await;
    }
    let bench = bench.drain(Instant::now() + Duration::from_secs(30)).await;
    assert_eq!(settled(&bench.metrics), bench.offered);
    let refused = bench.metrics.dropped(Dropped::Rejected).get();
    assert!(bench.metrics.delivered.get() > 0 && refused > 0);
    assert!(bench.collector.taken().len() as u64 >= bench.metrics.delivered.get());
}
