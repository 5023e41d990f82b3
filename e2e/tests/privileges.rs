//! The sensor with exactly the capabilities that the README names, on this machine's own kernel. Needs root.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::process::Command;

/// Runs the sensor with these capabilities: whether it saw an access, and what it said.
fn see(held: &str) -> (bool, String) {
    let mut guest = Command::new(env!("CARGO_BIN_EXE_guest"));
    let output = guest.args(["limited", "see", "raw-tracepoint", "--hold", held]).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn two_capabilities_are_enough_and_each_is_needed() {
    let (success, text) = see("CAP_BPF,CAP_PERFMON");
    assert!(success, "{text}");
    let (success, text) = see("CAP_SYS_ADMIN");
    assert!(success, "{text}");
    for (held, missing) in [
        ("CAP_PERFMON", "missing CAP_BPF (to load programs and make maps): run as root"),
        ("CAP_BPF", "missing CAP_PERFMON (to let programs read the kernel's memory): run as root"),
        ("", "missing CAP_BPF (to load programs and make maps) and CAP_PERFMON ("),
    ] {
        let (success, text) = see(held);
        assert!(!success && text.contains(missing), "{held}: {text}");
    }
}
