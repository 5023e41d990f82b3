//! Whether the programs still report, asked every minute.

use std::time::{Duration, Instant};

use crate::loss::Outage;

/// Between two tests that went well.
const INTERVAL: Duration = Duration::from_secs(60);
/// Far longer than a record needs.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the test sees. All numbers only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sight {
    /// Times that the test's open was reported.
    pub(super) seen: u64,
    /// Times that the ring was read to its end.
    pub(super) drains: u64,
    /// Accesses that the ring had no room for.
    pub(super) ring_full: u64,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing.
    Wait,
    /// Open the file.
    Open,
    /// The programs do not report any more.
    Down(Outage),
    /// They do again.
    Up(Outage),
}

/// Where the test stands.
#[derive(Debug)]
pub(super) struct Watchdog {
    /// When the programs reported for certain, Unix time.
    good_ns: u64,
    next: Instant,
    opened: Option<Opened>,
    down: bool,
}

#[derive(Clone, Copy, Debug)]
struct Opened {
    at: Instant,
    at_ns: u64,
    before: Sight,
}

impl Watchdog {
    /// The programs report: they have just been tested.
    pub(super) const fn new(now: Instant, now_ns: u64) -> Self {
        Self { good_ns: now_ns, next: now, opened: None, down: false }
    }

    /// To be called every second.
    pub(super) fn step(&mut self, now: Instant, now_ns: u64, sight: Sight) -> Turn {
        let Some(opened) = self.opened else {
            if now < self.next {
                return Turn::Wait;
            }
            self.opened = Some(Opened { at: now, at_ns: now_ns, before: sight });
            return Turn::Open;
        };
        if sight.seen > opened.before.seen {
            (self.opened, self.next) = (None, now + INTERVAL);
            let start_ns = std::mem::replace(&mut self.good_ns, opened.at_ns);
            let was_down = std::mem::take(&mut self.down);
            return if was_down { Turn::Up(Outage { start_ns, end_ns: Some(opened.at_ns) }) } else { Turn::Wait };
        }
        if now.duration_since(opened.at) < PATIENCE {
            return Turn::Wait;
        }
        self.opened = None;
        // A full ring has no room for the test either, and a reader that stands still has not looked.
        let looked = sight.drains >= opened.before.drains + 2 && sight.ring_full == opened.before.ring_full;
        if !looked || std::mem::replace(&mut self.down, true) {
            return Turn::Wait;
        }
        Turn::Down(Outage { start_ns: self.good_ns, end_ns: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A second per step.
    struct Bench {
        watchdog: Watchdog,
        start: Instant,
        second: u64,
        sight: Sight,
    }

    impl Bench {
        fn new() -> Self {
            let start = Instant::now();
            Self { watchdog: Watchdog::new(start, 0), start, second: 0, sight: Sight::default() }
        }

        fn step(&mut self) -> Turn {
            self.second += 1;
            let now = self.start + Duration::from_secs(self.second);
            self.watchdog.step(now, self.second, self.sight)
        }

        /// Steps until something is to be done, the ring being read all the time: what, and when.
        fn next(&mut self) -> (u64, Turn) {
            loop {
                self.sight.drains += 100;
                let turn = self.step();
                assert!(self.second < 1000, "nothing happens");
                if turn != Turn::Wait {
                    return (self.second, turn);
                }
            }
        }
    }

    #[test]
    fn tests_every_minute_while_all_is_well() {
        let mut bench = Bench::new();
        assert_eq!(bench.next(), (1, Turn::Open));
        bench.sight.seen += 1;
        assert_eq!(bench.next(), (62, Turn::Open));
        bench.sight.seen += 1;
        assert_eq!(bench.next(), (123, Turn::Open));
    }

    #[test]
    fn says_from_when_to_when_nothing_was_reported() {
        let mut bench = Bench::new();
        bench.next();
        bench.sight.seen += 1;
        assert_eq!(bench.next(), (62, Turn::Open));
        assert_eq!(bench.next(), (67, Turn::Down(Outage { start_ns: 1, end_ns: None })));
        assert_eq!(bench.next(), (68, Turn::Open));
        assert_eq!(bench.next(), (74, Turn::Open), "said once");
        bench.sight.seen += 1;
        assert_eq!(bench.next(), (75, Turn::Up(Outage { start_ns: 1, end_ns: Some(74) })));
        assert_eq!(bench.next(), (135, Turn::Open));
    }

    #[test]
    fn a_full_ring_or_a_reader_that_stands_proves_nothing() {
        let mut bench = Bench::new();
        assert_eq!(bench.step(), Turn::Open);
        (0..20).for_each(|_| assert!(matches!(bench.step(), Turn::Wait | Turn::Open)));
        let mut bench = Bench::new();
        for _ in 0..20 {
            bench.sight.ring_full += 1;
            assert!(matches!(bench.next().1, Turn::Open));
        }
    }
}
