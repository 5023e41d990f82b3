//! Values with a unit, headers and tenants, as flags and variables write them.
//!
//! These are clap value parsers: the message ends up behind "invalid value '...' for '--flag <X>': ".

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use globset::{Glob, GlobBuilder};
use http::{HeaderName, HeaderValue};

use super::default::RESOLVE_TIMEOUT_MAX;

/// Longest name of a tenant: Loki's limit (pkg/tenant of dskit) is 150.
const TENANT_MAX: usize = 128;

/// Whose a record is, as flags say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tenancy {
    /// The pod's namespace.
    Namespace,
    /// The value of a label of the pod.
    Label(String),
    /// Always the same.
    Constant(String),
}

/// Parses `5ms`, `30s`, `1m30s`, `2h`: a number and a unit, and never a bare number.
///
/// # Errors
/// Not of that form, zero, or negative.
pub fn duration(text: &str) -> Result<Duration, String> {
    text.parse::<jiff::SignedDuration>()
        .ok()
        .and_then(|signed| Duration::try_from(signed).ok())
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "expected a number above 0 with a unit, such as 5ms, 30s or 1h".to_owned())
}

/// Like [`duration`], and at most [`RESOLVE_TIMEOUT_MAX`].
///
/// # Errors
/// As [`duration`], and where it is longer.
pub fn resolve_timeout(text: &str) -> Result<Duration, String> {
    duration(text).and_then(|it| {
        if it <= RESOLVE_TIMEOUT_MAX { Ok(it) } else { Err("expected at most 10s: events wait in memory".to_owned()) }
    })
}

/// For how long equal accesses are told in one record, as `--aggregate` says it; nothing: each is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window(pub Option<Duration>);

/// Like [`duration`], and from a second to an hour; or `none`.
///
/// # Errors
/// As [`duration`], and where it is shorter or longer.
pub fn window(text: &str) -> Result<Window, String> {
    const RANGE: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);
    if text == "none" {
        return Ok(Window(None));
    }
    let window = duration(text).ok().filter(|it| RANGE.contains(it));
    window.map(|it| Window(Some(it))).ok_or_else(|| "expected 1s to 1h, or none".to_owned())
}

/// Like [`duration`], and a bare number is milliseconds, as `OTEL_EXPORTER_OTLP_TIMEOUT` has it.
///
/// # Errors
/// As [`duration`].
pub fn timeout(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(millis) if millis > 0 => Ok(Duration::from_millis(millis)),
        _ => duration(text),
    }
}

/// Parses `65536`, `64KiB`, `16MiB`, `1GiB` into bytes.
///
/// # Errors
/// Not of that form, or too large for 64 bits.
pub fn bytes(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 4] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1)];
    let (digits, unit) =
        UNITS.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit))).unwrap_or((text, 1));
    let number: Option<u64> = digits.trim_end().parse().ok();
    number
        .and_then(|number| number.checked_mul(unit))
        .ok_or_else(|| "expected bytes, such as 65536, 64KiB or 16MiB".to_owned())
}

/// Size of the ring buffer: BPF takes a power of two that is a multiple of the page size (`ringbuf_map_alloc`,
/// kernel/bpf/ringbuf.c).
///
/// # Errors
/// Anything else, or out of 64 KiB (largest page size) to 1 GiB.
pub fn ring_size(text: &str) -> Result<u32, String> {
    let size = bytes(text)?;
    if (1 << 16..=1 << 30).contains(&size) && size.is_power_of_two() {
        return Ok(size as u32);
    }
    Err("expected a power of two from 64KiB to 1GiB, such as 16MiB".to_owned())
}

/// Most bytes of one export request before compression. Below a few KiB the Resource would dominate; above 3 MiB the event
/// that goes over it could make a request that receivers refuse ([`crate::batch::REQUEST_MAX`]).
///
/// # Errors
/// Anything else.
pub fn batch_bytes(text: &str) -> Result<usize, String> {
    let size = bytes(text)?;
    if (16 << 10..=3 << 20).contains(&size) {
        return Ok(size as usize);
    }
    Err("expected 16KiB to 3MiB: receivers refuse requests above 4MiB".to_owned())
}

