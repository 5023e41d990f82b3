//! Each container's share of the way to the journal while that does not keep up: one that is noisy must not take the
//! others' room.

use crate::container::Container;

/// How long a share lasts.
const WINDOW_NS: u64 = 1_000_000_000;
/// Nobody gets less in a window: a shell session, a probe, a health check.
const LEAST: u64 = 100;

/// What a container may send in one window: all it has, until the journal is pressed; then half of what the noisiest has
/// sent, and half of that again with each window in which that does not help. Once it does, it is doubled until nobody needs it.
#[derive(Debug, Default)]
pub(super) struct Share {
    /// Number of the window, from 1.
    window: u64,
    since_ns: u64,
    /// Nothing: there is room for everything.
    limit: Option<u64>,
    /// The most that one container has asked for in this window.
    most: u64,
}

impl Share {
    /// Whether a container may still send so many accesses in this window.
    pub(super) fn allows(&mut self, container: &Container, count: u64) -> bool {
        let sent = container.sends(self.window, count);
        self.most = self.most.max(sent);
        self.limit.is_none_or(|limit| sent <= limit)
    }

    /// Begins the next window when it is time, or the clock went back.
    pub(super) fn drained(&mut self, now_ns: u64, is_pressed: impl FnOnce() -> bool) {
        if now_ns.checked_sub(self.since_ns).is_some_and(|age| age < WINDOW_NS) {
            return;
        }
        self.limit = match self.limit {
            _ if is_pressed() => Some((self.limit.unwrap_or(self.most) / 2).max(LEAST)),
            Some(limit) if self.most > limit => Some(limit.saturating_mul(2)),
            _ => None,
        };
        (self.since_ns, self.most) = (now_ns, 0);
        self.window += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_noisy_get_less_until_there_is_room() {
        let (noisy, quiet) = (Container::default(), Container::default());
        let mut share = Share::default();
        let mut second = 0;
        let mut next = |share: &mut Share, is_pressed: bool| {
            second += 1;
            share.drained(second * WINDOW_NS, || is_pressed);
            let noisy = (0..10_000).filter(|_| share.allows(&noisy, 1)).count();
            let quiet = (0..50).filter(|_| share.allows(&quiet, 1)).count();
            assert_eq!(quiet, 50);
            noisy
        };
        assert_eq!(next(&mut share, false), 10_000);
        for expected in [5_000, 2_500, 1_250, 625, 312, 156, 100, 100] {
            assert_eq!(next(&mut share, true), expected);
        }
        for expected in [200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000] {
            assert_eq!(next(&mut share, false), expected);
        }
        assert_eq!(share.limit, None);
    }

    #[test]
    fn a_window_lasts_until_its_end() {
        let container = Container::default();
        let mut share = Share::default();
        share.drained(WINDOW_NS, || false);
        assert!(share.allows(&container, 1_000));
        share.drained(2 * WINDOW_NS, || true);
        assert!(share.allows(&container, 500) && !share.allows(&container, 1));
        share.drained(3 * WINDOW_NS - 1, || panic!("not yet"));
        assert!(!share.allows(&container, 1));
        // The clock went back.
        share.drained(WINDOW_NS, || true);
        assert!(share.allows(&container, 250) && !share.allows(&container, 1));
    }
}
