//! Telling the exporter of a container before its first instruction, and the message that does.
//!
//! One connection per container: a length (u32, big endian) and so many bytes there, one byte back when readers of the
//! exporter's table see the container. The bytes are what the monitor beside the container calls it, or nothing, a NUL, and
//! the container's state as the runtime gave it (OCI runtime specification, runtime.md "State").
//!
//! A container waits meanwhile: the program is small, static, and leaves all parsing to the exporter.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};

mod monitor;

/// Longest message in bytes: a pod's annotations are 256 KiB at most (k8s.io/apimachinery `TotalAnnotationSizeLimitB`), and
/// CRI-O repeats them.
pub const MESSAGE_MAX: usize = 1 << 20;
/// How long a hook is listened to, and how long it waits.
pub const DEADLINE: Duration = Duration::from_millis(50);

/// How long a message may take that is late already.
const LATE: Duration = Duration::from_millis(5);
/// Most states are shorter.
const USUAL: usize = 8 << 10;

/// Passes the state on and waits until it is known there, [`DEADLINE`] at most in all.
///
/// # Errors
///
/// Nobody listens at `socket`, or does not answer in time; the state is too long.
pub fn tell(socket: &Path, state: impl Read) -> io::Result<()> {
    let begin = Instant::now();
    let mut message = Vec::with_capacity(USUAL);
    message.extend_from_slice(&[0; size_of::<u32>()]);
    let monitor = monitor::of_process(Path::new("/proc"), std::process::id());
    message.extend_from_slice(monitor.unwrap_or_default().as_bytes());
    message.push(0);
    state.take(MESSAGE_MAX as u64).read_to_end(&mut message)?;
    let length = message.len() - size_of::<u32>();
    if length > MESSAGE_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "its state is too long"));
    }
    message[..size_of::<u32>()].copy_from_slice(&(length as u32).to_be_bytes());
    let mut exporter = connect(socket)?;
    // Told late is better than not told: the events of a new container wait.
    exporter.set_write_timeout(Some(left(begin).unwrap_or(LATE)))?;
    exporter.write_all(&message)?;
    exporter.set_read_timeout(Some(left(begin)?))?;
    exporter.read_exact(&mut [0]).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => io::Error::new(error.kind(), "it does not take the message"),
        _ => error,
    })
}

/// What a message says: the monitor's name, where there is one, and the state as JSON. `None`: it is no message.
#[must_use]
pub fn parts(message: &[u8]) -> Option<(Option<&str>, &[u8])> {
    let end = message.iter().position(|byte| *byte == 0)?;
    let monitor = str::from_utf8(&message[..end]).ok()?;
    Some(((!monitor.is_empty()).then_some(monitor), &message[end + 1..]))
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
mod tests;
