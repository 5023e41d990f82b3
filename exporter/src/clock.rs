//! From the kernel's clock to calendar time.

use rustix::time::{ClockId, clock_gettime};

/// The distance between `CLOCK_BOOTTIME`, which records carry, and the Unix epoch. The calendar may be set while we run,
/// so it is measured again now and then, and never for each event.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Unix time of boot, nanoseconds.
    boot_ns: u64,
    /// The same as first measured.
    first_boot_ns: u64,
    /// `CLOCK_BOOTTIME` of the last measurement, nanoseconds.
    measured_at: u64,
}

/// A step of the calendar shows in events after this time at most.
const REFRESH_NS: u64 = 1_000_000_000;

impl Clock {
    /// Measures.
    #[must_use]
    pub fn now() -> Self {
        let boottime = nanoseconds(ClockId::Boottime);
        let boot_ns = unix_now().saturating_sub(boottime);
        Self { boot_ns, first_boot_ns: boot_ns, measured_at: boottime }
    }

    /// Measures again if the last time is long ago.
    pub fn refresh(&mut self) {
        if nanoseconds(ClockId::Boottime).saturating_sub(self.measured_at) >= REFRESH_NS {
            *self = Self { first_boot_ns: self.first_boot_ns, ..Self::now() };
        }
    }

    /// Unix time of a `CLOCK_BOOTTIME` moment, both in nanoseconds; 0 (unknown) stays 0.
    #[must_use]
    pub const fn unix(&self, boottime_ns: u64) -> u64 {
        if boottime_ns == 0 { 0 } else { self.boot_ns + boottime_ns }
    }

    /// When a process started, as [`Self::unix`] of the first measurement: with its id it names the process, so it must
    /// read the same in every event, whatever the calendar does meanwhile.
    #[must_use]
    pub const fn process_start(&self, boottime_ns: u64) -> u64 {
        if boottime_ns == 0 { 0 } else { self.first_boot_ns + boottime_ns }
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
        assert_eq!((clock.unix(0), clock.process_start(0)), (0, 0));
    }

    #[test]
    fn a_process_start_never_moves() {
        let first = Clock::now();
        let mut clock = Clock { boot_ns: 5, measured_at: 0, ..first };
        clock.refresh();
        assert_ne!(clock.boot_ns, 5, "measured again");
        assert_eq!(clock.process_start(7), first.process_start(7));
    }
}
