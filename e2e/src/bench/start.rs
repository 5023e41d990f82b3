//! How much longer a container takes to start when the exporter is told of it first: by NRI, and by the OCI hook.

mod hook;
mod nri;

use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum};

/// The normal distribution's quantile for an interval of 95 %.
const QUANTILE: f64 = 1.96;
/// Containers that are started before any is measured: the first ones find cold caches.
const WARM: usize = 10;

/// `e2e bench start`
#[derive(Debug, Parser)]
pub struct Args {
    /// Containers with, and as many without
    #[arg(long, default_value_t = 100)]
    containers: usize,
    /// Who tells; both where none is named
    #[arg(long, value_enum)]
    by: Vec<By>,
}

/// Who tells the exporter of containers before they start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum By {
    /// containerd
    Nri,
    /// podman
    Hook,
    /// podman, of a hook that does nothing: what the runtimes themselves take for any hook
    Nothing,
}

/// Milliseconds that the starts of two containers took, one right after the other.
#[derive(Clone, Copy, Debug)]
struct Pair {
    without: f64,
    with: f64,
}

impl Args {
    /// Prints how long a container takes to start while the exporter runs, when it is told of that and when it is not.
    ///
    /// # Errors
    /// containerd, podman or the exporter do not run.
    #[expect(clippy::print_stdout, reason = "the figures are what was asked for")]
    pub fn run(&self) -> Result<()> {
        for by in if self.by.is_empty() { By::value_variants() } else { &self.by } {
            let (what, pairs) = match by {
                By::Nri => ("creating and starting a container by containerd, NRI", nri::pairs(self.containers)?),
                By::Hook => ("starting a container by podman, OCI hook", hook::pairs(self.containers)?),
                By::Nothing => {
                    ("starting a container by podman, OCI hook /bin/true", hook::pairs_of_nothing(self.containers)?)
                }
            };
            let (difference, low, high) = difference(&pairs).context("no containers were started")?;
            println!("{what}: milliseconds, {} each, in turn", pairs.len());
            println!("  without      median {:.1}", median(pairs.iter().map(|pair| pair.without)));
            println!("  with         median {:.1}", median(pairs.iter().map(|pair| pair.with)));
            println!("  difference   {difference:.1}, with 95 % between {low:.1} and {high:.1}");
        }
        Ok(())
    }
}

/// Starts so many pairs; `start` says how long one took. Whoever comes second finds the machine as the first one left it:
/// each does so as often.
fn in_turn(count: usize, mut start: impl FnMut(bool) -> Result<f64>) -> Result<Vec<Pair>> {
    let pair = |number: usize| {
        let first_with = number % 2 == 1;
        let (first, second) = (start(first_with)?, start(!first_with)?);
        let (without, with) = if first_with { (second, first) } else { (first, second) };
        Ok(Pair { without, with })
    };
    (0..count).map(pair).collect()
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<_> = values.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// By how much it takes longer with, and the bounds of its interval (Hodges and Lehmann 1963: the median of the averages
/// of every two differences, bounds by the normal approximation of Wilcoxon's signed-rank statistic).
fn difference(pairs: &[Pair]) -> Option<(f64, f64, f64)> {
    let each: Vec<_> = pairs.iter().map(|pair| pair.with - pair.without).collect();
    let from = |first: usize| each[first..].iter().map(move |second| (first, second));
    let mut all: Vec<_> =
        (0..each.len()).flat_map(from).map(|(first, second)| f64::midpoint(each[first], *second)).collect();
    all.sort_by(f64::total_cmp);
    let n = pairs.len() as f64;
    let spread = QUANTILE * (n * (n + 1.0) * (2.0 * n + 1.0) / 24.0).sqrt();
    let low = (n * (n + 1.0) / 4.0 - spread).max(0.0) as usize;
    Some((*all.get(all.len() / 2)?, *all.get(low)?, *all.get(all.len().checked_sub(low + 1)?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences() {
        let pairs = |differences: &[f64]| {
            differences.iter().map(|it| Pair { without: 100.0, with: 100.0 + it }).collect::<Vec<_>>()
        };
        let check = |differences: &[f64], expected| assert_eq!(difference(&pairs(differences)), expected);
        check(&[], None);
        check(&[2.0], Some((2.0, 2.0, 2.0)));
        // All the same: no doubt.
        check(&[1.5; 20], Some((1.5, 1.5, 1.5)));
        let spread: Vec<_> = (0..100).map(|number| f64::from(number) / 10.0 - 3.0).collect();
        let (found, low, high) = difference(&pairs(&spread)).unwrap();
        assert!((found - 1.95).abs() < 0.1 && low > 1.2 && low < 1.6 && high > 2.3 && high < 2.7, "{low} {high}");
        assert!((median([3.0, 1.0, 2.0].into_iter()) - 2.0).abs() < f64::EPSILON && median([].into_iter()) == 0.0);
    }

    #[test]
    fn each_comes_first_as_often() {
        let mut order = Vec::new();
        let start = |with: bool| {
            order.push(with);
            Ok(if with { 5.0 } else { 4.0 })
        };
        let pairs = in_turn(4, start).unwrap();
        assert_eq!(order, [false, true, true, false, false, true, true, false]);
        assert!(pairs.iter().all(|pair| pair.with > pair.without) && pairs.len() == 4);
    }
}
