//! The OCI hook, by podman. Needs root.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use e2e::exporter::{Attributes, Trace};
use e2e::podman::Podman;
use e2e::{exporter, interrupt};
use rustix::process::Signal;
use serde_json::Value;

/// Containers of one test, and how many of them at once.
const CONTAINERS: usize = 24;
const AT_ONCE: usize = 4;
const LIMIT: Duration = Duration::from_secs(30);

/// Starts `inotrail trace`, which is told of containers by the hook alone; returns when it is.
fn trace(podman: &Podman) -> Trace {
    let (socket, cgroup) = (socket(podman), podman.cgroup().to_string_lossy());
    let hook = ["--runtime", "none", "--hook-socket", socket.to_str().unwrap(), "--cgroup-root", &cgroup];
    let trace = Trace::start(&hook).unwrap();
    interrupt::wait_for("the hook's socket", LIMIT, || Ok(socket.exists().then_some(()))).unwrap();
    trace
}

/// Who made the file.
fn creator(trace: &Trace, path: &str) -> Attributes {
    trace.wait_for_event(&[("inotrail.file.operation", "create"), ("file.path", path)]).unwrap()
}

fn socket(podman: &Podman) -> PathBuf {
    podman.path().join("hook.sock")
}

fn install(podman: &Podman) {
    podman.install_hook(&exporter::binary().unwrap(), &socket(podman)).unwrap();
}

/// A container whose very first act makes a file named after itself; returns its id.
fn touch(podman: &Podman, name: &str) -> String {
    podman.run_to_end(name, &["/bin/touch", &format!("/tmp/{name}")]).unwrap()
}

#[test]
fn the_very_first_act_has_a_name() {
    let podman = Podman::start().unwrap();
    install(&podman);
    let trace = trace(&podman);
    let podman = &podman;
    let names = |first: usize| (first..CONTAINERS).step_by(AT_ONCE).map(|number| format!("c{number}"));
    let run = |first| move || names(first).map(|name| (touch(podman, &name), name)).collect::<Vec<_>>();
    let ids: Vec<(String, String)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE).map(|first| scope.spawn(run(first))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(ids.len(), CONTAINERS);
    for (id, name) in &ids {
        let event = creator(&trace, &format!("/tmp/{name}"));
        let told = ["container.id", "container.name", "container.runtime.name"];
        let told = told.map(|attribute| event.get(attribute).and_then(Value::as_str));
        assert_eq!(told, [Some(&**id), Some(name), Some("podman")], "{event:?}");
        assert!(!event.contains_key("inotrail.resource.unresolved"), "{event:?}");
    }
}

#[test]
fn a_container_never_fails_for_an_exporter() {
    let podman = Podman::start().unwrap();
    install(&podman);
    // Absent.
    touch(&podman, "absent");
    let mut trace = trace(&podman);
    touch(&podman, "present");
    assert_eq!(creator(&trace, "/tmp/present")["container.name"], "present");
    // Hung.
    trace.signal(Signal::STOP).unwrap();
    touch(&podman, "hung");
    trace.signal(Signal::CONT).unwrap();
    // What it was told meanwhile it has read by now, and the name came in time for the events that waited.
    let late = creator(&trace, "/tmp/hung");
    assert_eq!(late["container.name"], "hung", "{late:?}");
    // Dead: its socket stays behind, as it does not where the exporter ends by itself.
    trace.daemon.kill().unwrap();
    assert!(socket(&podman).exists());
    touch(&podman, "dead");
}

#[test]
fn goes_without_a_trace_while_containers_run() {
    let podman = Podman::start().unwrap();
    install(&podman);
    let trace = trace(&podman);
    let script = "while [ ! -e /tmp/end ]; do sleep 0.1; done; touch /tmp/last";
    let mut running = podman.run("running", &[], &["/bin/sh", "-c", script]).stdout(Stdio::null()).spawn().unwrap();
    interrupt::wait_for("a container", LIMIT, || {
        Ok(podman.podman(&["exec", "running", "/bin/touch", "/tmp/first"]).is_ok().then_some(()))
    })
    .unwrap();
    let mut uninstall = Command::new(exporter::binary().unwrap());
    uninstall.args(["oci-hook", "uninstall", "--grace", "10ms", "--hooks-dir"]).arg(&podman.hooks);
    assert!(uninstall.arg("--bin-dir").arg(podman.path().join("bin")).status().unwrap().success());
    assert_eq!(fs::read_dir(&podman.hooks).unwrap().count(), 0);
    assert_eq!(fs::read_dir(podman.path().join("bin")).unwrap().count(), 0);
    touch(&podman, "after");
    podman.podman(&["exec", "running", "/bin/touch", "/tmp/end"]).unwrap();
    assert!(running.wait().unwrap().success());
    for path in ["/tmp/first", "/tmp/end", "/tmp/last"] {
        assert_eq!(creator(&trace, path)["container.name"], "running", "{path}");
    }
    // Nobody told of this one; it is known by its id.
    assert_eq!(creator(&trace, "/tmp/after")["inotrail.resource.unresolved"], true);
}

#[test]
fn only_root_is_heard() {
    let podman = Podman::start().unwrap();
    install(&podman);
    let trace = trace(&podman);
    let socket = socket(&podman);
    let lie = |socket: &Path| {
        let id = "f".repeat(64);
        let state = format!(r#"{{"ociVersion":"1.2.0","id":"{id}","pid":{},"status":"creating"}}"#, std::process::id());
        let file = podman.path().join("state.json");
        fs::write(&file, state).unwrap();
        let mut hook = Command::new("/bin/sh");
        hook.args(["-c", r#"exec "$0" "$1""#]).arg(podman.path().join("bin/inotrail-oci-hook")).arg(socket);
        let output = hook.uid(65534).stdin(fs::File::open(file).unwrap()).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    fs::set_permissions(podman.path(), fs::Permissions::from_mode(0o711)).unwrap();
    assert!(lie(&socket).contains("Permission denied"));
    // Even where somebody has opened the socket to everybody.
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o666)).unwrap();
    let said = lie(&socket);
    assert!(said.contains("no exporter was told"), "{said}");
    drop(trace);
}
