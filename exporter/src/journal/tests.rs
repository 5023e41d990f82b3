use futures_util::future::join_all;

use super::*;
use crate::metrics::{Metrics, Waiting};

const MIB: usize = 1 << 20;

struct Bench {
    journal: Journal,
    metrics: Metrics,
}

impl Bench {
    /// Destinations of these routes.
    fn new(routes: &[usize], memory: usize) -> Self {
        let metrics = Metrics::default();
        let recipient = |(number, route): (usize, &usize)| {
            let books = metrics.open_books(&format!("d{number}"));
            Recipient { books, route: *route, stream: *route as u64 }
        };
        let recipients = routes.iter().enumerate().map(recipient).collect();
        let config = JournalConfig { folder: None, memory, disk: 0, age: Duration::from_secs(3600) };
        Self { journal: Journal::open(&config, recipients, Uuid(1), &metrics, None).expect("a journal").0, metrics }
    }

    /// A request of noise, which does not become smaller by compression.
    fn offer(&self, lane: Lane, route: usize, bytes: usize, accesses: u64) {
        let mut state = accesses | 1;
        let noise = (0..bytes).map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        });
        self.journal.offer(lane, route, "", Request { body: noise.collect(), records: 1, accesses, told: 0 });
    }

    async fn next(&self, destination: usize, lanes: &'static [Lane]) -> (Lane, u64) {
        let taken = self.journal.next(destination, lanes).await.expect("a request");
        self.journal.settle(destination, &taken).await;
        (taken.lane, taken.entry.accesses)
    }

    async fn close(&self) {
        self.journal.close(Instant::now() + Duration::from_secs(9)).await;
    }

    fn lost(&self, destination: usize, reason: Dropped) -> (u64, u64) {
        self.metrics.health.export.all()[destination].dropped(reason)
    }
}

/// The task that has what was written outlive a power cut.
const SYNC: usize = 1;
const ANY: &[Lane] = &[Lane::Violation, Lane::Denied, Lane::Access];

#[tokio::test]
async fn each_route_gets_its_own_and_what_matters_most_comes_first() {
    let bench = Bench::new(&[0, 0, 1], 4 * MIB);
    bench.offer(Lane::Access, 0, 10, 1);
    bench.offer(Lane::Access, 1, 10, 2);
    bench.offer(Lane::Violation, 0, 10, 3);
    bench.close().await;
    for destination in [0, 1] {
        assert_eq!(bench.next(destination, ANY).await, (Lane::Violation, 3));
        assert_eq!(bench.next(destination, ANY).await, (Lane::Access, 1));
        assert!(bench.journal.next(destination, ANY).await.is_none());
    }
    assert!(bench.journal.next(2, &[Lane::Violation]).await.is_none());
    assert_eq!(bench.next(2, ANY).await, (Lane::Access, 2));
    bench.journal.finish().await;
    assert_eq!(bench.metrics.drops(), "0 dropped");
}

#[tokio::test]
async fn whoever_waits_is_woken() {
    let bench = Bench::new(&[0], MIB);
    let next = bench.next(0, ANY);
    let offer = async { bench.offer(Lane::Denied, 0, 10, 5) };
    assert_eq!(tokio::join!(next, offer).0, (Lane::Denied, 5));
    let next = bench.journal.next(0, ANY);
    let (none, ()) = tokio::join!(next, bench.close());
    assert!(none.is_none() && bench.journal.is_closed());
}

#[tokio::test]
async fn each_request_wakes_one() {
    let bench = Bench::new(&[0, 0], MIB);
    // It wakes all, should it find a request that nobody has taken yet.
    lock(&bench.journal.0.tasks)[SYNC].abort();
    let looks = || lock(&bench.journal.0.spools).looks;
    let workers: Vec<_> = [0, 0, 0, 1].map(|destination| bench.next(destination, ANY)).into();
    let (mut ended, ()) = tokio::join!(join_all(workers), async {
        // Those who wait look first whether an earlier run has left something: one of each destination for each lane.
        while looks() < 2 * ANY.len() {
            tokio::task::yield_now().await;
        }
        bench.offer(Lane::Access, 0, 10, 1);
        while looks() < 2 * ANY.len() + 2 {
            tokio::task::yield_now().await;
        }
        // Of both lanes at once: one is woken for each.
        bench.offer(Lane::Denied, 0, 10, 2);
        bench.offer(Lane::Access, 0, 10, 3);
    });
    ended.sort_by_key(|(_, accesses)| *accesses);
    assert_eq!(ended, [(Lane::Access, 1), (Lane::Access, 1), (Lane::Denied, 2), (Lane::Access, 3)]);
    assert_eq!(looks(), 2 * ANY.len() + 4);
}

