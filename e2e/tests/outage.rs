//! What the exporter depends on goes away and comes back: it says so, loses nothing, and recovers by itself. Needs root.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, SystemTime};

use e2e::cgroup::Cgroup;
use e2e::containerd::{Containerd, Spec};
use e2e::digest::sha256;
use e2e::exporter::{self, Exporter};
use e2e::folder::Folder;
use e2e::stack::{Ports, Stack};
use e2e::{image, interrupt};
use rustix::process::{Pid, Signal, kill_process};

const LIMIT: Duration = Duration::from_secs(60);
const SCRIPT: &str = "
trap '/bin/cat /etc/passwd' USR1
sleep 100000 &
while :; do wait $!; done
";

/// Stands still, as a process that hangs does, until this is dropped.
struct Stopped(Pid);

impl Stopped {
    fn new(pid: u32) -> Self {
        let pid = Pid::from_raw(pid.cast_signed()).unwrap();
        kill_process(pid, Signal::STOP).unwrap();
        Self(pid)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        kill_process(self.0, Signal::CONT).unwrap();
    }
}

fn wait_for_health(exporter: &Exporter, part: &str, state: &str) {
    let line = format!("{part} {state}");
    interrupt::wait_for(&line, LIMIT, || {
        Ok(exporter.ask("/readyz")?.lines().any(|said| said.starts_with(&line)).then_some(()))
    })
    .unwrap();
}

#[test]
fn a_hanging_containerd_or_collector_is_survived() {
    let started = SystemTime::now();
    let folder = Folder::new(None).unwrap();
    let stack = Stack::start(None, Ports::Free).unwrap();
    let containerd = Containerd::start(None).unwrap();
    let container = containerd.run(&Spec::script("demo", "web-7d4b9", "web", image::USER, SCRIPT)).unwrap();
    let mut exporter = exporter::run(&containerd, &stack, folder.as_ref(), &["--timeout", "1s"]).unwrap();
    let query = r#"{k8s_namespace_name="demo"} | file_path="/etc/passwd""#;
    let found = |count: usize| {
        let ask = || Ok((stack.loki.query(query, started)?.len() == count).then_some(()));
        interrupt::wait_for(&format!("{count} accesses"), LIMIT, ask).unwrap();
    };

    wait_for_health(&exporter, "runtime", "ok");
    let stopped = Stopped::new(containerd.pid());
    // A container's cgroup is a question to containerd: its answer is missed sooner than by the next look at its health.
    let asked = Cgroup::create_top("inotrail-outage").unwrap();
    asked.add(&sha256(b"a container that containerd does not know")).unwrap();
    wait_for_health(&exporter, "runtime", "degraded");
    drop(asked);
    drop(stopped);
    wait_for_health(&exporter, "runtime", "ok");
    container.signal("SIGUSR1").unwrap();
    found(1);

    let [collector, _] = stack.pids();
    let stopped = Stopped::new(collector);
    container.signal("SIGUSR1").unwrap();
    wait_for_health(&exporter, "export default", "degraded");
    drop(stopped);
    wait_for_health(&exporter, "export default", "ok");
    found(2);
    assert_eq!(exporter.metric("inotrail_dropped_total").unwrap(), 0);
    exporter.daemon.stop();
}
