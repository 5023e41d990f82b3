//! The kernel's half, and the exporter itself.

use opentelemetry_semantic_conventions::attribute::CPU_MODE;
use opentelemetry_semantic_conventions::metric as semconv;

use super::family;
use crate::metrics::family::Kind::{Counter, Gauge, Info, UpDown};
use crate::metrics::family::Value::{Real, Whole};
use crate::metrics::family::{Family, Label};
use crate::otlp::attribute::BACKEND;
use crate::version;

/// The kernel's half.
pub(super) static KERNEL: [Family; 6] = [
    family(
        ("inotrail_kernel", "inotrail.kernel.count"),
        "1",
        Counter,
        &[Label("program", "inotrail.kernel.program"), Label("counter", "inotrail.kernel.counter")],
        "Counts of the programs in the kernel",
        |source, each| {
            for count in source.kernel().counts {
                each(&[count.program, count.counter], Whole(count.value));
            }
        },
    ),
    family(
        ("inotrail_backend", "inotrail.backend.info"),
        "1",
        Info,
        &[Label("backend", BACKEND), Label("misses", "inotrail.backend.misses")],
        "What reports accesses now, and whether the kernel may skip it",
        |source, each| {
            let state = source.kernel();
            each(&[state.backend.as_str(), state.misses.as_str()], Whole(1));
        },
    ),
    family(
        ("inotrail_backend_swaps", "inotrail.backend.swaps"),
        "{swap}",
        Counter,
        &[],
        "How often kprobe has taken over from fexit, which the kernel skipped",
        |source, each| each(&[], Whole(source.kernel().swaps)),
    ),
    family(
        ("inotrail_ring_bytes", "inotrail.ring.usage"),
        "By",
        UpDown,
        &[],
        "Bytes of records that were in the ring buffer when it was emptied last",
        |source, each| each(&[], Whole(source.kernel().ring.used)),
    ),
    family(
        ("inotrail_ring_peak_bytes", "inotrail.ring.peak"),
        "By",
        Gauge,
        &[],
        "Most bytes of records that were in the ring buffer when it was emptied, since the start",
        |source, each| each(&[], Whole(source.kernel().ring.peak)),
    ),
    family(
        ("inotrail_ring_limit_bytes", "inotrail.ring.limit"),
        "By",
        UpDown,
        &[],
        "Size of the ring buffer",
        |source, each| each(&[], Whole(source.kernel().ring.size)),
    ),
];

/// The exporter itself.
pub(super) static EXPORTER: [Family; 6] = [
    family(
        ("inotrail_well", "inotrail.part.well"),
        "1",
        Gauge,
        &[Label("part", "inotrail.part")],
        "Whether a part works: the sensor, by its self-test, the container runtime, and the disk of the spool",
        |source, each| {
            let health = &source.metrics.health;
            each(&["sensor"], Whole(health.sensor.get().into()));
            each(&["runtime"], Whole(health.runtime.get().into()));
            each(&["spool"], Whole(health.spool.get().is_none().into()));
        },
    ),
    family(
        ("inotrail_config_reloads", "inotrail.config.reloads"),
        "{reload}",
        Counter,
        &[Label("result", "inotrail.config.result")],
        "How often the configuration was read again, by result: taken up, or wrong and left",
        |source, each| {
            for (result, taken_up) in [("ok", true), ("error", false)] {
                each(&[result], Whole(source.metrics.reloads(taken_up).get()));
            }
        },
    ),
    family(
        ("inotrail_build", "inotrail.build.info"),
        "1",
        Info,
        &[Label("version", "inotrail.build.version"), Label("revision", "inotrail.build.revision")],
        "What runs",
        |_, each| each(&[version::VERSION, version::REVISION], Whole(1)),
    ),
    family(
        ("process_cpu_seconds", semconv::PROCESS_CPU_TIME),
        "s",
        Counter,
        &[Label("mode", CPU_MODE)],
        "Processor time of the exporter",
        |source, each| {
            if let Some(process) = source.process() {
                each(&["user"], Real(process.user));
                each(&["system"], Real(process.system));
            }
        },
    ),
    family(
        ("process_resident_memory_bytes", semconv::PROCESS_MEMORY_USAGE),
        "By",
        UpDown,
        &[],
        "Memory of the exporter",
        |source, each| source.process().into_iter().for_each(|process| each(&[], Whole(process.resident))),
    ),
    family(
        ("process_open_fds", semconv::PROCESS_UNIX_FILE_DESCRIPTOR_COUNT),
        "{file_descriptor}",
        UpDown,
        &[],
        "Files that the exporter has open",
        |source, each| source.process().into_iter().for_each(|process| each(&[], Whole(process.files))),
    ),
];
