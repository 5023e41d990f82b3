//! How much longer a container takes to start when the exporter is told of it first (NRI).

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Parser;

use crate::containerd::{Containerd, Pods, Sandbox};
use crate::exporter::Trace;

/// Containers that are started between two changes.
const BLOCK: usize = 10;
/// The normal distribution's quantile for an interval of 95 %.
const QUANTILE: f64 = 1.96;
const LIMIT: Duration = Duration::from_secs(60);

/// `e2e bench start`
#[derive(Debug, Parser)]
pub struct Args {
    /// Containers of each kind
    #[arg(long, default_value_t = 100)]
    containers: usize,
}

impl Args {
    /// Prints how long creating and starting a container takes while the exporter runs, with and without NRI, in turn.
    ///
    /// # Errors
    /// containerd or the exporter do not run.
    #[expect(clippy::print_stdout, reason = "the figures are what was asked for")]
    pub fn run(&self) -> Result<()> {
        let containerd = Containerd::with_cri(None)?;
        let pods = Pods::new(&containerd)?;
        let pod = pods.pod("bench", "start-0", "bench-start")?;
        let mut times = [Vec::new(), Vec::new()];
        // The first ones find cold caches.
        block(&containerd, &pods, &pod, false)?;
        for number in 0..self.containers.div_ceil(BLOCK) {
            // Whoever comes second finds the machine as the first one left it: each does so as often.
            for nri in if number % 2 == 0 { [false, true] } else { [true, false] } {
                times[usize::from(nri)].extend(block(&containerd, &pods, &pod, nri)?);
            }
        }
        let [without, with] = times;
        let (difference, low, high) = difference(&without, &with).context("no containers were started")?;
        println!("creating and starting a container, milliseconds, {} each", with.len());
        println!("  without NRI  median {:.1}", median(&without));
        println!("  with NRI     median {:.1}", median(&with));
        println!("  difference   {difference:.1}, with 95 % between {low:.1} and {high:.1}");
        Ok(())
    }
}

/// Milliseconds of each container.
fn block(containerd: &Containerd, pods: &Pods<'_>, pod: &Sandbox<'_>, nri: bool) -> Result<Vec<f64>> {
    let (socket, cgroup) = (containerd.nri_socket(), containerd.cgroup().to_string_lossy());
    let socket = socket.to_string_lossy();
    let mut arguments = vec!["--runtime", "none", "--cgroup-root", &cgroup];
    if nri {
        arguments.extend(["--nri-socket", &socket]);
    }
    let trace = Trace::start(&arguments)?;
    trace.wait_for_log(if nri { "told of containers before they start" } else { "watching by" }, 1)?;
    let one = |_| {
        let started = Instant::now();
        let id = pod.container("bench", &["/bin/true"])?;
        pods.start(&id)?;
        let took = started.elapsed();
        pods.wait(&id, LIMIT)?;
        pods.remove(&id)?;
        Ok(took.as_secs_f64() * 1000.0)
    };
    (0..BLOCK).map(one).collect()
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// By how much the second ones are larger, and the bounds of its interval (Hodges and Lehmann 1963: the median of all
/// differences, bounds by the normal approximation of the Mann-Whitney statistic).
fn difference(first: &[f64], second: &[f64]) -> Option<(f64, f64, f64)> {
    let mut all: Vec<_> = first.iter().flat_map(|first| second.iter().map(move |second| second - first)).collect();
    all.sort_by(f64::total_cmp);
    let (m, n) = (first.len() as f64, second.len() as f64);
    let spread = QUANTILE * (m * n * (m + n + 1.0) / 12.0).sqrt();
    let low = (m * n / 2.0 - spread).max(0.0) as usize;
    Some((*all.get(all.len() / 2)?, *all.get(low)?, *all.get(all.len().checked_sub(low + 1)?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences() {
        let up_to = |end: i32, plus: f64| (0..end).map(|value| f64::from(value) + plus).collect::<Vec<_>>();
        let check = |first: &[f64], second: &[f64], expected| assert_eq!(difference(first, second), expected);
        check(&[], &[], None);
        check(&[1.0], &[3.0], Some((2.0, 2.0, 2.0)));
        // All the same: no doubt.
        check(&[1.0; 20], &[1.5; 20], Some((0.5, 0.5, 0.5)));
        let (found, low, high) = difference(&up_to(100, 0.0), &up_to(100, 10.0)).unwrap();
        assert!((found - 10.0).abs() < 1.0 && low < 3.0 && low > 0.0 && high > 17.0 && high < 20.0, "{low} {high}");
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON && median(&[]) == 0.0);
    }
}
