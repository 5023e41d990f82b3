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
    /// Send it again, compressed otherwise; if all that fails it is refused.
    Recompress,
    /// It may be too large: send its halves; a single record is refused.
    Split,
    /// It is refused for good.
    Reject,
}

/// The verdict on a failure.
pub(super) fn verdict(failure: &Failure) -> Verdict {
    let Failure::Status(status) = failure else { return Verdict::Retry(None) };
    match status.code {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => Verdict::Retry(status.retry_after),
        // With a delay it is a quota, without one it is most often the receiver's limit of a message.
        Code::ResourceExhausted if status.retry_after.is_some() => Verdict::Retry(status.retry_after),
        Code::ResourceExhausted => Verdict::Split,
        Code::Unimplemented => Verdict::Recompress,
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
        for code in [2, 3, 5, 6, 7, 9, 13, 16].map(Code::from_i32) {
            check(code, asked, Verdict::Reject);
        }
        assert_eq!(verdict(&Failure::Connection(String::new())), Verdict::Retry(None));
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
    }

    #[test]
    fn delays_differ() {
        let delays: Vec<_> = (0..10).map(|_| Backoff::default().next(None, false)).collect();
        assert!(delays.iter().any(|delay| *delay != delays[0]));
    }
}
