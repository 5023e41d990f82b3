//! What the exporter itself takes, by `/proc/self` (proc(5)).

use std::fs;

/// Processor time, memory and files of this process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Process {
    /// Seconds in user mode.
    pub user: f64,
    /// Seconds in the kernel.
    pub system: f64,
    /// Bytes of memory in use.
    pub resident: u64,
    /// Files that are open.
    pub files: u64,
}

impl Process {
    /// Reads it; nothing where procfs is not there.
    #[must_use]
    pub fn read() -> Option<Self> {
        let (user, system, pages) = parse(&fs::read_to_string("/proc/self/stat").ok()?)?;
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        Some(Self {
            user: user as f64 / ticks,
            system: system as f64 / ticks,
            resident: pages * rustix::param::page_size() as u64,
            // The folder itself is open while it is read.
            files: (fs::read_dir("/proc/self/fd").ok()?.count() as u64).saturating_sub(1),
        })
    }
}

/// Fields 14, 15 and 24 of `stat`: user and system time in ticks, and pages.
fn parse(stat: &str) -> Option<(u64, u64, u64)> {
    // The name, field 2, is in parentheses and may have any in it.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let user = fields.nth(11)?.parse().ok()?;
    let system = fields.next()?.parse().ok()?;
    Some((user, system, fields.nth(8)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 31 12 0 0 20 0 4 0 100 250000 4321 184467 1 1 0 0";
        assert_eq!(parse(stat), Some((31, 12, 4321)));
        assert_eq!(parse("7 (a) S 1"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn this_one() {
        let process = Process::read().expect("procfs");
        let status = fs::read_to_string("/proc/self/status").expect("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        // Both are exact to some pages per thread only.
        assert!(process.resident.abs_diff(kib << 10) < 8 << 20, "{process:?}, {kib} KiB");
        assert!(process.files >= 3 && process.user >= 0.0, "{process:?}");
    }
}
