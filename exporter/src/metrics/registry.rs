//! The counts as OpenMetrics shows them.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::{Registry, Unit};

use super::families;
use super::family::{Family, Kind, Label, Source, Value};
use crate::event::Backend;
use crate::sensor::RingFill;
use crate::sensor::backend::Misses;

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
    /// The ring buffer.
    pub ring: RingFill,
}

/// Everything that `/metrics` shows.
#[must_use]
pub fn registry(source: &Arc<Source>) -> Registry {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Families(Arc::clone(source))));
    registry
}

#[derive(Debug)]
struct Families(Arc<Source>);

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        families::all().try_for_each(|family| self.family(family, &mut encoder))
    }
}

impl Families {
    fn family(&self, family: &Family, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let (name, unit) = name_and_unit(family);
        let kind = match family.kind {
            Kind::Counter => MetricType::Counter,
            Kind::UpDown | Kind::Gauge => MetricType::Gauge,
            Kind::Info => MetricType::Info,
            Kind::Durations => MetricType::Histogram,
        };
        let mut encoder = encoder.encode_descriptor(name, family.help, unit.as_ref(), kind)?;
        if family.kind == Kind::Durations {
            for books in self.0.metrics.health.export.all() {
                for (why, histogram) in books.durations.all() {
                    histogram.encode(encoder.encode_family(&labels(family.labels, &[&books.name, why]))?)?;
                }
            }
            return Ok(());
        }
        let mut result = Ok(());
        self.0.read(family, &mut |values, value| {
            if result.is_ok() {
                result = point(&mut encoder, family, values, value);
            }
        });
        result
    }
}

/// OpenMetrics wants units at the end of names; the encoder puts them there.
fn name_and_unit(family: &Family) -> (&'static str, Option<Unit>) {
    let units = [("_bytes", Unit::Bytes), ("_seconds", Unit::Seconds)];
    let found = units.into_iter().find_map(|(end, unit)| Some((family.name.strip_suffix(end)?, Some(unit))));
    found.unwrap_or((family.name, None))
}

fn point(encoder: &mut MetricEncoder<'_>, family: &Family, values: &[&str], value: Value) -> fmt::Result {
    let labels = labels(family.labels, values);
    match family.kind {
        Kind::Info => encoder.encode_info(&labels),
        // Without labels there are no braces either.
        kind if family.labels.is_empty() => number(encoder, kind, value),
        kind => number(&mut encoder.encode_family(&labels)?, kind, value),
    }
}

fn number(encoder: &mut MetricEncoder<'_>, kind: Kind, value: Value) -> fmt::Result {
    let no_exemplar: Option<&Exemplar<NoLabelSet, u64>> = None;
    match (kind, value) {
        (Kind::Counter, Value::Whole(value)) => encoder.encode_counter(&value, no_exemplar),
        (Kind::Counter, Value::Real(value)) => encoder.encode_counter(&value, no_exemplar),
        (_, Value::Whole(value)) => encoder.encode_gauge(&value),
        (_, Value::Real(value)) => encoder.encode_gauge(&value),
    }
}

fn labels<'a>(names: &'a [Label], values: &[&'a str]) -> Vec<(&'a str, &'a str)> {
    let all = names.iter().map(|name| name.0).zip(values.iter().copied());
    all.filter(|(_, value)| !value.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Dropped, Metrics, Waiting};
    use std::time::Duration;

    use super::*;
    use crate::decoy::Refused;
    use crate::version;

    #[test]
    fn names_and_labels() {
        let metrics = Arc::new(Metrics::default());
        metrics.emitted.inc_by(7);
        metrics.exported_bytes.inc_by(9);
        metrics.dropped(Dropped::QueueFull).inc_by(3);
        metrics.decoys.set(2);
        metrics.reloads(false).inc();
        let books = metrics.open_books("siem");
        books.deliver(4, 3);
        books.durations.enter("siem", None, Duration::from_millis(30));
        books.durations.enter("siem", Some(Dropped::Expired), Duration::from_secs(700));
        books.lose(Dropped::Expired, 6, 2);
        books.set_health(Ok(()));
        books.set_waiting(Waiting { requests: 1, bytes: 2, accesses: 3, oldest_ns: 4_900_000_000 });
        metrics.decoys_refused(Refused::Link).inc();
        let kernel = || KernelState {
            ring: RingFill { size: 4096, used: 16, peak: 32 },
            backend: Backend::Kprobe,
            misses: Misses::Counted,
            swaps: 1,
            counts: vec![KernelCount { program: "sys_exit", counter: "emitted", value: 5 }],
        };
        let registry = registry(&Source::new(&metrics, kernel));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("encode");
        for line in [
            "inotrail_events_total 7",
            "inotrail_events_delivered_total 4",
            "inotrail_dropped_total{reason=\"expired\"} 6",
            "inotrail_destination_well{destination=\"siem\"} 1",
            "inotrail_destination_delivered_total{destination=\"siem\"} 4",
            "inotrail_destination_dropped_total{destination=\"siem\",reason=\"expired\"} 6",
            "inotrail_waiting_requests{destination=\"siem\"} 1",
            "inotrail_waiting_bytes{destination=\"siem\"} 2",
            "inotrail_waiting_accesses{destination=\"siem\"} 3",
            "inotrail_waiting_since_seconds{destination=\"siem\"} 4",
            "inotrail_destination_records_total{destination=\"siem\"} 3",
            "inotrail_destination_records_total{destination=\"siem\",reason=\"expired\"} 2",
            "inotrail_destination_inflight{destination=\"siem\"} 0",
            "inotrail_request_duration_seconds_count{destination=\"siem\"} 1",
            "inotrail_request_duration_seconds_bucket{le=\"0.025\",destination=\"siem\"} 0",
            "inotrail_request_duration_seconds_bucket{le=\"0.05\",destination=\"siem\"} 1",
            "inotrail_request_duration_seconds_bucket{le=\"600.0\",destination=\"siem\",reason=\"expired\"} 0",
            "inotrail_request_duration_seconds_sum{destination=\"siem\",reason=\"expired\"} 700.0",
            "inotrail_ring_bytes 16",
            "inotrail_ring_peak_bytes 32",
            "inotrail_ring_limit_bytes 4096",
            "inotrail_well{part=\"sensor\"} 0",
            "inotrail_well{part=\"spool\"} 1",
            "inotrail_policies 0",
            "inotrail_export_retries_total 0",
            "inotrail_exported_bytes_total 9",
            "inotrail_unresolved_total 0",
            "inotrail_undecided_total 0",
            "inotrail_filter_entries{kind=\"names\"} 0",
            "inotrail_filter_limit 0",
            "inotrail_dropped_total{reason=\"queue_full\"} 3",
            "inotrail_dropped_total{reason=\"ring_full\"} 0",
            "inotrail_containers_resolved_total{source=\"nri\"} 0",
            "inotrail_config_reloads_total{result=\"ok\"} 0",
            "inotrail_config_reloads_total{result=\"error\"} 1",
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
