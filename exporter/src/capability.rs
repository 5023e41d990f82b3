//! Capabilities that this process has.

use rustix::thread::{CapabilitySet, capabilities};

/// Capabilities without which no program loads, and which are missing, by the names that pod specs and capsh use with
/// `CAP_` in front. `CAP_SYS_ADMIN` stands for both (kernel/bpf/syscall.c, `bpf_capable` and `perfmon_capable`).
#[must_use]
pub fn missing() -> Vec<&'static str> {
    // The call has no reason to fail for the calling thread; if it does, the load says what is wrong.
    capabilities(None).map(|sets| missing_in(sets.effective)).unwrap_or_default()
}

fn missing_in(effective: CapabilitySet) -> Vec<&'static str> {
    if effective.contains(CapabilitySet::SYS_ADMIN) {
        return Vec::new();
    }
    let needed = [(CapabilitySet::BPF, "CAP_BPF"), (CapabilitySet::PERFMON, "CAP_PERFMON")];
    needed.into_iter().filter(|(capability, _)| !effective.contains(*capability)).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing() {
        let check = |effective, expected: &[&str]| assert_eq!(missing_in(effective), expected);
        check(CapabilitySet::empty(), &["CAP_BPF", "CAP_PERFMON"]);
        check(CapabilitySet::BPF, &["CAP_PERFMON"]);
        check(CapabilitySet::BPF | CapabilitySet::PERFMON, &[]);
        check(CapabilitySet::SYS_ADMIN, &[]);
        check(CapabilitySet::NET_ADMIN, &["CAP_BPF", "CAP_PERFMON"]);
    }
}
