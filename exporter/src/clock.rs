//! From the kernel's clock to calendar time.

use std::sync::OnceLock;

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

/// Between two measurements, while the calendar is only slewed.
const REFRESH_NS: u64 = 1_000_000_000;
/// What a calendar that is only slewed cannot have gone ahead or fallen behind since the last measurement: it was set.
const STEP_NS: u64 = 100_000_000;

impl Clock {
    /// Measures.
    #[must_use]
    pub fn now() -> Self {
        let boottime = nanoseconds(ClockId::Boottime);
        let boot_ns = unix_now().saturating_sub(boottime);
        Self { boot_ns, first_boot_ns: boot_ns, measured_at: boottime }
    }

    /// Measures again if the last time is long ago, or the calendar was set.
    pub fn refresh(&mut self) {
        let now = Self::now();
        let is_old = now.measured_at.saturating_sub(self.measured_at) >= REFRESH_NS;
        if is_old || now.boot_ns.abs_diff(self.boot_ns) >= STEP_NS {
            *self = Self { first_boot_ns: self.first_boot_ns, ..now };
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

/// Nanoseconds, by a clock that takes no step and goes on while the system sleeps: Unix time when it was first asked, and
/// what a calendar would say from then on that nobody sets.
#[must_use]
pub fn steady_now() -> u64 {
    static START: OnceLock<Clock> = OnceLock::new();
    START.get_or_init(Clock::now).unix(nanoseconds(ClockId::Boottime))
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
    fn a_step_shows_at_once() {
        let now = Clock::now();
        let of = |boot_ns| Clock { boot_ns, ..now };
        for mut clock in [of(now.boot_ns + 3_600_000_000_000), of(now.boot_ns - 200_000_000)] {
            clock.refresh();
            assert!(clock.boot_ns.abs_diff(now.boot_ns) < STEP_NS, "{clock:?}");
        }
        let mut slewed = of(now.boot_ns - 50_000_000);
        slewed.refresh();
        assert_eq!(slewed.boot_ns, now.boot_ns - 50_000_000, "as measured");
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
