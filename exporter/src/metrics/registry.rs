//! The counts as OpenMetrics shows them.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::{Dropped, Metrics};
use crate::event::Backend;
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

/// Everything that `/metrics` shows, with names in full as a reader of it sees them: `inotrail_events_total`.
///
/// `kernel` is called at every scrape, by the thread that serves it.
pub fn registry<F>(metrics: &Arc<Metrics>, backend: Backend, kernel: F) -> Registry
where
    F: Fn() -> Vec<KernelCount> + Send + Sync + 'static,
{
    let mut registry = Registry::with_prefix("inotrail");
    let counters = [
        ("events", "Accesses given to the sink, one by one or as a count", &metrics.emitted),
        ("events_delivered", "Accesses in log records that the receiver acknowledged", &metrics.delivered),
        ("export_retries", "Export requests sent again", &metrics.export_retries),
        ("unresolved", "Events released without their container's name", &metrics.unresolved),
    ];
    for (name, help, counter) in counters {
        registry.register(name, help, counter.clone());
    }
    let help = "Bytes of export requests sent, after compression";
    registry.register_with_unit("exported", help, Unit::Bytes, metrics.exported_bytes.clone());
    let build =
        [("version", version::VERSION), ("revision", version::REVISION), ("backend", backend.as_str())].to_vec();
    registry.register("build", "What runs", Info::new(build));
    registry.register_collector(Box::new(Drops(Arc::clone(metrics))));
    registry.register_collector(Box::new(Kernel(kernel)));
    registry
}

#[derive(Debug)]
struct Drops(Arc<Metrics>);

impl Collector for Drops {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let help = "Accesses that are in no delivered record, by reason";
        let mut family = encoder.encode_descriptor("dropped", help, None, MetricType::Counter)?;
        for reason in Dropped::ALL {
            let count = self.0.dropped(reason).get();
            encode(&mut family, &[("reason", reason.as_str())], count)?;
        }
        Ok(())
    }
}

struct Kernel<F>(F);

impl<F: Fn() -> Vec<KernelCount> + Send + Sync + 'static> Collector for Kernel<F> {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let help = "Counts of the programs in the kernel";
        let mut family = encoder.encode_descriptor("kernel", help, None, MetricType::Counter)?;
        for count in (self.0)() {
            encode(&mut family, &[("program", count.program), ("counter", count.counter)], count.value)?;
        }
        Ok(())
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
    use prometheus_client::encoding::EncodeMetric;
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
        let kernel = || vec![KernelCount { program: "sys_exit", counter: "emitted", value: 5 }];
        let registry = registry(&metrics, Backend::RawTracepoint, kernel);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("encode");
        for line in [
            "inotrail_events_total 7",
            "inotrail_events_delivered_total 0",
            "inotrail_export_retries_total 0",
            "inotrail_exported_bytes_total 9",
            "inotrail_unresolved_total 0",
            "inotrail_dropped_total{reason=\"queue_full\"} 3",
            "inotrail_dropped_total{reason=\"ring_full\"} 0",
            "inotrail_kernel_total{program=\"sys_exit\",counter=\"emitted\"} 5",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
        let build = format!("inotrail_build_info{{version=\"{}\",revision=", version::VERSION);
        assert!(text.lines().any(|line| line.starts_with(&build) && line.ends_with("backend=\"raw-tracepoint\"} 1")));
        assert_eq!(text.matches("# TYPE inotrail_dropped counter").count(), 1);
        assert!(text.ends_with("# EOF\n"));
    }
}
