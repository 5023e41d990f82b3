//! The counts as OpenMetrics shows them.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::{Dropped, Metrics};
use crate::container::source::Source;
use crate::decoy::Refused;
use crate::event::Backend;
use crate::sensor::backend::Misses;
use crate::version;

/// One count that the programs keep in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelCount {
    /// One of [`inotrail_ebpf::program::NAMES`].
    pub program: &'static str,
    /// One of [`inotrail_ebpf::COUNTERS`], or what the kernel itself counts of a program.
    pub counter: &'static str,
    /// Since the programs were loaded, all CPUs together.
    pub value: u64,
}

/// The kernel's half as it is now.
#[derive(Clone, Debug)]
pub struct KernelState {
    /// What reports accesses.
    pub backend: Backend,
    /// Whether the kernel may skip calls of its programs.
    pub misses: Misses,
    /// How often kprobe has taken over from fexit.
    pub swaps: u64,
    /// Counts of the programs.
    pub counts: Vec<KernelCount>,
}

/// Everything that `/metrics` shows, with names in full as a reader of it sees them: `inotrail_events_total`.
///
/// `kernel` is called at every scrape, by the thread that serves it.
pub fn registry<F>(metrics: &Arc<Metrics>, kernel: F) -> Registry
where
    F: Fn() -> KernelState + Send + Sync + 'static,
{
    let mut registry = Registry::with_prefix("inotrail");
    let counters = [
        ("events", "Accesses given to the sink, one by one or as a count", &metrics.emitted),
        ("events_delivered", "Accesses in log records that the receiver acknowledged", &metrics.delivered),
        ("export_retries", "Export requests sent again", &metrics.export_retries),
        ("unresolved", "Events released without their container's name", &metrics.unresolved),
        ("filter_full", "Containers recorded as a whole because the kernel's filter was full", &metrics.filter_full),
        ("undecided", "Accesses whose file has no name to hold against policies", &metrics.undecided),
    ];
    for (name, help, counter) in counters {
        registry.register(name, help, counter.clone());
    }
    registry.register("decoys", "Decoys that are in containers", metrics.decoys.clone());
    let help = "Bytes of export requests sent, after compression";
    registry.register_with_unit("exported", help, Unit::Bytes, metrics.exported_bytes.clone());
    let build = [("version", version::VERSION), ("revision", version::REVISION)].to_vec();
    registry.register("build", "What runs", Info::new(build));
    registry.register_collector(Box::new(Families(Arc::clone(metrics))));
    registry.register_collector(Box::new(Kernel(kernel)));
    registry
}

#[derive(Debug)]
struct Families(Arc<Metrics>);

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let help = "Accesses that are in no delivered record, by reason";
        let mut family = encoder.encode_descriptor("dropped", help, None, MetricType::Counter)?;
        for reason in Dropped::ALL {
            let count = self.0.dropped(reason).get();
            encode(&mut family, &[("reason", reason.as_str())], count)?;
        }
        let help = "Containers whose name a source was the first to tell";
        let mut family = encoder.encode_descriptor("containers_resolved", help, None, MetricType::Counter)?;
        for source in Source::ALL {
            encode(&mut family, &[("source", source.as_str())], self.0.resolved(source).get())?;
        }
        let help = "Decoys that were not made, by reason";
        let mut family = encoder.encode_descriptor("decoys_refused", help, None, MetricType::Counter)?;
        for (reason, counter) in Refused::NAMES.into_iter().zip(&self.0.decoys_refused) {
            encode(&mut family, &[("reason", reason)], counter.get())?;
        }
        let help = "What the kernel's filters of policies hold";
        let mut family = encoder.encode_descriptor("filter_entries", help, None, MetricType::Gauge)?;
        for (kind, gauge) in ["names", "files"].iter().zip(&self.0.filter_entries) {
            ConstGauge::new(gauge.get()).encode(family.encode_family(&[("kind", *kind)])?)?;
        }
        let help = "What they can hold of each kind";
        let family = encoder.encode_descriptor("filter_limit", help, None, MetricType::Gauge)?;
        ConstGauge::new(self.0.filter_limit.get()).encode(family)
    }
}

struct Kernel<F>(F);

impl<F: Fn() -> KernelState + Send + Sync + 'static> Collector for Kernel<F> {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let state = (self.0)();
        let help = "Counts of the programs in the kernel";
        let mut family = encoder.encode_descriptor("kernel", help, None, MetricType::Counter)?;
        for count in state.counts {
            encode(&mut family, &[("program", count.program), ("counter", count.counter)], count.value)?;
        }
        let help = "What reports accesses now, and whether the kernel may skip it";
        let mut family = encoder.encode_descriptor("backend", help, None, MetricType::Info)?;
        family.encode_info(&[("backend", state.backend.as_str()), ("misses", state.misses.as_str())])?;
        let help = "How often kprobe has taken over from fexit, which the kernel skipped";
        let swaps = encoder.encode_descriptor("backend_swaps", help, None, MetricType::Counter)?;
        ConstCounter::new(state.swaps).encode(swaps)
    }
}

impl<F> fmt::Debug for Kernel<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kernel")
    }
}

fn encode<const N: usize>(
    family: &mut prometheus_client::encoding::MetricEncoder<'_>,
    labels: &[(&str, &str); N],
    value: u64,
) -> fmt::Result {
    ConstCounter::new(value).encode(family.encode_family(labels)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_labels() {
        let metrics = Arc::new(Metrics::default());
        metrics.emitted.inc_by(7);
        metrics.exported_bytes.inc_by(9);
        metrics.dropped(Dropped::QueueFull).inc_by(3);
        metrics.decoys.set(2);
        metrics.decoys_refused(Refused::Link).inc();
        let kernel = || KernelState {
            backend: Backend::Kprobe,
            misses: Misses::Counted,
            swaps: 1,
            counts: vec![KernelCount { program: "sys_exit", counter: "emitted", value: 5 }],
        };
        let registry = registry(&metrics, kernel);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("encode");
        for line in [
            "inotrail_events_total 7",
            "inotrail_events_delivered_total 0",
            "inotrail_export_retries_total 0",
            "inotrail_exported_bytes_total 9",
            "inotrail_unresolved_total 0",
            "inotrail_undecided_total 0",
            "inotrail_filter_entries{kind=\"names\"} 0",
            "inotrail_filter_limit 0",
            "inotrail_dropped_total{reason=\"queue_full\"} 3",
            "inotrail_dropped_total{reason=\"ring_full\"} 0",
            "inotrail_containers_resolved_total{source=\"nri\"} 0",
            "inotrail_decoys 2",
            "inotrail_decoys_refused_total{reason=\"link\"} 1",
            "inotrail_decoys_refused_total{reason=\"io\"} 0",
            "inotrail_kernel_total{program=\"sys_exit\",counter=\"emitted\"} 5",
            "inotrail_backend_info{backend=\"kprobe\",misses=\"counted\"} 1",
            "inotrail_backend_swaps_total 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
        let build = format!("inotrail_build_info{{version=\"{}\",revision=", version::VERSION);
        assert!(text.lines().any(|line| line.starts_with(&build) && line.ends_with("} 1")), "{text}");
        assert_eq!(text.matches("# TYPE inotrail_dropped counter").count(), 1);
        assert!(text.ends_with("# EOF\n"));
    }
}
