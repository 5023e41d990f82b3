//! What a process takes, by procfs (proc(5)).

use std::fs;

use anyhow::{Context as _, Result};

/// Processor time of a process and all of its threads so far, in user space and in the kernel; exact to a hundredth.
///
/// # Errors
/// There is no such process.
pub fn cpu_seconds(pid: u32) -> Result<f64> {
    let file = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&file).with_context(|| format!("read {file}"))?;
    let ticks = ticks(&stat).with_context(|| format!("{file}: {stat}"))?;
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// Fields 14 and 15.
fn ticks(stat: &str) -> Option<u64> {
    // The name, field 2, is in parentheses and may have any in it.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let user: u64 = fields.nth(11)?.parse().ok()?;
    Some(user + fields.next()?.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 31 12 0 0 20 0 4 0 100 250000 4321 184467 1 1 0 0";
        assert_eq!(ticks(stat), Some(43));
        assert_eq!(ticks("7 (a) S 1"), None);
        assert!(cpu_seconds(std::process::id()).is_ok());
    }
}
