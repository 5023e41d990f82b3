//! Calls that the kernel did not make: a program that is running on a CPU is not entered again there.

use std::fs;
use std::os::fd::{AsRawFd as _, OwnedFd};

use super::hook::Attached;

/// `recursion_misses` of a program: an upper bound of the accesses that it did not see. Nothing where the kernel does not
/// say (before 5.12). That a kernel says 0 does not mean that it counts: see [`misses`](super::backend::misses).
pub(super) fn of(program: &OwnedFd) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", program.as_raw_fd()));
    text.ok().and_then(|text| parse(&text))
}

/// Missed calls of the programs that report accesses; 0 where the kernel does not say.
pub(super) fn sum(attached: &[Attached]) -> u64 {
    attached.iter().filter(|it| it.hook.reports_accesses()).filter_map(|it| of(&it.program)).sum()
}

fn parse(fdinfo: &str) -> Option<u64> {
    fdinfo.lines().find_map(|line| line.strip_prefix("recursion_misses:"))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_fdinfo() {
        assert_eq!(parse("pos:\t0\nprog_type:\t26\nrecursion_misses:\t42\n"), Some(42));
        assert_eq!(parse("pos:\t0\nprog_type:\t26\n"), None);
    }
}