#[tokio::test]
async fn whoever_takes_one_of_several_wakes_the_next() {
    let bench = Bench::new(&[0], MIB);
    for accesses in 1..=3 {
        bench.offer(Lane::Access, 0, 10, accesses);
    }
    let workers: Vec<_> = [0; 3].map(|destination| bench.next(destination, ANY)).into();
    let mut ended = join_all(workers).await;
    ended.sort_by_key(|(_, accesses)| *accesses);
    assert_eq!(ended, [1, 2, 3].map(|accesses| (Lane::Access, accesses)));
}

#[tokio::test]
async fn a_worker_that_is_wanted_no_more_leaves_what_came_to_the_next() {
    let bench = Bench::new(&[0], MIB);
    let (gone, goes) = tokio::sync::oneshot::channel();
    let first = bench.journal.next_unless(0, ANY, async { drop(goes.await) });
    let come = async {
        bench.offer(Lane::Access, 0, 10, 1);
        assert_eq!(gone.send(()), Ok(()));
    };
    let accesses = match tokio::join!(first, come).0 {
        Some(taken) => taken.entry.accesses,
        None => bench.next(0, ANY).await.1,
    };
    assert_eq!(accesses, 1);
}

#[tokio::test]
async fn a_route_is_behind_where_each_of_its_destinations_is() {
    let bench = Bench::new(&[0, 0, 1], MIB);
    let wait = |destination: usize, requests: u64| {
        bench.metrics.health.export.all()[destination].set_waiting(Waiting { requests, ..Waiting::default() });
    };
    let check = |expected: [bool; 2]| assert_eq!([0, 1].map(|route| bench.journal.is_behind(route)), expected);
    check([false, false]);
    wait(0, BEHIND + 1);
    check([false, false]);
    wait(1, BEHIND + 1);
    check([true, false]);
    wait(2, BEHIND);
    check([true, false]);
    wait(2, BEHIND + 1);
    wait(0, 0);
    check([false, true]);
}

#[tokio::test]
async fn what_has_no_room_is_counted() {
    let bench = Bench::new(&[0, 0], MIB);
    // Not written down yet: this thread has not let the writer run.
    bench.offer(Lane::Access, 0, MIB / 5, 1);
    bench.offer(Lane::Denied, 0, MIB / 5, 10);
    bench.offer(Lane::Denied, 0, MIB / 5, 100);
    bench.offer(Lane::Access, 0, MIB / 5, 1000);
    for destination in [0, 1] {
        assert_eq!(bench.lost(destination, Dropped::Shed), (1, 1));
        assert_eq!(bench.lost(destination, Dropped::QueueFull), (1000, 1));
    }
    assert!(bench.journal.is_pressed());
    bench.close().await;
    assert!(!bench.journal.is_pressed());
    assert_eq!(bench.next(0, ANY).await, (Lane::Denied, 10));
    bench.journal.finish().await;
    assert_eq!(bench.lost(0, Dropped::Shutdown), (100, 1));
    assert_eq!(bench.lost(1, Dropped::Shutdown), (110, 2));
    // The sums of both.
    assert_eq!(bench.metrics.drops(), "2212 dropped: queue_full 2000, shed 2, shutdown 210");
}

#[tokio::test]
async fn what_is_written_down_makes_room_too() {
    let bench = Bench::new(&[0], MIB);
    for (lane, accesses) in [(Lane::Violation, 1), (Lane::Access, 10), (Lane::Access, 100), (Lane::Denied, 1000)] {
        bench.offer(lane, 0, MIB / 5, accesses);
        // The room on the way is for two only.
        while lock(&bench.journal.0.inbox).is_pressed() {
            tokio::task::yield_now().await;
        }
    }
    bench.close().await;
    let left: Vec<_> = [bench.next(0, ANY).await, bench.next(0, ANY).await].into();
    assert_eq!(left, [(Lane::Violation, 1), (Lane::Denied, 1000)]);
    assert_eq!(bench.lost(0, Dropped::QueueFull), (110, 2));
}
