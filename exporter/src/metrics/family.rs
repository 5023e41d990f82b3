//! What a metric is, for whoever shows it: `/metrics` and OTLP have the same numbers by the names of their own conventions.

use std::fmt;
use std::sync::Arc;

use super::{KernelState, Metrics, Process};

/// A metric: one number for each combination of values that its labels have.
#[derive(Debug)]
pub struct Family {
    /// In OpenMetrics, in full, but without a counter's `_total` and an info's `_info`.
    pub name: &'static str,
    /// In OTLP: of the semantic conventions where they have it.
    pub otlp: &'static str,
    /// By UCUM, as OTLP has it: `By`, `s`, `{request}`.
    pub unit: &'static str,
    /// What it counts.
    pub help: &'static str,
    /// How it changes.
    pub kind: Kind,
    /// What its numbers are told apart by.
    pub labels: &'static [Label],
    pub(super) read: fn(&Source, Each<'_>),
}

/// A label of OpenMetrics, and the attribute of OTLP that stands for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label(pub &'static str, pub &'static str);

/// How a metric changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down; the sum over all exporters means something.
    UpDown,
    /// Goes up and down; it does not.
    Gauge,
    /// Always 1: its labels tell.
    Info,
    /// Seconds, counted by how many there were; see [`super::Durations`].
    Durations,
}

/// One number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// A whole one.
    Whole(u64),
    /// Any other.
    Real(f64),
}

/// Takes a value of each label, in their order (empty: the label is left out), and the number.
pub type Each<'a> = &'a mut dyn FnMut(&[&str], Value);

/// Where all numbers are. It is read when somebody asks, and counts nothing.
pub struct Source {
    /// User space's.
    pub metrics: Arc<Metrics>,
    kernel: Box<dyn Fn() -> KernelState + Send + Sync>,
}

impl Source {
    /// `kernel` is called when a metric of the kernel is read, by the thread that does so.
    pub fn new<F>(metrics: &Arc<Metrics>, kernel: F) -> Arc<Self>
    where
        F: Fn() -> KernelState + Send + Sync + 'static,
    {
        Arc::new(Self { metrics: Arc::clone(metrics), kernel: Box::new(kernel) })
    }

    /// Gives the numbers of a metric as they are now; none of [`Kind::Durations`].
    pub fn read(&self, family: &Family, each: Each<'_>) {
        (family.read)(self, each);
    }

    pub(super) fn kernel(&self) -> KernelState {
        (self.kernel)()
    }

    /// Nothing where procfs cannot be read.
    #[expect(clippy::unused_self, reason = "a source like the others")]
    pub(super) fn process(&self) -> Option<Process> {
        Process::read()
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("metrics", &self.metrics).finish_non_exhaustive()
    }
}
