//! By the OCI hook: one podman, with the hook's folder and with an empty one.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::{Pair, WARM, in_turn};
use crate::exporter::{self, Trace};
use crate::interrupt;
use crate::podman::Podman;

const LIMIT: Duration = Duration::from_secs(60);

pub(super) fn pairs(count: usize) -> Result<Vec<Pair>> {
    let podman = Podman::start()?;
    let socket = podman.path().join("hook.sock");
    podman.install_hook(&exporter::binary()?, &socket)?;
    let trace = Trace::start(&["--no-host", "--runtime", "none", "--hook-socket", &socket.to_string_lossy()])?;
    trace.wait_for_log("watching by", 1)?;
    interrupt::wait_for("the hook's socket", LIMIT, || Ok(socket.exists().then_some(())))?;
    measure(&podman, count)
}

/// With a hook that does nothing.
pub(super) fn pairs_of_nothing(count: usize) -> Result<Vec<Pair>> {
    let podman = Podman::start()?;
    let definition =
        r#"{"version":"1.0.0","hook":{"path":"/bin/true"},"when":{"always":true},"stages":["createRuntime"]}"#;
    fs::write(podman.hooks.join("nothing.json"), definition).context("write a hook that does nothing")?;
    measure(&podman, count)
}

fn measure(podman: &Podman, count: usize) -> Result<Vec<Pair>> {
    let none = podman.path().join("no-hooks.d");
    fs::create_dir(&none).context("create a folder without hooks")?;
    let start = |with: bool| one(podman, if with { &podman.hooks } else { &none });
    for number in 0..2 * WARM {
        start(number % 2 == 0)?;
    }
    in_turn(count, start)
}

/// Milliseconds. The hook runs when the container is started, not when podman notes it down.
fn one(podman: &Podman, hooks: &Path) -> Result<f64> {
    podman.create("bench", &["/bin/true"])?;
    let started = Instant::now();
    podman.podman(&["--hooks-dir", &hooks.to_string_lossy(), "start", "bench"])?;
    let took = started.elapsed();
    podman.podman(&["rm", "--force", "--time", "0", "bench"])?;
    Ok(took.as_secs_f64() * 1000.0)
}