/// Loki's address: its API is below it.
///
/// # Errors
/// No http or https URL.
pub fn loki(text: &str) -> Result<reqwest::Url, String> {
    let expected = "expected http://host:port or https://host:port, such as http://127.0.0.1:3100";
    let url: reqwest::Url = text.parse().map_err(|error| format!("{error}; {expected}"))?;
    if matches!(url.scheme(), "http" | "https") && url.has_host() { Ok(url) } else { Err(expected.to_owned()) }
}

/// A time, as nanoseconds since the Unix epoch.
///
/// # Errors
/// Not by RFC 3339, or out of what 64 bits hold.
pub fn time(text: &str) -> Result<u64, String> {
    let time = text.parse::<jiff::Timestamp>().ok().and_then(|time| u64::try_from(time.as_nanosecond()).ok());
    time.ok_or_else(|| "expected a time such as 2026-11-21T11:30:00Z".to_owned())
}

/// Memory for what waits: a size from 4MiB on, so that there is room for full requests.
///
/// # Errors
/// Anything else.
pub fn queue_size(text: &str) -> Result<usize, String> {
    let size = bytes(text)?;
    if (4 << 20..=4 << 30).contains(&size) {
        return Ok(size as usize);
    }
    Err("expected 4MiB to 4GiB".to_owned())
}

/// Room on disk for what waits: a size from 16MiB on, so that there is room for two segments.
///
/// # Errors
/// Anything else.
pub fn spool_size(text: &str) -> Result<u64, String> {
    let size = bytes(text)?;
    if size >= 16 << 20 { Ok(size) } else { Err("expected 16MiB or more".to_owned()) }
}

/// Bytes of a file of lines: from 1MiB on, so that it has room for a request.
///
/// # Errors
/// Anything else.
pub fn rotate_size(text: &str) -> Result<u64, String> {
    let size = bytes(text)?;
    if size >= 1 << 20 { Ok(size) } else { Err("expected 1MiB or more".to_owned()) }
}

/// Whose records are: `namespace`, `label:KEY` or `name:TENANT`.
///
/// # Errors
/// Anything else.
pub fn tenant(text: &str) -> Result<Tenancy, String> {
    match text.split_once(':') {
        None if text == "namespace" => Ok(Tenancy::Namespace),
        Some(("label", key)) if !key.is_empty() => Ok(Tenancy::Label(key.to_owned())),
        Some(("name", name)) => tenant_name(name).map(Tenancy::Constant),
        _ => Err("expected 'namespace', 'label:KEY' or 'name:TENANT'".to_owned()),
    }
}

/// A tenant's name as headers take it.
///
/// # Errors
/// Anything else.
pub fn tenant_name(text: &str) -> Result<String, String> {
    let is_right = (1..=TENANT_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_right { Ok(text.to_owned()) } else { Err(format!("expected 1 to {TENANT_MAX} visible ASCII characters")) }
}

/// One `key=value`, the value percent-encoded as in `OTEL_EXPORTER_OTLP_HEADERS` (`%2C` is a comma).
///
/// # Errors
/// No `=`, or a name or value that HTTP does not allow. Never repeats the value: it may be a secret.
pub fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (key, value) = text.split_once('=').ok_or("expected key=value")?;
    let name = key.trim().parse().map_err(|_| "the key is no header name".to_owned())?;
    let value = percent_decode(value.trim()).and_then(|bytes| HeaderValue::from_bytes(&bytes).ok());
    let mut value = value.ok_or("the value holds bytes that a header cannot, or a broken %XX")?;
    value.set_sensitive(true);
    Ok((name, value))
}

/// Nothing where a `%` has no two digits after it.
pub(super) fn percent_decode(text: &str) -> Option<Vec<u8>> {
    let mut parts = text.split('%');
    let mut decoded = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = (part.get(..2)?, part.get(2..)?);
        decoded.push(u8::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))?);
        decoded.extend_from_slice(rest.as_bytes());
    }
    Some(decoded)
}

/// Where the administration server listens.
///
/// # Errors
/// Not an IP address and a port.
pub fn listen(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "expected address:port, such as 127.0.0.1:9464 or [::]:9464".to_owned())
}

/// A cgroup as `/proc/PID/cgroup` names it: absolute below the hierarchy's root.
///
/// # Errors
/// Not absolute, or with `..`.
pub fn cgroup(text: &str) -> Result<PathBuf, String> {
    if text.starts_with('/') && text.split('/').all(|part| part != "..") {
        return Ok(text.into());
    }
    Err("expected a path below the hierarchy's root as /proc/PID/cgroup shows it, such as /kubepods.slice".to_owned())
}

