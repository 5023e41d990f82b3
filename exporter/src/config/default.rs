//! Defaults of flags, as they would be typed, and why.

use std::time::Duration;

/// The rule that picks by losslessness is right unless somebody debugs one backend.
pub const BACKEND: &str = "auto";
/// About 80,000 records of typical size: one second of a very busy node while the reader is not scheduled.
pub const RING_SIZE: &str = "16MiB";
/// 3 MiB of kernel memory; more than the rules of a thousand policies need that are about the same containers.
pub const FILTER_ENTRIES: &str = "16384";
/// A loop of ten reads a second is a fifth of a record, and what it counts is searchable while somebody still looks.
pub const AGGREGATE: &str = "5s";
/// Waking per record costs more than the record; 5 ms fills a small part of the ring at any rate seen.
pub const DRAIN_INTERVAL: &str = "5ms";
/// Names are wanted where they can be had.
pub const RUNTIME: &str = "auto";
/// In a pod the API server is there, and allowed or not, asking does no harm.
pub const KUBERNETES: &str = "auto";
/// A runtime answers within milliseconds; a busy one within a second. An event is late by no more than this.
pub const RESOLVE_TIMEOUT: &str = "2s";
/// What waits does so in memory.
pub const RESOLVE_TIMEOUT_MAX: Duration = Duration::from_secs(10);
/// Where the kernel shows its own types.
pub const BTF: &str = "/sys/kernel/btf/vmlinux";
/// The whole node.
pub const CGROUP_ROOT: &str = "/";
/// A Collector on the node is reached without any flag, and takes it best.
pub const PROTOCOL: &str = "grpc";
/// Port 4317 is OTLP over gRPC's, 4318 that of OTLP over HTTP.
pub const ENDPOINTS: [&str; 2] = ["http://127.0.0.1:4317", "http://127.0.0.1:4318/v1/logs"];
/// The same records take half of gzip's bytes and less time.
pub const COMPRESSION: &str = "zstd";
/// `OTEL_EXPORTER_OTLP_TIMEOUT`'s default.
pub const TIMEOUT: &str = "10s";
/// With [`BATCH_BYTES`] whichever comes first: records of 500 bytes.
pub const BATCH_RECORDS: &str = "2000";
/// Compresses well, and stays far below the 4 MiB that receivers take.
pub const BATCH_BYTES: &str = "1MiB";
/// Where requests wait, many small ones would wait longer.
pub const BATCH_AGE: &str = "1s";
/// At most twenty requests a second that are not full, and a fifth of what a person notices.
pub const BATCH_INTERVAL: &str = "50ms";
/// Half of it is for what is not compressed yet: eight full requests; the other half for about a hundred that are.
pub const QUEUE_SIZE: &str = "16MiB";
/// Hours of a busy node.
pub const SPOOL_SIZE: &str = "1GiB";
/// Somebody has looked at a receiver that is away by then.
pub const MAX_AGE: &str = "24h";
/// Hides a round trip, and few enough for the receiver to keep requests roughly in order.
pub const IN_FLIGHT: &str = "4";
/// An hour of a busy node, and what tools for text still open.
pub const ROTATE_SIZE: &str = "100MiB";
/// Half a gigabyte in all.
pub const ROTATE_KEEP: &str = "5";
/// Loki's, and that of others who have tenants.
pub const TENANT_HEADER: &str = "X-Scope-OrgID";
/// All of them.
pub const EXPORT_SEVERITY: &str = "low";
/// What is nobody's is the product's.
pub const TENANT_DEFAULT: &str = "inotrail";
/// `OTEL_METRIC_EXPORT_INTERVAL`'s default.
pub const TELEMETRY_INTERVAL: &str = "60s";
/// Loopback: metrics name no container, yet nobody asked for an open port. 9464 is OpenTelemetry's Prometheus port.
pub const LISTEN: &str = "127.0.0.1:9464";
/// A person reads it.
pub const TRACE_OUTPUT: &str = "table";
/// A person reads it.
pub const CHECK_OUTPUT: &str = "table";
/// A person reads it.
pub const VERIFY_OUTPUT: &str = "table";
/// Every record of a Loki: its index labels are whoever's configuration.
pub const LOKI_SELECTOR: &str = r#"{service_name=~".+"}"#;
/// What a person asks who looks whether all is well.
pub const LOKI_SINCE: &str = "1h";
/// Loki's own limit.
pub const LOKI_PAGE: &str = "5000";
/// Escape codes in a file help nobody.
pub const COLOR: &str = "auto";
/// A person reads it; collectors of JSON logs ask for JSON.
pub const LOG_FORMAT: &str = "text";
/// Where `detach` looks for pins: where the BPF file system usually is.
pub const PIN_DIR: &str = "/sys/fs/bpf/inotrail";
/// Gone with the next boot, as is the exporter.
pub const HOOK_SOCKET: &str = "/run/inotrail/oci-hook.sock";
/// Where podman and CRI-O look, and what is theirs to configure.
pub const HOOKS_DIR: &str = "/etc/containers/oci/hooks.d";
/// Writable and executable on nodes whose /usr is read-only, too.
pub const BIN_DIR: &str = "/var/lib/inotrail";
/// Not in a container.
pub const HOST_ROOT: &str = "/";
/// A runtime has read the hook when it begins to make a container, and runs it some ten milliseconds later.
pub const HOOK_GRACE: &str = "10s";
