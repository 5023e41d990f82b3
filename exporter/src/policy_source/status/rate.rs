//! How fast a count grows.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Over how long is averaged, and how often is looked: at most [`WINDOW`] / [`STEP`] + 2 looks are kept.
const WINDOW: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_secs(10);

/// What a count was lately.
#[derive(Debug, Default)]
pub(super) struct Rate(VecDeque<(Instant, u64)>);

impl Rate {
    /// Growth per minute in the last minute, or since the first look; nothing before that is ten seconds ago.
    pub(super) fn per_minute(&mut self, now: Instant, count: u64) -> Option<u64> {
        let looks = &mut self.0;
        if looks.back().is_none_or(|(at, _)| now.duration_since(*at) >= STEP) {
            looks.push_back((now, count));
        }
        while looks.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= WINDOW) {
            looks.pop_front();
        }
        let (first, before) = looks.front()?;
        let millis = now.duration_since(*first).as_millis() as u64;
        let grown = u128::from(count.saturating_sub(*before)) * 60_000;
        (millis >= STEP.as_millis() as u64).then(|| ((grown + u128::from(millis / 2)) / u128::from(millis)) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_minute_counts() {
        let (start, mut rate) = (Instant::now(), Rate::default());
        let mut at = |second, count| rate.per_minute(start + Duration::from_secs(second), count);
        assert_eq!([at(0, 100), at(9, 200)], [None, None]);
        assert_eq!([at(10, 102), at(20, 102)], [Some(12), Some(6)]);
        for second in 21..80 {
            at(second, 102);
        }
        assert_eq!(at(80, 102), Some(0), "what was more than a minute ago");
        for second in 81..200 {
            at(second, 102 + 5 * (second - 80));
        }
        assert_eq!(at(200, 702), Some(300));
        assert!(rate.0.len() <= 8, "{rate:?}");
    }
}
