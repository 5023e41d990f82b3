//! Values with a unit, headers and addresses, as flags and variables write them.
//!
//! These are clap value parsers: the message ends up behind "invalid value '...' for '--flag <X>': ".

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use globset::{Glob, GlobBuilder};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderName, HeaderValue, Uri};

use super::default::RESOLVE_TIMEOUT_MAX;

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

/// The receiver's address: scheme, host and port, without a path, because gRPC has its own.
///
/// # Errors
/// Anything else.
pub fn endpoint(text: &str) -> Result<Uri, String> {
    let expected = "expected http://host:port or https://host:port, such as http://127.0.0.1:4317";
    let uri: Uri = text.parse().map_err(|error| format!("{error}; {expected}"))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) || !uri.authority().is_some_and(is_host_and_port) {
        return Err(expected.to_owned());
    }
    match uri.path_and_query().map(PathAndQuery::as_str) {
        None | Some("/" | "") => Ok(uri),
        Some(path) => Err(format!("OTLP over gRPC takes no path: leave out '{path}'")),
    }
}

/// A host, and a port or not. The type takes a port that is no number, and a user, which gRPC would not send.
fn is_host_and_port(authority: &Authority) -> bool {
    match authority.as_str().strip_prefix(authority.host()) {
        Some("") => !authority.host().is_empty(),
        Some(_) => !authority.host().is_empty() && authority.port_u16().is_some_and(|port| port > 0),
        None => false,
    }
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

fn percent_decode(text: &str) -> Option<Vec<u8>> {
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
    fn endpoints() {
        for right in ["http://127.0.0.1:4317", "https://otel.example.org", "http://[::1]:4317/"] {
            assert!(endpoint(right).is_ok(), "{right}");
        }
        for wrong in ["collector:4317", "collector", "ftp://x:1", "http://", "http://x:4318/v1/logs", "http://x:y", ""]
        {
            assert!(endpoint(wrong).is_err(), "{wrong}");
        }
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
