//! The binary's command line: exit codes, messages, environment, generated files.

use std::process::{Command, Output, Stdio};

/// The binary in an empty environment but for these variables.
pub(crate) fn inotrail(args: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_inotrail"))
        .args(args)
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("start inotrail")
}

fn check(args: &[&str], variables: &[(&str, &str)], code: i32, message: &str) {
    let output = inotrail(args, variables);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?} {variables:?}: {errors}");
    let first = errors.lines().next().unwrap_or_default();
    assert!(first.contains(message), "{args:?} {variables:?}: {message:?} in {errors:?}");
    assert!(output.stdout.is_empty(), "{args:?}: nothing goes to stdout");
    assert!(!errors.contains("panicked"), "{errors}");
}

#[test]
fn wrong_command_lines_exit_with_64_and_say_what_to_do() {
    check(&["run", "--bogus"], &[], 64, "unexpected argument '--bogus'");
    check(&["trace", "--count", "0"], &[], 64, "'--count <N>'");
    check(&["run", "--endpoint", "collector"], &[], 64, "such as http://127.0.0.1:4317");
    check(
        &["run", "--endpoint", "http://x:4318/v1/logs"],
        &[],
        64,
        "leave it out of --endpoint, or say --protocol http/protobuf",
    );
    check(&["run", "--exclude-account", "loki"], &[], 64, "expected NAMESPACE/NAME");
    check(&["run", "--exclude-account", "audit/loki"], &[], 64, "--exclude-account needs the Kubernetes API");
    check(&["trace", "--path", "/etc/["], &[], 64, "unclosed character class");
    check(&["trace", "--for", "30"], &[], 64, "with a unit, such as 5ms, 30s or 1h");
    check(&["check", "--ring-size", "3MiB"], &[], 64, "a power of two");
    check(&["run", "--backend", "ebpf"], &[], 64, "invalid value 'ebpf'");
    check(&["run", "--ca-file", "/x"], &[], 64, "write --endpoint https://");
    check(&["run", "--client-cert", "/x"], &[], 64, "required arguments");
    check(&["run", "--endpoint", "file:x"], &[], 64, "such as file:///var/log/inotrail/records.jsonl");
    check(&["run", "--format", "json"], &[], 64, "write --endpoint file:///path or stdout:");
    for of_receivers in [["--ca-file", "/x"], ["--bearer-token-file", "/x"], ["--header", "a=1"]] {
        let flags = [&["run", "--endpoint", "file:///x"][..], &of_receivers].concat();
        check(&flags, &[], 64, "leave them out, and their variables, for a file or stdout");
    }
    check(&["run", "--rotate-keep", "0"], &[], 64, "expected 1 to 1000");
    check(&["run", "--rotate-size", "1KiB"], &[], 64, "expected 1MiB or more");
    check(&["trace", "--runtime", "none", "--runtime-socket", "/x"], &[], 64, "leave one of them out");
    check(&["check", "--log-level", "a=b=c"], &[], 64, "--log-level 'a=b=c': expected error, warn");
    check(&["man", "nope"], &[], 64, "there is no page 'nope'");
    check(&["run", "--header", "authorization"], &[], 64, "expected key=value");
    check(&["run", "--telemetry-endpoint", "collector"], &[], 64, "such as http://127.0.0.1:4317");
    check(&["run", "--telemetry-interval", "0s"], &[], 64, "with a unit, such as 5ms, 30s or 1h");
    check(&["run", "--telemetry-header", "x"], &[], 64, "expected key=value");
    check(&["run", "--telemetry-logs"], &[], 64, "of no use without --telemetry-endpoint");
    let metrics = |name| [(name, "http://x:4318/v1/metrics")];
    check(&["run"], &metrics("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"), 64, "--telemetry-endpoint is for OTLP over gRPC");
    check(&["run"], &[("OTEL_METRIC_EXPORT_INTERVAL", "soon")], 64, "--telemetry-interval");
    check(&["run"], &[("OTEL_SDK_DISABLED", "perhaps")], 64, "--telemetry-disabled");
}

