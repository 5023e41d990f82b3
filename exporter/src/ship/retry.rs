//! What to do after a failure (opentelemetry-proto's docs/specification.md, "OTLP/gRPC Response", "Throttling").

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tonic::Code;

use super::grpc::Failure;

/// First delay, doubled with each failure.
const FIRST: Duration = Duration::from_millis(500);
/// Longest delay that we choose ourselves.
const LONGEST: Duration = Duration::from_secs(30);
/// Longest delay while shutting down: what the receiver could still take is worth a look.
const CLOSING: Duration = Duration::from_millis(250);

/// What to do with the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Send it again, not before the delay that the receiver asked for.
    Retry(Option<Duration>),
    /// Somebody has to mend something first: send it again, seldom.
    Pause,
    /// Send it again, compressed otherwise; if all that fails, nobody is there who takes logs.
    Recompress,
    /// It may be too large: send its halves; a single record is refused.
    Split,
    /// It is refused for good.
    Reject,
    /// It cannot be sent at all.
    Damaged,
}

/// The verdict on a failure: the specification's (OTLP 1.10, "Failures"), but for what the README's table names.
pub(super) fn verdict(failure: &Failure) -> Verdict {
    match failure {
        Failure::Connection(_) => Verdict::Retry(None),
        Failure::Status(status) => of_grpc(status.code, status.retry_after),
        // So answers a Collector that was told to take other compressions (confighttp).
        Failure::Http(answer) if answer.status == 400 && answer.is_about_encoding() => Verdict::Recompress,
        Failure::Http(answer) => of_http(answer.status, answer.retry_after),
        Failure::Token(_) => Verdict::Pause,
        Failure::Damaged => Verdict::Damaged,
    }
}

fn of_grpc(code: Code, retry_after: Option<Duration>) -> Verdict {
    match code {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => Verdict::Retry(retry_after),
        // With a delay it is a quota, without one it is most often the receiver's limit of a message.
        Code::ResourceExhausted if retry_after.is_some() => Verdict::Retry(retry_after),
        Code::ResourceExhausted => Verdict::Split,
        Code::Unimplemented => Verdict::Recompress,
        Code::Unauthenticated | Code::PermissionDenied => Verdict::Pause,
        _ => Verdict::Reject,
    }
}

fn of_http(status: u16, retry_after: Option<Duration>) -> Verdict {
    match status {
        408 | 429 | 502 | 503 | 504 => Verdict::Retry(retry_after),
        413 => Verdict::Split,
        415 => Verdict::Recompress,
        // Another address, or another token.
        300..=399 | 401 | 403 | 404 | 405 | 407 => Verdict::Pause,
        _ => Verdict::Reject,
    }
}

/// Delays between the attempts of one request.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The next delay: doubled with each failure, a random half of it taken off so that exporters do not come back all
    /// at once, and not below what the receiver asked for.
    pub(super) fn next(&mut self, asked: Option<Duration>, closing: bool) -> Duration {
        let delay = FIRST.saturating_mul(1 << self.failures.min(10)).min(LONGEST);
        self.failures += 1;
        let delay = if closing { delay.min(CLOSING) } else { delay };
        // Every RandomState has keys of its own.
        let random = RandomState::new().hash_one(self.failures) as u32;
        let delay = delay.mul_f64(1.0 - f64::from(random) / f64::from(u32::MAX) / 2.0);
        asked.map_or(delay, |asked| asked.max(delay))
    }

    /// The delay where somebody has to mend something, a random half taken off as well.
    pub(super) fn longest(&mut self, closing: bool) -> Duration {
        self.failures = u32::MAX / 2;
        self.next(None, closing)
    }
}

#[cfg(test)]
mod tests {
    use super::super::status::Status;
    use super::*;

    #[test]
    fn verdicts() {
        let check = |code, retry_after, expected| {
            let status = Status { code, message: String::new(), retry_after };
            assert_eq!(verdict(&Failure::Status(status)), expected, "{code:?}");
        };
        let asked = Some(Duration::from_secs(7));
        for code in [1, 4, 10, 11, 14, 15].map(Code::from_i32) {
            check(code, None, Verdict::Retry(None));
            check(code, asked, Verdict::Retry(asked));
        }
        check(Code::ResourceExhausted, asked, Verdict::Retry(asked));
        check(Code::ResourceExhausted, None, Verdict::Split);
        check(Code::Unimplemented, None, Verdict::Recompress);
        for code in [7, 16].map(Code::from_i32) {
            check(code, asked, Verdict::Pause);
        }
        for code in [2, 3, 5, 6, 9, 13].map(Code::from_i32) {
            check(code, asked, Verdict::Reject);
        }
        assert_eq!(verdict(&Failure::Connection(String::new())), Verdict::Retry(None));
    }

    /// The README's table "Failures" and this file say the same.
    #[test]
    fn readme() {
        let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).expect("README.md");
        let section = readme.split("### Failures").nth(1).expect("a section").split("\n#").next().expect("its text");
        let (mut rows, mut grpc) = (0, std::collections::BTreeSet::from([0]));
        for row in section.lines().filter_map(|line| line.strip_prefix("| ")) {
            let mut cells = row.split(" | ");
            let (answer, happens) = (cells.next().expect("an answer"), cells.next().expect("what happens"));
            let expected = |asked| match happens {
                "sent again" => Verdict::Retry(asked),
                "sent again, seldom" => Verdict::Pause,
                "`rejected`" => Verdict::Reject,
                "sent in halves, a single record `rejected`" => Verdict::Split,
                "sent again with gzip, then without compression, then seldom" => Verdict::Recompress,
                other => panic!("{other}"),
            };
            let numbers: Vec<u16> = answer.split([' ', ',']).filter_map(|word| word.parse().ok()).collect();
            let asked = answer.ends_with("with a delay").then_some(Duration::from_secs(3));
            for number in numbers.iter().filter(|number| !(answer.contains("encoding") && **number == 400)) {
                if answer.starts_with("HTTP") {
                    assert_eq!(of_http(*number, asked), expected(asked), "HTTP {number}");
                } else {
                    grpc.insert((*number).into());
                    assert_eq!(of_grpc(Code::from_i32((*number).into()), asked), expected(asked), "gRPC {number}");
                }
            }
            rows += usize::from(!numbers.is_empty());
        }
        assert_eq!((rows, grpc), (12, (0..=16).collect()));
    }

    #[test]
    fn delays() {
        let mut backoff = Backoff::default();
        for most in [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000] {
            let delay = backoff.next(None, false).as_millis();
            assert!((most / 2..=most).contains(&delay), "{delay} of {most}");
        }
        let asked = Some(Duration::from_secs(100));
        assert_eq!(backoff.next(asked, false), Duration::from_secs(100));
        assert_eq!(backoff.next(asked, true), Duration::from_secs(100));
        assert!(backoff.next(None, true) <= CLOSING);
        assert!(backoff.next(Some(Duration::ZERO), false) >= LONGEST / 2);
        let mut backoff = Backoff::default();
        assert!(backoff.longest(false) >= LONGEST / 2 && backoff.longest(false) <= LONGEST);
        assert!(backoff.longest(true) <= CLOSING);
    }

    #[test]
    fn delays_differ() {
        let delays: Vec<_> = (0..10).map(|_| Backoff::default().next(None, false)).collect();
        assert!(delays.iter().any(|delay| *delay != delays[0]));
    }
}
