//! Every status of gRPC, as the README's table of failures has it.

use super::*;

/// What becomes of three records that are answered once by a status, and then taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Sent again after 0.25 to 0.5 s.
    Again,
    /// Sent again after 15 to 30 s.
    Seldom,
    /// Sent again at once, by another compression.
    Recompressed,
    /// Sent again at once, in two.
    Halved,
    Rejected,
}

#[tokio::test(start_paused = true)]
async fn each_status() {
    use Fate::{Again, Halved, Recompressed, Rejected, Seldom};
    let fates = [
        Again,
        Rejected,
        Rejected,
        Again,
        Rejected,
        Rejected,
        Seldom,
        Halved,
        Rejected,
        Again,
        Again,
        Recompressed,
        Rejected,
        Again,
        Again,
        Seldom,
    ];
    for (number, expected) in (1..).zip(fates) {
        let code = Code::from_i32(number);
        let mut bench = bench(move |call| match call {
            0 => Answer::Refuse(Status::new(code, "no")),
            _ => Answer::Ok,
        });
        bench.offer_three();
        bench.settled().await;
        let calls = bench.collector.calls();
        let wait = calls.get(1).map_or(0, |second| (second.at - calls[0].at).as_millis());
        let found = match (calls.len(), wait, calls.last().unwrap().encoding.as_str()) {
            (1, ..) => Rejected,
            (2, 0..100, "gzip") => Recompressed,
            (2, 250..=550, "zstd") => Again,
            (2, 15_000..=30_100, "zstd") => Seldom,
            (3, 0..100, "zstd") => Halved,
            _ => panic!("{code:?}: {calls:?}"),
        };
        assert_eq!(found, expected, "{code:?}");
        let is_rejected = expected == Rejected;
        bench.check(if is_rejected { 0 } else { 3 }, &[(Dropped::Rejected, if is_rejected { 3 } else { 0 })]);
        assert_eq!(bench.metrics.health.export.get(), !is_rejected, "{code:?}");
    }
}
