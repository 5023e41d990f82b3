//! Where records go: a receiver of OTLP, a file, or stdout.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Component, PathBuf};
use std::str::FromStr;

use http::Uri;
use http::uri::Authority;

use super::parse::percent_decode;

/// What stands for stdout.
const STDOUT: &str = "stdout:";

/// Where records go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A receiver of OTLP: host and port, with a scheme (`http` or `https`) unless gRPC is spoken, and a path for HTTP.
    Receiver(Uri),
    /// Lines in a file: an absolute path.
    File(PathBuf),
    /// Lines on stdout.
    Stdout,
}

impl FromStr for Endpoint {
    type Err = String;

    /// Parses `http://host:port`, `host:port`, `file:///path` (RFC 8089) or `stdout:`. The error says what was expected.
    fn from_str(text: &str) -> Result<Self, String> {
        if text == STDOUT {
            return Ok(Self::Stdout);
        }
        if let Some(rest) = text.strip_prefix("file:") {
            return file(rest).map(Self::File);
        }
        receiver(text).map(Self::Receiver).map_err(|what| format!("{what}, or file:///path, or stdout:"))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Receiver(uri) => uri.fmt(f),
            Self::File(path) => write!(f, "file://{}", path.display()),
            Self::Stdout => f.write_str(STDOUT),
        }
    }
}

/// What follows `file:`, percent-encoded. Another host's files are not for us.
fn file(rest: &str) -> Result<PathBuf, String> {
    let path = match rest.strip_prefix("//") {
        Some(local) => local.strip_prefix("localhost").unwrap_or(local),
        None => rest,
    };
    let path = percent_decode(path).filter(|path| path.starts_with(b"/") && !path.contains(&0));
    let path = path.filter(|path| !path.starts_with(b"//") && !path.ends_with(b"/"));
    let path = path.map(|path| PathBuf::from(OsString::from_vec(path)));
    let is_plain = |path: &PathBuf| path.components().all(|part| part != Component::ParentDir) && !path.ends_with(".");
    let expected = "expected an absolute path of a file, such as file:///var/log/inotrail/records.jsonl";
    path.filter(is_plain).filter(|path| path.file_name().is_some()).ok_or_else(|| expected.to_owned())
}

/// A receiver of OTLP: see [`Endpoint::Receiver`].
///
/// # Errors
/// Anything else: what was expected.
pub fn receiver(text: &str) -> Result<Uri, String> {
    let expected = "expected http://host:port or https://host:port, such as http://127.0.0.1:4317";
    let uri: Uri = text.parse().map_err(|error| format!("{error}; {expected}"))?;
    // Without a scheme, only a port says that a word is an address.
    let is_scheme = match uri.scheme_str() {
        None => uri.port().is_some(),
        Some(scheme) => matches!(scheme, "http" | "https"),
    };
    if is_scheme && uri.authority().is_some_and(is_host_and_port) { Ok(uri) } else { Err(expected.to_owned()) }
}

/// A host, and a port or not. The type takes a port that is no number, and a user, which gRPC would not send.
fn is_host_and_port(authority: &Authority) -> bool {
    match authority.as_str().strip_prefix(authority.host()) {
        Some("") => !authority.host().is_empty(),
        Some(_) => !authority.host().is_empty() && authority.port_u16().is_some_and(|port| port > 0),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receivers() {
        for right in [
            "http://127.0.0.1:4317",
            "https://otel.example.org",
            "http://[::1]:4317/",
            "collector:4317",
            "http://x:4318/v1/logs",
        ] {
            assert!(matches!(right.parse(), Ok(Endpoint::Receiver(_))), "{right}");
        }
        for wrong in
            ["collector", "ftp://x:1", "http://", "/v1/logs", "http://x:y", "http://user@x:1", "", "stdout", "stdout:x"]
        {
            let said = wrong.parse::<Endpoint>().expect_err(wrong);
            assert!(said.contains("stdout:"), "{wrong}: {said}");
        }
    }

    #[test]
    fn files_and_stdout() {
        let check = |text: &str, expected: Option<&str>| {
            let found = text.parse::<Endpoint>().ok();
            assert_eq!(found, expected.map(|path| Endpoint::File(path.into())), "{text}");
        };
        check("file:///var/log/a.jsonl", Some("/var/log/a.jsonl"));
        check("file:/var/log/a.jsonl", Some("/var/log/a.jsonl"));
        check("file://localhost/a", Some("/a"));
        check("file:///a%20b%25", Some("/a b%"));
        for wrong in [
            "file:",
            "file:a",
            "file://a",
            "file://host/a",
            "file:///",
            "file:///a/",
            "file:///a/..",
            "file:///../a",
            "file:////a",
            "file:///%00",
            "file:///%2",
        ] {
            check(wrong, None);
        }
        assert_eq!("stdout:".parse(), Ok(Endpoint::Stdout));
        for text in ["file:///var/log/a.jsonl", "stdout:", "https://x:1/"] {
            assert_eq!(text.parse::<Endpoint>().expect(text).to_string(), text);
        }
    }
}
