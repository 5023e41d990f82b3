//! How full the ring buffer was.

use std::sync::atomic::{AtomicU64, Ordering};

use super::ring::HEADER;

/// Bytes of records in the ring buffer, their headers included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RingFill {
    /// Its size.
    pub size: u64,
    /// When it was emptied last.
    pub used: u64,
    /// The most that it was.
    pub peak: u64,
}

/// Written by who empties the ring, once each time; read from any thread.
#[derive(Debug)]
pub struct RingGauge {
    size: u64,
    used: AtomicU64,
    peak: AtomicU64,
}

impl RingGauge {
    pub(super) const fn new(size: u64) -> Self {
        Self { size, used: AtomicU64::new(0), peak: AtomicU64::new(0) }
    }

    /// What a record takes.
    pub(super) const fn taken_by(record: &[u8]) -> u64 {
        (HEADER + record.len()).next_multiple_of(HEADER) as u64
    }

    /// All that was there was so many bytes.
    pub(super) fn emptied(&self, bytes: u64) {
        self.used.store(bytes, Ordering::Relaxed);
        self.peak.fetch_max(bytes, Ordering::Relaxed);
    }

    /// As it is now.
    #[must_use]
    pub fn read(&self) -> RingFill {
        let (used, peak) = (self.used.load(Ordering::Relaxed), self.peak.load(Ordering::Relaxed));
        RingFill { size: self.size, used, peak }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_stays() {
        let gauge = RingGauge::new(4096);
        assert_eq!(gauge.read(), RingFill { size: 4096, used: 0, peak: 0 });
        let bytes = RingGauge::taken_by(&[0; 9]) + RingGauge::taken_by(&[0; 16]);
        assert_eq!(bytes, 24 + 24);
        gauge.emptied(bytes);
        gauge.emptied(8);
        assert_eq!(gauge.read(), RingFill { size: 4096, used: 8, peak: 48 });
    }
}
