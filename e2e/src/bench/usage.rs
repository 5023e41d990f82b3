//! What a process takes of the machine, by procfs.

use std::fs;

use anyhow::{Context as _, Result};

/// Seconds of processor time that a process has taken so far, in user space and in the kernel.
///
/// # Errors
/// It does not run.
pub(super) fn cpu_seconds(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    Ok(ticks(&stat).with_context(|| format!("{path}: {stat}"))? as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// The most memory that a process has had so far, in bytes.
///
/// # Errors
/// It does not run.
pub(super) fn peak_bytes(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    Ok(kilobytes.with_context(|| format!("{path}: {status}"))? * 1024)
}

/// `utime` and `stime`; the name before them may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11).map(str::parse::<u64>);
    Some(fields.next()?.ok()? + fields.next()?.ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_behind_any_name() {
        assert_eq!(ticks("1 (a) 7 (b) S 2 3 4 5 6 7 8 9 10 11 40 2 0 0 20 0"), Some(42));
        assert_eq!(ticks("1 (a) S 2"), None);
    }

    #[test]
    fn the_own_process_takes_memory() {
        assert!(peak_bytes(std::process::id()).unwrap() > 1 << 20);
        assert!(cpu_seconds(std::process::id()).unwrap() >= 0.0);
    }
}
