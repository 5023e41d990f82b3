//! What the README's first command shows. Needs root.

use std::process::Command;

/// A person should see each access while it is still news.
const SECONDS: u64 = 2;

#[test]
fn the_demo_names_the_container() {
    let output = Command::new(env!("CARGO_BIN_EXE_e2e")).arg("demo").output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{shown}\n{said}");
    let all = [
        ("open r", "ok", "/etc/passwd"),
        ("create w", "ok", "/tmp/greeting"),
        ("open w", "ok", "/tmp/greeting"),
        ("open r", "EACCES", "/etc/shadow"),
        ("execute", "ok", "/bin/date"),
    ];
    for (access, result, path) in all {
        let is_it = |line: &&str| {
            line.contains(" demo/web-7d4b9/web ") && line.contains(&format!(" {access} ")) && {
                let mut words = line.split_whitespace();
                words.any(|word| word == result) && words.next() == Some(path)
            }
        };
        let line = shown.lines().find(is_it).unwrap_or_else(|| panic!("no {access} {path} in\n{shown}"));
        let milliseconds: u64 =
            line.strip_suffix(" ms").and_then(|line| line.rsplit(' ').next()).unwrap().parse().unwrap();
        assert!(milliseconds < SECONDS * 1000, "{line}");
    }
    assert!(shown.contains("all 5 accesses"), "{shown}");
}
