//! By NRI: two containerds in turn, of which one has the exporter as its plugin, each for half of the time.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{Pair, WARM, in_turn};
use crate::containerd::{Containerd, Pods, Sandbox};
use crate::exporter::Trace;

const LIMIT: Duration = Duration::from_secs(60);

pub(super) fn pairs(count: usize) -> Result<Vec<Pair>> {
    let both = [Containerd::with_cri(None)?, Containerd::with_cri(None)?];
    let pods = [Pods::new(&both[0])?, Pods::new(&both[1])?];
    let sandboxes =
        [pods[0].pod("bench", "start-0", "bench-start-0")?, pods[1].pod("bench", "start-1", "bench-start-1")?];
    let start = |index: usize| one(&pods[index], &sandboxes[index]);
    for index in (0..WARM).flat_map(|_| [0, 1]) {
        start(index)?;
    }
    let mut pairs = Vec::new();
    for (told, count) in [(0, count / 2), (1, count.div_ceil(2))] {
        let _trace = told_by(&both[told])?;
        pairs.extend(in_turn(count, |with| start(if with { told } else { 1 - told }))?);
    }
    Ok(pairs)
}

/// An exporter that watches the containers of both, and is told of those of one.
fn told_by(containerd: &Containerd) -> Result<Trace> {
    let socket = containerd.nri_socket();
    let trace = Trace::start(&["--no-host", "--runtime", "none", "--nri-socket", &socket.to_string_lossy()])?;
    trace.wait_for_log("told of containers before they start", 1)?;
    Ok(trace)
}

/// Milliseconds.
fn one(pods: &Pods<'_>, pod: &Sandbox<'_>) -> Result<f64> {
    let started = Instant::now();
    let id = pod.container("bench", &["/bin/true"])?;
    pods.start(&id)?;
    let took = started.elapsed();
    pods.wait(&id, LIMIT)?;
    pods.remove(&id)?;
    Ok(took.as_secs_f64() * 1000.0)
}
