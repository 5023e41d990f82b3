use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

static DEFAULT: LazyLock<Redaction> = LazyLock::new(|| with(&[]));

fn with(more: &[Glob]) -> Redaction {
    Redaction::new(more).unwrap()
}

/// Arguments of both are separated by `|`.
#[track_caller]
fn check(arguments: &str, expected: &str) {
    check_with(&[], arguments, expected);
}

#[track_caller]
fn check_with(patterns: &[&str], arguments: &str, expected: &str) {
    let globs: Vec<Glob> = patterns.iter().map(|text| pattern(text).unwrap()).collect();
    let list = arguments.replace('|', "\0") + "\0";
    let redacted = if globs.is_empty() { DEFAULT.apply(list.as_bytes()) } else { with(&globs).apply(list.as_bytes()) };
    assert_eq!(String::from_utf8(redacted).unwrap(), expected.replace('|', "\0") + "\0");
}

#[test]
fn values_of_names() {
    check("psql|--password=hunter2|-h|db", "psql|--password=***|-h|db");
    check("psql|--Password=two words|x", "psql|--Password=***|x");
    check("env|PGPASSWORD=a=b|DB_PASS=x|PATH=/bin", "env|PGPASSWORD=***|DB_PASS=***|PATH=/bin");
    check("x|AWS_SECRET_ACCESS_KEY=abc/d+e|aws_access_key_id=AK", "x|AWS_SECRET_ACCESS_KEY=***|aws_access_key_id=***");
    check("x|-client-secret=y|--passwordless|z", "x|-client-secret=***|--passwordless|***");
    check("x|--password=|y", "x|--password=|y");
    check("x|bypass=1|compass=2|--pass=3", "x|bypass=1|compass=2|--pass=***");
}

#[test]
fn values_behind_options() {
    check("x|--token|abc|next", "x|--token|***|next");
    check("x|-token|with spaces|next", "x|-token|***|next");
    check("x|--token||next", "x|--token||next");
    check("x|--token|--other|next", "x|--token|***|next");
    check("vault|token|lookup", "vault|token|lookup");
    check("x|--token", "x|--token");
    check("x|--token|--password|y|z", "x|--token|***|***|z");
}

#[test]
fn headers() {
    check("curl|-H|Authorization: Bearer abc.def|https://h", "curl|-H|Authorization: ***|https://h");
    check("curl|-H|X-Api-Key:abc", "curl|-H|X-Api-Key:***");
    check("curl|-b|x|--cookie|a=b", "curl|-b|x|--cookie|***");
    check("printf|Bearer abc def", "printf|Bearer *** def");
}

#[test]
fn users() {
    check("curl|-u|bob:secret:x|https://h", "curl|-u|bob:***|https://h");
    check("curl|--user|bob|https://h", "curl|--user|bob|https://h");
    check("sort|-u|file|a:b", "sort|-u|file|a:b");
    check("x|-u|--password=a:b", "x|-u|--password=***");
}

#[test]
fn scripts() {
    check("sh|-c|mysql --password=x db", "sh|-c|mysql --password=*** db");
    check("sh|-c|mysql --password x db", "sh|-c|mysql --password *** db");
    check("sh|-c|a; API_KEY=\"b c\" d", "sh|-c|a; API_KEY=*** d");
    check("sh|-c|a --token 'b c' d", "sh|-c|a --token *** d");
    check("sh|-c|curl -H \"Authorization: Bearer abc\" h", "sh|-c|curl -H \"Authorization: ***\" h");
    check("sh|-c|echo 'Bearer abc' >x", "sh|-c|echo 'Bearer *** >x");
    check("sh|-c|echo password: abc next", "sh|-c|echo password: *** next");
    check("sh|-c|\n  cat\t/etc/passwd  ", "sh|-c|\n  cat\t/etc/passwd  ");
    // What an argument starts with has all the rest of it as its value.
    check("sh|-c|PASSWORD=x run it", "sh|-c|PASSWORD=***");
}

#[test]
fn shapes() {
    check("git|clone|https://bob:s3cret@h/x.git", "git|clone|https://bob:***@h/x.git");
    check("x|amqp://h/a@b:c|postgres://u@h/db", "x|amqp://h/a@b:c|postgres://u@h/db");
    check("x|redis://:p@ss@h:1", "x|redis://:***@h:1");
    check("x|AKIAABCDEFGHIJKLMNOP|key:ASIAABCDEFGHIJKLMNOP,b", "x|***|key:***,b");
    check("x|AKIA|eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.sig", "x|AKIA|***");
    check("x|--id=ghp_0123456789abcdefghij", "x|--id=***");
    check("https://h/?a=1&access_token=abc&b=2", "https://h/?a=1&access_token=***");
}

#[test]
fn further_names() {
    check_with(&["pin", "x-*"], "a|--PIN=1|--pin|2|X-Key: 3|--ping=4", "a|--PIN=***|--pin|***|X-Key: ***|--ping=4");
    assert!(pattern("[").is_err());
}

proptest! {
    #[test]
    fn any_list_is_survived_and_keeps_its_count(list: Vec<u8>) {
        let redacted = DEFAULT.apply(&list);
        let count = |list: &[u8]| list.split(|byte| *byte == 0).count();
        prop_assert_eq!(count(&redacted), count(&list));
    }

    #[test]
    fn a_secret_of_any_bytes_is_gone(secret in "[b-z0-9 =:\"'/@-]{4,30}", before in "[ -~]{0,20}") {
        for list in [
            format!("{before}\0--password\0{secret}Q#\0"),
            format!("{before}\0--password={secret}Q#\0"),
            format!("{before}\0PASSWORD: {secret}Q#\0"),
        ] {
            let redacted = DEFAULT.apply(list.as_bytes());
            prop_assert!(!redacted.ends_with(b"Q#\0"), "{}", redacted.escape_ascii());
        }
    }
}
