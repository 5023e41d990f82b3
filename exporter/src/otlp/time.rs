//! Times as text.

/// ISO 8601 in UTC with milliseconds (`2026-11-21T07:04:55.123Z`), of nanoseconds since the Unix epoch.
pub(super) fn iso8601(unix_ns: u64) -> [u8; 24] {
    let (ms, seconds) = (unix_ns / 1_000_000 % 1000, unix_ns / 1_000_000_000);
    let (year, month, day) = civil(seconds / 86_400);
    let mut out = *b"0000-00-00T00:00:00.000Z";
    put(&mut out[0..4], year);
    put(&mut out[5..7], month);
    put(&mut out[8..10], day);
    put(&mut out[11..13], seconds / 3600 % 24);
    put(&mut out[14..16], seconds / 60 % 60);
    put(&mut out[17..19], seconds % 60);
    put(&mut out[20..23], ms);
    out
}

/// Year, month and day of the proleptic Gregorian calendar, of days since the Unix epoch.
///
/// Years are counted from March, so that the leap day is the last of its year: every month then starts at a fixed day,
/// the whole part of 30.6 days times the month, and a cycle of 400 years has 146,097 days.
fn civil(days: u64) -> (u64, u64, u64) {
    // 0000-03-01 is 719,468 days before the epoch.
    let days = days + 719_468;
    let (cycle, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (400 * cycle + year + carry, month, day)
}

/// Writes a number with leading zeros.
fn put(out: &mut [u8], mut value: u64) {
    for digit in out.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn check(unix_ns: u64, expected: &str) {
        assert_eq!(str::from_utf8(&iso8601(unix_ns)).unwrap(), expected);
    }

    #[test]
    fn times() {
        check(0, "1970-01-01T00:00:00.000Z");
        check(1_795_244_695_123_999_999, "2026-11-21T07:04:55.123Z");
        check(951_782_399_999_000_000, "2000-02-28T23:59:59.999Z");
        check(u64::MAX, "2554-07-21T23:34:33.709Z");
    }

    #[test]
    fn every_day_until_2262() {
        for day in 0..(i64::MAX / 86_400_000_000_000) {
            let at = Timestamp::from_second(day * 86_400 + 12_345).unwrap();
            check(at.as_nanosecond() as u64, &format!("{at:.3}"));
        }
    }
}