#[test]
fn what_is_not_there_exits_with_1_and_says_what_to_do() {
    check(&["check", "--btf", "/no/such/btf"], &[], 1, "cannot read /no/such/btf given by --btf");
    check(
        &["run", "--runtime-socket", "/no/such.sock"],
        &[],
        1,
        "no container runtime's socket at /no/such.sock: start",
    );
    check(&["run", "--endpoint", "https://x:1", "--ca-file", "/no/such.pem"], &[], 1, "name a readable PEM file");
    check(
        &["run", "--runtime", "none", "--listen", "127.0.0.1:0", "--endpoint", "file:///no/such/records.jsonl"],
        &[],
        1,
        "cannot write to file:///no/such/records.jsonl: No such file or directory (os error 2); name a file",
    );
}

#[test]
fn the_environment_counts_less_than_flags_and_is_checked_the_same() {
    let wrong = "nonsense";
    check(&["run"], &[("INOTRAIL_ENDPOINT", wrong)], 64, "invalid value 'nonsense' for '--endpoint <URL>'");
    check(&["run"], &[("OTEL_EXPORTER_OTLP_ENDPOINT", wrong)], 64, "'--endpoint <URL>'");
    check(&["run"], &[("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "-1")], 64, "'--timeout <DURATION>'");
    check(&["run"], &[("OTEL_EXPORTER_OTLP_HEADERS", "a=1,b")], 64, "'--header <KEY=VALUE>'");
    check(&["run"], &[("INOTRAIL_HOST", "perhaps")], 64, "'--host'");
    // What follows is right, so that only the missing socket is left to complain about.
    let socket = ["run", "--runtime-socket", "/no/such.sock"];
    let named = "no container runtime's socket at /no/such.sock";
    let more = ["--endpoint", "http://x:1"];
    check(&[&socket[..], &more].concat(), &[("INOTRAIL_ENDPOINT", wrong)], 1, named);
    check(&socket, &[("INOTRAIL_ENDPOINT", ""), ("OTEL_EXPORTER_OTLP_ENDPOINT", "")], 1, named);
    let own_first = [("INOTRAIL_ENDPOINT", "http://x:1"), ("OTEL_EXPORTER_OTLP_ENDPOINT", wrong)];
    check(&socket, &own_first, 1, named);
    let logs_first = [("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://x:1"), ("OTEL_EXPORTER_OTLP_ENDPOINT", wrong)];
    check(&socket, &logs_first, 1, named);
    check(&socket, &[("OTEL_EXPORTER_OTLP_TIMEOUT", "10000"), ("INOTRAIL_HOST", "1")], 1, named);
    check(&["trace", "--runtime-socket", "/no/such.sock"], &[("INOTRAIL_COUNT", wrong)], 1, named);
}

#[test]
fn secrets_are_not_repeated() {
    let output = inotrail(&["run", "--help"], &[("INOTRAIL_HEADER", "authorization=hunter2")]);
    assert!(!String::from_utf8_lossy(&output.stdout).contains("hunter2"));
}

#[test]
fn help_and_version_are_no_errors() {
    for args in [&["--help"][..], &["run", "--help"], &["trace", "-h"], &["help", "check"]] {
        let output = inotrail(args, &[]);
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("Usage: inotrail"), "{args:?}");
    }
    let output = inotrail(&["--version"], &[]);
    let version = String::from_utf8(output.stdout).expect("UTF-8");
    let hash = version.trim_end().trim_end_matches(')').rsplit(':').next().unwrap_or_default();
    assert!(version.starts_with(concat!("inotrail ", env!("CARGO_PKG_VERSION"), " (revision ")), "{version}");
    assert!(hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{version}");
}

#[test]
fn manual_pages_and_completions_name_every_flag() {
    let printed = |args: &[&str]| String::from_utf8(inotrail(args, &[]).stdout).expect("UTF-8");
    assert!(printed(&["man"]).contains(".TH inotrail 1"));
    let page = printed(&["man", "trace"]);
    assert!(
        page.contains(".TH inotrail-trace 1") && page.contains("\\-\\-denied") && page.contains("\\-\\-log\\-level")
    );
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = printed(&["completions", shell]);
        assert!(script.contains("ring-size") && script.contains("denied"), "{shell}");
    }
}

#[test]
fn a_closed_stdout_is_no_error() {
    // The page is longer than what a pipe's reader takes before it goes.
    let command = format!("{} man run | head -c 1", env!("CARGO_BIN_EXE_inotrail"));
    let script = format!("set -o pipefail; {command} >/dev/null");
    let output = Command::new("bash").args(["-c", &script]).output().expect("start bash");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}