/// A glob for whole paths: `*` and `?` stop at `/`, `**` does not. Without any `/` it is for the last component.
///
/// # Errors
/// Not a glob.
pub fn glob(text: &str) -> Result<Glob, String> {
    let pattern = if text.contains('/') { text.to_owned() } else { format!("**/{text}") };
    GlobBuilder::new(&pattern).literal_separator(true).build().map_err(|error| error.kind().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let check = |text, expected: Option<Duration>| assert_eq!(duration(text).ok(), expected, "{text}");
        check("5ms", Some(Duration::from_millis(5)));
        check("1m30s", Some(Duration::from_secs(90)));
        check("2h", Some(Duration::from_secs(7200)));
        check("30", None);
        check("0s", None);
        check("-5s", None);
        check("5s ago", None);
        check("soon", None);
        assert_eq!(timeout("10000"), Ok(Duration::from_secs(10)));
        assert_eq!(timeout("3s"), Ok(Duration::from_secs(3)));
        assert!(timeout("0").is_err());
        assert_eq!(resolve_timeout("10s"), Ok(Duration::from_secs(10)));
        let of = |seconds| Ok(Window(Some(Duration::from_secs(seconds))));
        assert_eq!((window("1s"), window("1h"), window("none")), (of(1), of(3600), Ok(Window(None))));
        assert!(window("999ms").is_err() && window("61m").is_err() && window("off").is_err());
        assert!(resolve_timeout("11s").is_err() && resolve_timeout("0s").is_err());
    }

    #[test]
    fn sizes() {
        let check = |text, expected: Option<u64>| assert_eq!(bytes(text).ok(), expected, "{text}");
        check("65536", Some(65536));
        check("64KiB", Some(65536));
        check("16 MiB", Some(16 << 20));
        check("1B", Some(1));
        check("16MB", None);
        check("MiB", None);
        check("-1", None);
        check("99999999999GiB", None);
        assert_eq!(ring_size("16MiB"), Ok(16 << 20));
        assert_eq!((rotate_size("1MiB"), rotate_size("1023KiB").is_err()), (Ok(1 << 20), true));
        for wrong in ["12MiB", "4KiB", "2GiB", "0"] {
            assert!(ring_size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn batches_fit_into_a_request_with_the_event_that_goes_over() {
        assert_eq!(batch_bytes("3MiB"), Ok(3 << 20));
        assert!(batch_bytes("3073KiB").is_err() && batch_bytes("1KiB").is_err());
        const { assert!(3 << 20 < crate::batch::REQUEST_MAX) };
    }

    #[test]
    fn headers() {
        let check = |text, expected: Option<(&str, &[u8])>| {
            let found = header(text).ok();
            let found = found.as_ref().map(|(name, value)| (name.as_str(), value.as_bytes()));
            assert_eq!(found, expected, "{text}");
        };
        check("X-Scope-OrgID=audit", Some(("x-scope-orgid", b"audit")));
        check("authorization=Basic%20YWJj==", Some(("authorization", b"Basic YWJj==")));
        check("a=1%2C2", Some(("a", b"1,2")));
        check("a=%", None);
        check("a=%zz", None);
        check("a=%+1", None);
        check("a=%e\u{20ac}", None);
        check("a=x%0Ay", None);
        check("no value", None);
        check("a b=c", None);
        assert!(header("key=secret\n").is_ok_and(|(_, value)| value.is_sensitive()));
    }

    #[test]
    fn globs() {
        let check = |pattern, path: &str, expected| {
            assert_eq!(glob(pattern).expect(pattern).compile_matcher().is_match(path), expected, "{pattern} {path}");
        };
        check("/etc/*", "/etc/passwd", true);
        check("/etc/*", "/etc/ssl/cert.pem", false);
        check("/etc/**", "/etc/ssl/cert.pem", true);
        check("*.pem", "/etc/ssl/cert.pem", true);
        check("/etc/{passwd,shadow}", "/etc/shadow", true);
        assert!(glob("/etc/[").is_err());
        assert!(glob("{a").is_err());
    }

    #[test]
    fn cgroups() {
        assert!(cgroup("/kubepods.slice/x").is_ok());
        assert!(cgroup("kubepods").is_err());
        assert!(cgroup("/a/../b").is_err());
    }
}
