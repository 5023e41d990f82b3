//! The receiver is away, refuses, answers late, or takes less than it gets.

use std::time::{Duration, Instant};

use e2e::load::Opens;
use e2e::receiver::Answer;
use tonic::{Code, Status};

use super::{Bench, random};

#[test]
fn it_goes_away_and_refuses() {
    let mut bench = Bench::new("away");
    let exporter = bench.exporter(&[]);
    let mut load = bench.load(Opens { pause_ms: 1, ..Opens::new(4, 5_000) });
    let start = Instant::now();
    let mut away = true;
    bench.receiver.down();
    while load.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(700));
        away = !away;
        if away {
            bench.receiver.down();
        } else {
            bench.receiver.up().unwrap();
        }
        bench.receiver.refuse((start.elapsed().as_secs() % 2 == 1).then_some(Code::Unavailable));
    }
    if away {
        bench.receiver.up().unwrap();
    }
    bench.receiver.refuse(None);
    let received = bench.close(exporter, "complete");
    assert_eq!(received.lost(), 0, "there is room on disk");
}

/// Statuses that are no reason to wait for long, in any order, between answers of all other kinds.
#[test]
fn it_answers_anything() {
    const CODES: [Code; 13] = [
        Code::Cancelled,
        Code::Unknown,
        Code::InvalidArgument,
        Code::DeadlineExceeded,
        Code::NotFound,
        Code::AlreadyExists,
        Code::ResourceExhausted,
        Code::FailedPrecondition,
        Code::Aborted,
        Code::OutOfRange,
        Code::Internal,
        Code::Unavailable,
        Code::DataLoss,
    ];
    let mut bench = Bench::new("answers");
    let exporter = bench.exporter(&["--batch-records", "50", "--timeout", "1s"]);
    let mut state = u64::from(std::process::id());
    let mut codes = CODES.map(|code| Answer::Refuse(Status::new(code, "refused on purpose"))).to_vec();
    codes.extend([Answer::Late(Duration::from_secs(2)), Answer::Partial(7), Answer::Partial(1000)]);
    for _ in 0..2 {
        let mut left = codes.clone();
        while !left.is_empty() {
            let next = left.swap_remove(random(&mut state, left.len() as u64) as usize);
            bench.receiver.answer([next, Answer::Take]);
        }
    }
    while bench.receiver.answers_left() > 0 {
        bench.make(Opens { pause_ms: 1, ..Opens::new(4, 250) });
    }
    let received = bench.close(exporter, "complete");
    assert!(received.lost["rejected"] > 0 && received.lost.len() == 1, "{received:?}");
    assert!(received.again > 0, "what was answered too late came again");
}

#[test]
fn it_takes_small_messages_only() {
    let mut bench = Bench::new("limit");
    // A few records.
    bench.receiver.limit(16 << 10);
    bench.receiver.refuse(Some(Code::Unavailable));
    let exporter = bench.exporter(&[]);
    bench.make(Opens::new(4, 1_000));
    bench.receiver.refuse(None);
    let received = bench.close(exporter, "complete");
    assert_eq!((received.lost(), received.again), (0, 0));
}

/// Without a disk and with room for little, what waits longest is given up first, and every one is told.
#[test]
fn it_stays_away_for_too_long() {
    let mut bench = Bench::new("overflow");
    bench.receiver.down();
    let exporter = bench.exporter_to(&bench.receiver.endpoint(), &["--queue-size", "4MiB"]);
    bench.make(Opens::new(4, 60_000));
    bench.receiver.up().unwrap();
    let received = bench.close(exporter, "complete");
    assert!(received.lost["queue_full"] > 0 && received.accesses > 0, "{received:?}");
}
