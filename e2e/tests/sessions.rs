//! The process behind an access, with containers and `exec` sessions of a real containerd and runc. Needs root.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::thread;
use std::time::{Duration, Instant};

use e2e::containerd::{Container, Containerd, Spec};
use e2e::exporter::{Attributes, Trace};
use e2e::{image, interrupt};

/// From an access to its line, on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);
/// It is done again where it is not reported after this time: nobody watched yet.
const AGAIN: Duration = Duration::from_secs(3);

/// Its first process forks one that opens a file, whenever it is told to.
const SCRIPT: &str = "
trap '/bin/cat /etc/shadow' USR1
sleep 100000 &
while :; do wait $!; done
";

/// A session that opens a file, and forks a process that opens another, none of which runc opens: both say which number
/// they have inside.
const SESSION: &str = "echo $$; : < /bin/true; /bin/sh -c 'echo $$; : < /bin/false; :'; : --password=hunter2";

fn trace(containerd: &Containerd, arguments: &[&str]) -> Trace {
    let socket = containerd.socket.to_string_lossy();
    Trace::start(&[&["--namespace", "demo", "--runtime-socket", &socket][..], arguments].concat()).unwrap()
}

/// Does something again and again until it is reported that a file was opened in the container by the process that it names by
/// its number inside, or by any.
fn opened(trace: &Trace, container: &Container<'_>, path: &str, mut act: impl FnMut() -> Option<u64>) -> Attributes {
    interrupt::wait_for(&format!("{path} of {}", container.id), LIMIT, || {
        let inside = act();
        let is_it = |event: &Attributes| {
            let is_of_it = inside.is_none_or(|inside| event.get("process.vpid") == Some(&inside.into()));
            event.get("container.id") == Some(&(*container.id).into())
                && event.get("file.path") == Some(&path.into())
                && is_of_it
        };
        let deadline = Instant::now() + AGAIN;
        loop {
            let found = trace.events().into_iter().rfind(is_it);
            if found.is_some() || Instant::now() > deadline {
                return Ok(found);
            }
            thread::sleep(Duration::from_millis(50));
        }
    })
    .unwrap()
}

fn start<'a>(containerd: &'a Containerd, pod: &str) -> Container<'a> {
    containerd.run(&Spec::script("demo", pod, "web", 0, SCRIPT)).unwrap()
}

/// The numbers that a session's shell and its child have inside.
fn session(container: &Container<'_>) -> [u64; 2] {
    let output = container.exec(image::USER, &["/bin/sh", "-c", SESSION]).unwrap();
    let numbers = String::from_utf8_lossy(&output.stdout).lines().map(|line| line.parse().unwrap()).collect::<Vec<_>>();
    numbers.try_into().unwrap()
}

#[track_caller]
fn assert_lineage(event: &Attributes) {
    let ancestors = event["inotrail.process.ancestors"].as_str().unwrap();
    let paths: Vec<_> = ancestors.split(" // ").filter_map(|one| one.split_once(':')).map(|(_, path)| path).collect();
    assert!(paths.iter().any(|path| path.ends_with("/containerd-shim-runc-v2")), "{ancestors}");
    assert!(paths.len() <= 8 && paths.iter().all(|path| path.is_empty() || path.starts_with('/')), "{ancestors}");
}

/// A process that the container's own forks.
fn assert_own(trace: &Trace, container: &Container<'_>) {
    let again = || {
        container.signal("SIGUSR1").unwrap();
        None
    };
    let own = opened(trace, container, "/etc/shadow", again);
    assert_eq!(own.get("inotrail.process.session"), None, "{own:?}");
    assert_eq!(own["process.executable.path"], "/bin/cat");
    assert!(own["process.vpid"].as_u64().unwrap() > 1, "{own:?}");
    assert_lineage(&own);
}

/// A session's shell, and what that of the next one forks.
fn assert_session(trace: &Trace, container: &Container<'_>) -> Attributes {
    let shell = opened(trace, container, "/bin/true", || Some(session(container)[0]));
    assert_eq!(shell["inotrail.process.session"], "exec", "{shell:?}");
    assert_lineage(&shell);
    let child = opened(trace, container, "/bin/false", || Some(session(container)[1]));
    assert_eq!(child["inotrail.process.session"], "exec", "{child:?}");
    assert_ne!(child["process.pid"], child["process.vpid"]);
    let parent = format!("{}:/bin/sh // ", child["process.parent_pid"]);
    assert!(child["inotrail.process.ancestors"].as_str().unwrap().starts_with(&parent), "{child:?}");
    shell
}

#[test]
fn exec_sessions_are_told_apart() {
    let containerd = Containerd::start(None).unwrap();
    // One that runs when the exporter starts, and one that starts later.
    let before = start(&containerd, "before");
    let first = trace(&containerd, &["--process-arguments"]);
    assert_own(&first, &before);
    let shell = assert_session(&first, &before);
    let script = SESSION.replace("hunter2", "***");
    assert_eq!(shell["process.command_args"], serde_json::json!(["/bin/sh", "-c", script]));
    let after = start(&containerd, "after");
    assert_own(&first, &after);
    assert_session(&first, &after);
    assert_own(&first, &after);
    drop(first);
    // Nobody asked for arguments.
    let shell = assert_session(&trace(&containerd, &[]), &after);
    assert_eq!(shell.get("process.command_args"), None, "{shell:?}");
}
