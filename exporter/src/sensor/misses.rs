//! Calls that the kernel did not make: a program that is running on a CPU is not entered again there.

use std::fs;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use aya::Ebpf;

/// Reads `recursion_misses` (since 5.12) of the attached programs: an upper bound of the accesses that were not seen.
#[derive(Clone, Debug)]
pub struct Misses {
    programs: Arc<[(&'static str, OwnedFd)]>,
}

impl Misses {
    pub(super) fn of(ebpf: &Ebpf, names: impl Iterator<Item = &'static str>) -> Self {
        let descriptor = |name: &'static str| {
            let program = ebpf.program(name)?;
            Some((name, program.fd().ok()?.as_fd().try_clone_to_owned().ok()?))
        };
        Self { programs: names.filter_map(descriptor).collect() }
    }

    /// Missed calls by program name; nothing for a program whose kernel has no such counter.
    pub fn read(&self) -> impl Iterator<Item = (&'static str, Option<u64>)> {
        use std::os::fd::AsRawFd as _;
        self.programs.iter().map(|(name, descriptor)| {
            let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", descriptor.as_raw_fd()));
            (*name, text.ok().and_then(|text| parse(&text)))
        })
    }

    /// Missed calls of the programs that report accesses.
    #[must_use]
    pub fn accesses(&self) -> Option<u64> {
        const HOOKS: [&str; 3] = ["fexit", "kprobe", "sys_exit"];
        let hooks = self.read().filter(|(name, _)| HOOKS.iter().any(|hook| name.starts_with(hook)));
        hooks.map(|(_, misses)| misses).sum()
    }
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
