//! What the README's demos show. Needs root.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// A person should see each access while it is still news.
const SECONDS: u64 = 2;

/// What it prints when it succeeds.
fn demo(arguments: &[&str]) -> String {
    // One at a time: the time that it takes is looked at.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let output = Command::new(env!("CARGO_BIN_EXE_e2e")).arg("demo").args(arguments).output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{shown}\n{said}");
    shown
}

#[test]
fn the_demo_names_the_container() {
    let shown = demo(&[]);
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

#[test]
fn the_stack_finds_the_access_by_path() {
    let shown = demo(&["--stack"]);
    assert!(shown.contains(r#"{k8s_namespace_name="demo"} | file_path="/etc/passwd""#), "{shown}");
    let value = |name: &str| {
        let mut rows = shown.lines().filter_map(|line| line.trim().split_once(' '));
        rows.find(|(found, _)| *found == name).map(|(_, value)| value.trim().to_owned())
    };
    assert_eq!(value("container_id").map(|id| id.len()), Some(64), "{shown}");
    assert_eq!(value("process_executable_path").as_deref(), Some("/bin/cat"), "{shown}");
    assert_eq!(value("inotrail_file_operation").as_deref(), Some("open"), "{shown}");
}
