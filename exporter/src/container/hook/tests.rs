use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::super::announcement::Said;
use super::super::cgroup::Hierarchy;
use super::*;

const A: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn socket(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("inotrail-hook-{name}-{}/hook.sock", std::process::id()))
}

fn remove(socket: &Path) {
    fs::remove_dir_all(socket.parent().unwrap()).unwrap();
}

fn framed(state: &str) -> Vec<u8> {
    let message = format!("\0{state}");
    [&(message.len() as u32).to_be_bytes()[..], message.as_bytes()].concat()
}

/// What the hook is answered: nothing where it was not heard.
async fn tell(socket: &Path, message: &[u8]) -> Option<u8> {
    let mut hook = UnixStream::connect(socket).await.unwrap();
    hook.write_all(message).await.unwrap();
    hook.read_u8().await.ok()
}

#[tokio::test]
async fn a_container_is_announced_before_the_hook_is_answered() {
    let socket = socket("announced");
    let (announcer, mut said) = Announcer::new(Arc::new(Hierarchy::at(Path::new("/nowhere"))));
    let hooks = tokio::spawn(Hooks::listen(&socket).unwrap().serve(announcer));
    assert_eq!(fs::metadata(&socket).unwrap().mode() & 0o777, 0o600);
    let state = framed(&format!(r#"{{"id": "{A}", "pid": 0}}"#));
    let table = async {
        let Some(Said::Here(announced, Some(seen))) = said.recv().await else { panic!("nothing was said") };
        assert_eq!((announced.source, &*announced.id, announced.cgroup), (Source::Hook, A, None));
        seen.send(()).unwrap();
    };
    let (answer, ()) = tokio::join!(tell(&socket, &state), table);
    assert_eq!(answer, Some(1));
    // A table that does not get to it is waited for, but not for long; the container is known all the same.
    assert_eq!(tell(&socket, &state).await, Some(0));
    assert!(matches!(said.recv().await, Some(Said::Here(..))));
    hooks.abort();
    remove(&socket);
}

#[tokio::test]
async fn what_is_no_message_is_refused() {
    let socket = socket("refused");
    let (announcer, mut said) = Announcer::new(Arc::new(Hierarchy::at(Path::new("/nowhere"))));
    let hooks = tokio::spawn(Hooks::listen(&socket).unwrap().serve(announcer));
    let long = (MESSAGE_MAX as u32 + 1).to_be_bytes();
    let truncated = [&9_u32.to_be_bytes()[..], b"{}"].concat();
    let other_id = framed(r#"{"id": "../../etc"}"#);
    for message in [&long[..], &truncated, b"\0\0\0\x02{}", &framed("{}"), &framed(""), &other_id, b"", b"\0"] {
        assert_eq!(tell(&socket, message).await, None, "{message:?}");
    }
    assert!(said.try_recv().is_err());
    hooks.abort();
    remove(&socket);
}

#[tokio::test]
async fn a_new_exporter_takes_the_socket_over() {
    let socket = socket("taken-over");
    let (announcer, _said) = Announcer::new(Arc::new(Hierarchy::at(Path::new("/nowhere"))));
    let old = Hooks::listen(&socket).unwrap();
    let hooks = tokio::spawn(Hooks::listen(&socket).unwrap().serve(announcer));
    drop(old);
    assert_eq!(tell(&socket, &framed(&format!(r#"{{"id": "{A}"}}"#))).await, Some(0));
    assert_eq!(fs::read_dir(socket.parent().unwrap()).unwrap().count(), 1);
    hooks.abort();
    assert!(hooks.await.is_err() && !socket.exists(), "the socket goes with who made it");
    remove(&socket);
}
