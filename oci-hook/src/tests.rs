use std::fs;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::thread;

use super::*;

fn socket(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("inotrail-oci-hook-{name}-{}.sock", std::process::id()))
}

#[test]
fn messages() {
    assert_eq!(parts(b"web\0{}"), Some((Some("web"), &b"{}"[..])));
    assert_eq!(parts(b"\0{\0}"), Some((None, &b"{\0}"[..])));
    assert_eq!(parts(b"\0"), Some((None, &b""[..])));
    assert_eq!(parts(b"\xff\0{}"), None);
    assert_eq!(parts(b"{}"), None);
    assert_eq!(parts(b""), None);
}

#[test]
fn does_not_wait_behind_others() {
    let socket = socket("full");
    // Nobody accepts.
    let _listener = UnixListener::bind(&socket).unwrap();
    let waiting: Vec<_> = std::iter::from_fn(|| connect(&socket).ok()).take(100_000).collect();
    assert!(waiting.len() < 100_000, "the listener's queue has no end");
    assert_eq!(tell(&socket, &b"{}"[..]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    fs::remove_file(&socket).unwrap();
}

#[test]
fn tells_and_waits_no_longer_than_the_deadline() {
    let socket = socket("tells");
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
    let state = br#"{"id": "a"}"#;
    tell(&socket, &state[..]).unwrap();
    let begin = Instant::now();
    let error = tell(&socket, &b"{}"[..]).unwrap_err().kind();
    assert!(matches!(error, io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut), "{error}");
    assert!(begin.elapsed() >= DEADLINE);
    let (message, _) = exporter.join().unwrap();
    assert_eq!(parts(&message), Some((None, &state[..])));
    let long = vec![b' '; MESSAGE_MAX + 1];
    assert_eq!(tell(&socket, &long[..]).unwrap_err().kind(), io::ErrorKind::InvalidData);
    fs::remove_file(&socket).unwrap();
}
