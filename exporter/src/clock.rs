//! From the kernel's clock to calendar time.

use rustix::time::{ClockId, clock_gettime};

/// The distance between `CLOCK_BOOTTIME`, which records carry, and the Unix epoch. The calendar may be set while we run,
/// so it is measured again now and then, and never for each event.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Unix time of boot, nanoseconds.
    boot_ns: u64,
    measured_ns: u64,
}

/// A step of the calendar shows in events after this time at most.
const REFRESH_NS: u64 = 1_000_000_000;

impl Clock {
    /// Measures.
    #[must_use]
    pub fn now() -> Self {
        let boottime = nanoseconds(ClockId::Boottime);
        Self { boot_ns: unix_now().saturating_sub(boottime), measured_ns: boottime }
    }

    /// Measures again if the last time is long ago.
    pub fn refresh(&mut self) {
        if nanoseconds(ClockId::Boottime).saturating_sub(self.measured_ns) >= REFRESH_NS {
            *self = Self::now();
        }
    }

    /// Unix time of a `CLOCK_BOOTTIME` moment, both in nanoseconds; 0 (unknown) stays 0.
    #[must_use]
    pub const fn unix(&self, boottime_ns: u64) -> u64 {
        if boottime_ns == 0 { 0 } else { self.boot_ns + boottime_ns }
    }
}

/// Unix time, nanoseconds.
#[must_use]
pub fn unix_now() -> u64 {
    nanoseconds(ClockId::Realtime)
}

fn nanoseconds(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_boot_time_to_calendar_time() {
        let clock = Clock::now();
        let unix = clock.unix(nanoseconds(ClockId::Boottime));
        assert!(unix.abs_diff(unix_now()) < 1_000_000_000, "{unix}");
        assert_eq!(clock.unix(0), 0);
    }
}
