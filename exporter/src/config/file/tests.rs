use super::super::choice::Form;
use super::super::{Lines, Run, command};
use super::*;
use crate::config::args::{Args, Command as Chosen};
use clap::FromArgMatches as _;

/// The checked configuration of `run` with a file and flags, or what is wrong.
fn run(text: &str, flags: &[&str]) -> Result<Run, String> {
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(&file, text).expect("write");
    let place = file.path().to_str().expect("a name");
    let arguments = [&["inotrail", "run", "--runtime", "none", "--config", place], flags].concat();
    let arguments: Vec<_> = arguments.into_iter().map(OsString::from).collect();
    let say = |error: Error| error.to_string().replace(place, "FILE");
    let command = with_file(command(), &arguments).map_err(say)?;
    let matches = command.try_get_matches_from(arguments).map_err(|error| error.to_string())?;
    let Chosen::Run(args) = Args::from_arg_matches(&matches).map_err(|error| error.to_string())?.command else {
        panic!("not run");
    };
    Run::try_from(*args).map_err(say)
}

#[track_caller]
fn check_wrong(text: &str, expected: &str) {
    let said = run(text, &[]).map(drop).expect_err(text);
    assert!(said.contains(expected), "{text:?}: {said}");
}

#[test]
fn flags_win() {
    let text = "timeout: 3s\nbatch-records: 7\nhost: true\nexclude-cgroup: [/a, /b]\nheader: 'a=1,b=2'\n";
    let of_file = run(text, &[]).expect("a file");
    let export = &of_file.shipping.destinations[0].export;
    assert_eq!((export.timeout.as_secs(), of_file.shipping.batch.records, of_file.scope.host), (3, 7, true));
    assert_eq!(of_file.scope.exclude, [Path::new("/a"), Path::new("/b")]);
    assert_eq!(export.headers.len(), 2);
    let flags = run(text, &["--timeout", "5s", "--exclude-cgroup", "/c"]).expect("a file and flags");
    assert_eq!(flags.shipping.destinations[0].export.timeout.as_secs(), 5);
    assert_eq!(flags.scope.exclude, [Path::new("/c")]);
    assert_eq!(run("", &[]).expect("an empty file").shipping.batch.records, 2000);
}

#[test]
fn several_destinations() {
    let text = "endpoint: http://unused:1\ndestinations:\n  loki: {endpoint: 'http://loki:3100', tenant: namespace}\n  \
                siem:\n    endpoint: https://siem:4317\n    header: [a=1, 'b=2']\n    export-kind: [violation, loss]\n    \
                export-namespace: ['prod-*', '!prod-test']\n    export-severity: high\n    max-age: 1h\n";
    let shipping = run(text, &[]).expect("destinations").shipping;
    assert_eq!(shipping.to_string(), "loki http://loki:3100/, siem https://siem:4317/");
    let [loki, siem] = &shipping.destinations[..] else { panic!("{shipping}") };
    assert_eq!(loki.export.tenant_header.as_ref().map(http::HeaderName::as_str), Some("x-scope-orgid"));
    assert!(loki.route.kinds.accesses && loki.export.headers.is_empty());
    assert!(!siem.route.kinds.accesses && siem.route.kinds.violations && siem.route.kinds.losses);
    assert!(siem.route.namespaces.matches(b"prod-1") && !siem.route.namespaces.matches(b"prod-test"));
    assert_eq!((siem.export.headers.len(), siem.export.tenant_header.is_none()), (2, true));
    assert_ne!(loki.route.stream(), siem.route.stream());
    // Kept for whoever takes the oldest.
    assert_eq!(shipping.journal.age.as_secs(), 24 * 3600);
}

#[test]
fn files_and_stdout() {
    let text = "destinations:\n  audit: {endpoint: 'file:///tmp/a.jsonl', rotate-size: 1MiB, rotate-keep: 9, in-flight: 3}\n  \
                pipe: {endpoint: 'stdout:', format: vector, tenant: namespace}\n";
    let shipping = run(text, &[]).expect("destinations").shipping;
    assert_eq!(shipping.to_string(), "audit file:///tmp/a.jsonl, pipe stdout:");
    let [audit, pipe] = &shipping.destinations[..] else { panic!("{shipping}") };
    assert_eq!(audit.export.lines, Lines { form: Form::OtlpJson, rotate_size: 1 << 20, rotate_keep: 9 });
    assert_eq!(pipe.export.lines, Lines { form: Form::Vector, rotate_size: 100 << 20, rotate_keep: 5 });
    assert_eq!((audit.export.in_flight, pipe.export.in_flight), (1, 1));
    let folder = tempfile::tempdir().expect("a folder");
    std::os::unix::fs::symlink(folder.path(), folder.path().join("link")).expect("a link");
    let folder = folder.path().to_str().expect("a name");
    for (first, second) in [
        ("stdout:", "stdout:".to_owned()),
        (&format!("file://{folder}/a"), format!("file://{folder}/link/../a").replace("/..", "/./")),
        ("file:///absent/a", "file:/absent/a".to_owned()),
    ] {
        let text = format!("destinations: {{a: {{endpoint: '{first}'}}, b: {{endpoint: '{second}'}}}}");
        check_wrong(&text, "--endpoint: a and b are both");
    }
}

#[test]
fn says_what_is_wrong() {
    check_wrong("timeuot: 3s", "FILE: timeuot: there is no such flag");
    check_wrong("config: x", "FILE: config: there is no such flag");
    check_wrong("timeout: [1s, 2s]", "FILE: timeout: expected a value");
    check_wrong("timeout: {a: 1}", "FILE: timeout: expected a value");
    check_wrong("timeout: soon", "invalid value 'soon' for '--timeout <DURATION>'");
    check_wrong("- a", "FILE: ");
    check_wrong("a: [", "FILE: ");
    check_wrong("destinations: {}", "FILE: destinations: expected 1 to 8");
    check_wrong("destinations: [a]", "FILE: destinations: expected 1 to 8");
    check_wrong("destinations: {A: {}}", "FILE: destinations.A: a name has 1 to 64 of a-z");
    check_wrong("destinations: {a: x}", "FILE: destinations.a: expected flags by their names");
    check_wrong("destinations: {a: {host: true}}", "FILE: destinations.a: unexpected argument '--host' found");
    check_wrong(
        "destinations: {a: {timeout: 0s}}",
        "FILE: destinations.a: invalid value '0s' for '--timeout <DURATION>'",
    );
    check_wrong("destinations: {a: {export-namespace: '[a'}}", "--export-namespace: it is not a glob");
    let absent = [OsString::from("inotrail"), "run".into(), "--config=/absent".into()];
    let said = with_file(command(), &absent).map(drop).expect_err("absent").to_string();
    assert!(said.starts_with("cannot read /absent given by --config: No such file"), "{said}");
}
