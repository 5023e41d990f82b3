//! `inotrail oci-hook`: what a container runtime runs before a container's first instruction.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};
use serde_json::value::RawValue;

use super::Error;
use crate::config::args::{OciHookArgs, OciHookCommand};
use crate::container::hook::{DEADLINE, MESSAGE_MAX, Message, monitor};

mod install;

/// How long a message may take that is late already.
const LATE: Duration = Duration::from_millis(5);

pub use install::HookError;

pub(super) fn run(args: OciHookArgs) -> Result<ExitCode, Error> {
    match args.command {
        Some(OciHookCommand::Install(args)) => install::install(&args)?,
        Some(OciHookCommand::Uninstall(args)) => install::uninstall(&args)?,
        None => call(&args.socket),
    }
    Ok(ExitCode::SUCCESS)
}

/// What a runtime calls. A container must not fail because nobody watches it: this says so, at most.
pub fn call(socket: &Path) {
    if let Err(error) = tell(socket, io::stdin().lock()) {
        let _closed = writeln!(io::stderr(), "inotrail: no exporter was told of the container: {error}");
    }
}

/// The socket of a call as `install` has written it. A container waits for the call: the parser of all command lines
/// takes as long as the rest of it.
#[must_use]
pub fn socket_of_call(mut arguments: impl Iterator<Item = OsString>) -> Option<PathBuf> {
    let rest = (arguments.nth(1)?, arguments.next()?, arguments.next()?, arguments.next());
    match rest {
        (subcommand, flag, socket, None) if subcommand == "oci-hook" && flag == "--socket" => Some(socket.into()),
        _ => None,
    }
}

/// Whether a command line is a runtime's call of the hook, which must not fail whatever its arguments are: the file that the
/// runtime has them from may be of another version than this program.
#[must_use]
pub fn is_call(mut arguments: impl Iterator<Item = OsString>) -> bool {
    let subcommand = arguments.nth(1);
    let managed = |argument: &OsString| ["install", "uninstall", "help"].iter().any(|word| argument == word);
    subcommand.is_some_and(|word| word == "oci-hook") && !arguments.next().is_some_and(|next| managed(&next))
}

/// Passes the state on and waits until it is known there, [`DEADLINE`] at most in all.
fn tell(socket: &Path, state: impl Read) -> io::Result<()> {
    let begin = Instant::now();
    let monitor = monitor::of_process(Path::new("/proc"), std::process::id());
    let mut text = String::new();
    state.take(MESSAGE_MAX as u64).read_to_string(&mut text)?;
    let state: Box<RawValue> = serde_json::from_str(&text)?;
    let message = serde_json::to_vec(&Message { monitor, state })?;
    let mut exporter = connect(socket)?;
    // Told late is better than not told: the events of a new container wait.
    exporter.set_write_timeout(Some(left(begin).unwrap_or(LATE)))?;
    exporter.write_all(&[&(message.len() as u32).to_be_bytes(), &*message].concat())?;
    exporter.set_read_timeout(Some(left(begin)?))?;
    exporter.read_exact(&mut [0])
}

/// Connects at once or not at all: where too many wait for an exporter that hangs, `connect` would wait for ever.
fn connect(socket: &Path) -> io::Result<UnixStream> {
    let address = SocketAddrUnix::new(socket)?;
    let descriptor =
        socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)?;
    net::connect(&descriptor, &address)?;
    let stream = UnixStream::from(descriptor);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

fn left(begin: Instant) -> io::Result<Duration> {
    let left = DEADLINE.checked_sub(begin.elapsed()).filter(|left| !left.is_zero());
    left.ok_or_else(|| io::Error::new(io::ErrorKind::TimedOut, "it does not answer in time"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::thread;

    use super::*;

    #[test]
    fn calls() {
        let check = |line: &str, expected| {
            assert_eq!(is_call(line.split(' ').map(Into::into)), expected, "{line}");
        };
        check("inotrail oci-hook --socket /x", true);
        check("inotrail oci-hook --of-a-later-version", true);
        check("inotrail oci-hook", true);
        check("inotrail oci-hook install --bad", false);
        check("inotrail run", false);
        check("inotrail", false);
    }

    #[test]
    fn sockets() {
        let check = |line: &str, expected: Option<&str>| {
            assert_eq!(socket_of_call(line.split(' ').map(Into::into)), expected.map(PathBuf::from), "{line}");
        };
        check("inotrail oci-hook --socket /x", Some("/x"));
        check("inotrail oci-hook --socket", None);
        check("inotrail oci-hook --socket /x --log-level debug", None);
        check("inotrail oci-hook install --socket", None);
        check("inotrail oci-hook", None);
        check("inotrail", None);
    }

    #[test]
    fn does_not_wait_behind_others() {
        let socket = std::env::temp_dir().join(format!("inotrail-oci-hook-full-{}.sock", std::process::id()));
        // Nobody accepts.
        let _listener = UnixListener::bind(&socket).unwrap();
        let waiting: Vec<_> = std::iter::from_fn(|| connect(&socket).ok()).take(100_000).collect();
        assert!(waiting.len() < 100_000, "the listener's queue has no end");
        assert_eq!(tell(&socket, &b"{}"[..]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        std::fs::remove_file(&socket).unwrap();
    }

    #[test]
    fn tells_and_waits_no_longer_than_the_deadline() {
        let socket = std::env::temp_dir().join(format!("inotrail-oci-hook-{}.sock", std::process::id()));
        assert_eq!(tell(&socket, &b"{}"[..]).unwrap_err().kind(), io::ErrorKind::NotFound);
        let listener = UnixListener::bind(&socket).unwrap();
        let exporter = thread::spawn(move || {
            let (mut hook, _) = listener.accept().unwrap();
            let mut length = [0; 4];
            hook.read_exact(&mut length).unwrap();
            let mut message = vec![0; u32::from_be_bytes(length) as usize];
            hook.read_exact(&mut message).unwrap();
            hook.write_all(&[1]).unwrap();
            // The next one is taken and never answered.
            (message, listener.accept().unwrap())
        });
        tell(&socket, &br#"{"id": "a"}"#[..]).unwrap();
        let begin = Instant::now();
        let error = tell(&socket, &b"{}"[..]).unwrap_err().kind();
        assert!(matches!(error, io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut), "{error}");
        assert!(begin.elapsed() >= DEADLINE);
        let (message, _) = exporter.join().unwrap();
        assert_eq!(String::from_utf8(message).unwrap(), r#"{"monitor":null,"state":{"id": "a"}}"#);
        let long = vec![b' '; MESSAGE_MAX + 1];
        for malformed in [&long[..], b"", b"{", b"\xff"] {
            assert!(tell(&socket, malformed).is_err());
        }
        std::fs::remove_file(&socket).unwrap();
    }
}
