//! The command line as clap parses it: types whose syntax is right, nothing looked up yet.
#![expect(clippy::doc_markdown, reason = "these comments are the help texts, and a terminal shows backticks")]

mod lines;
mod oci_hook;
mod policy;
mod route;
mod telemetry;
mod verify;

use std::net::SocketAddr;
use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use globset::Glob;
use http::{HeaderName, HeaderValue};

use super::choice::{Backend, CheckOutput, Color, Compression, LogFormat, Protocol, Runtime, TraceOutput, When};
use super::{Endpoint, default, parse};
use crate::container::Account;
use crate::process::redaction;
use crate::version;
pub use lines::LinesArgs;
pub use oci_hook::{HookPlace, InstallArgs, OciHookCommand, UninstallArgs};
pub use policy::{PolicyCommand, PolicyTestArgs};
pub use route::{DestinationArgs, RouteArgs};
pub use telemetry::TelemetryArgs;
pub use verify::VerifyArgs;

/// Headings of flags that belong to one look at the terminal and so have no environment variable.
/// The hook's environment is the runtime's.
pub(super) const WITHOUT_ENVIRONMENT: [&str; 5] = ["Filter", "Output", "Hook", "Test", "Trail"];

/// An audit trail of which pod touched which file: eBPF in, OpenTelemetry logs out.
#[derive(Debug, Parser)]
#[command(name = "inotrail", version = version::line(), propagate_version = true, max_term_width = 100)]
pub struct Args {
    /// Own log messages.
    #[command(flatten)]
    pub log: LogArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the exporter: send every file access of every container as an OTLP log record.
    Run(Box<RunArgs>),
    /// Show file accesses as they happen, without a Collector.
    Trace(Box<TraceArgs>),
    /// Say what works on this node: backends, what it cannot see, missing capabilities. Exits with 1 when no backend works.
    Check(Box<CheckArgs>),
    /// Detach the programs that `run --pin-dir` left attached, and forget what they counted.
    Detach {
        /// The folder that the exporter was given.
        #[arg(long, value_name = "DIR", default_value = default::PIN_DIR)]
        pin_dir: PathBuf,
    },
    /// Have podman and CRI-O tell of each container before it starts, or no longer.
    #[command(subcommand)]
    OciHook(OciHookCommand),
    /// Try policies out before they are in force.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Say whether an audit trail is complete: every record that an exporter has numbered is there, or said to be lost. Exits
    /// with 1 where one is missing.
    Verify(Box<VerifyArgs>),
    /// Print the Kubernetes resource definitions of policies, and roles for tenants, for `kubectl apply -f -`.
    Crd,
    /// Print the completion script of a shell.
    Completions {
        /// Shell to complete in.
        shell: clap_complete::Shell,
    },
    /// Print a manual page (roff).
    Man {
        /// Subcommand to print the page of; without it, the page of inotrail.
        page: Option<String>,
    },
}

/// Own log messages; they go to stderr.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Log")]
pub struct LogArgs {
    /// Level, or filter as in RUST_LOG: "info", "warn,inotrail=debug". Without it: info for run, warn for the others.
    #[arg(long, global = true, value_name = "FILTER")]
    pub log_level: Option<String>,
    /// Form of own log messages on stderr.
    #[arg(long, global = true, value_name = "FORMAT", default_value = default::LOG_FORMAT)]
    pub log_format: LogFormat,
}

/// Flags of every subcommand that hooks the kernel.
#[derive(Debug, clap::Args)]
pub struct SensorArgs {
    /// How to hook. Auto takes the one that loses least on this kernel, then the cheapest.
    #[arg(long, value_name = "BACKEND", default_value = default::BACKEND, help_heading = "Sensor")]
    pub backend: Backend,
    /// Kernel types (BTF) to take structure offsets from [default: /sys/kernel/btf/vmlinux].
    #[arg(long, value_name = "PATH", help_heading = "Sensor")]
    pub btf: Option<PathBuf>,
    /// Bytes of the ring buffer: a power of two. What does not fit is counted as ring_full.
    #[arg(long, value_name = "SIZE", value_parser = parse::ring_size, default_value = default::RING_SIZE, help_heading = "Sensor")]
    pub ring_size: u32,
    /// Names, and files, that the kernel's filters of policies hold; more are recorded without a filter.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1 << 22), default_value = default::FILTER_ENTRIES, help_heading = "Sensor")]
    pub filter_entries: u32,
    /// How often the ring buffer is emptied: longer costs less and delays more.
    #[arg(long, value_name = "DURATION", value_parser = parse::duration, default_value = default::DRAIN_INTERVAL, help_heading = "Sensor")]
    pub drain_interval: Duration,
    /// Also report what is done to files without opening them: delete, rename, link, symlink, mkdir, rmdir, truncate, chmod,
    /// chown, setxattr, mknod, and mmap for execution.
    #[arg(long, help_heading = "Sensor")]
    pub mutations: bool,
    /// Whom to ask for container names. Auto asks the runtime whose socket is there.
    #[arg(long, value_name = "RUNTIME", default_value = default::RUNTIME, help_heading = "Containers")]
    pub runtime: Runtime,
    /// The runtime's socket; must exist when given [default: the first that is there of containerd's, k3s's, k0s's, MicroK8s's
    /// and CRI-O's].
    #[arg(long, value_name = "PATH", help_heading = "Containers")]
    pub runtime_socket: Option<PathBuf>,
    /// Listen here for the OCI hook, which names containers before they start [usual: /run/inotrail/oci-hook.sock].
    #[arg(long, value_name = "PATH", help_heading = "Containers")]
    pub hook_socket: Option<PathBuf>,
    /// Ask the Kubernetes API for the pods of --node-name. Auto: where this runs in a pod, or with --kubeconfig.
    #[arg(long, value_name = "WHEN", default_value = default::KUBERNETES, help_heading = "Containers")]
    pub kubernetes: When,
    /// How to reach the Kubernetes API, instead of the pod's service account.
    #[arg(long, value_name = "PATH", help_heading = "Containers")]
    pub kubeconfig: Option<PathBuf>,
    /// Also be told of containers before they start, as a plugin of containerd or CRI-O by this socket of theirs
    /// [usual: /var/run/nri/nri.sock]. Who may use it is root on the node.
    #[arg(long, value_name = "PATH", help_heading = "Containers")]
    pub nri_socket: Option<PathBuf>,
    /// How long the events of a new container wait for its name, at most 10s.
    #[arg(long, value_name = "DURATION", value_parser = parse::resolve_timeout, default_value = default::RESOLVE_TIMEOUT, help_heading = "Containers")]
    pub resolve_timeout: Duration,
    /// Report only this cgroup and those below it, named as in /proc/PID/cgroup.
    #[arg(long, value_name = "PATH", value_parser = parse::cgroup, default_value = default::CGROUP_ROOT, help_heading = "Containers")]
    pub cgroup_root: PathBuf,
    /// Never report this cgroup or those below it; may be repeated, or a list with commas.
    #[arg(long, value_name = "PATH", value_parser = parse::cgroup, value_delimiter = ',', help_heading = "Containers")]
    pub exclude_cgroup: Vec<PathBuf>,
    /// Never report the pods of this node that run as this ServiceAccount, as the Kubernetes API tells; may be repeated, or a
    /// list with commas.
    #[arg(long, value_name = "NAMESPACE/NAME", value_delimiter = ',', help_heading = "Containers")]
    pub exclude_account: Vec<Account>,
    /// Report the exporter's own accesses too.
    #[arg(long, help_heading = "Containers")]
    pub include_self: bool,
}

/// Names that every record carries.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Node")]
pub struct NodeArgs {
    /// k8s.node.name of every record.
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub node_name: String,
    /// k8s.cluster.name of every record.
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub cluster_name: String,
}

/// What is told of processes.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Processes")]
pub struct ProcessArgs {
    /// Report the arguments of processes, without values that the README lists as secrets.
    #[arg(long)]
    pub process_arguments: bool,
    /// Leave out the values of arguments of this name too: a glob, in any case; may be repeated, or a list with commas.
    #[arg(long, value_name = "PATTERN", value_parser = redaction::pattern, value_delimiter = ',', requires = "process_arguments")]
    pub redact_argument: Vec<Glob>,
}

/// Flags of `run`.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// What all sensors have.
    #[command(flatten)]
    pub sensor: SensorArgs,
    /// Names of the node.
    #[command(flatten)]
    pub node: NodeArgs,
    /// Processes.
    #[command(flatten)]
    pub process: ProcessArgs,
    /// Export.
    #[command(flatten)]
    pub export: ExportArgs,
    /// What is exported, and as whose.
    #[command(flatten)]
    pub route: RouteArgs,
    /// What waits.
    #[command(flatten)]
    pub queue: QueueArgs,
    /// What is worth a record.
    #[command(flatten)]
    pub policy: PolicyArgs,
    /// Own metrics and log messages.
    #[command(flatten)]
    pub telemetry: TelemetryArgs,
    /// YAML file with any of these flags, by their names without dashes, and with several destinations under "destinations".
    /// Flags and environment variables win. It is read again on SIGHUP and when it changes.
    #[arg(long, value_name = "FILE", help_heading = "Administration")]
    pub config: Option<PathBuf>,
    /// Tell the first two of equal accesses at once, and those that follow in one record per this time, with how many they were:
    /// same container, executable, user, file and outcome; `none`: each access is a record. Violations always are.
    #[arg(long, value_name = "DURATION", value_parser = parse::window, default_value = default::AGGREGATE, help_heading = "Sensor")]
    pub aggregate: parse::Window,
    /// Also report processes of the host that are in no container. With policies, these alone say so.
    #[arg(long, help_heading = "Containers")]
    pub host: bool,
    /// Pin programs and buffers in this folder of a BPF file system, so that nothing is lost while the exporter restarts
    /// [usual: /sys/fs/bpf/inotrail]. `inotrail detach` removes them.
    #[arg(long, value_name = "DIR", help_heading = "Sensor")]
    pub pin_dir: Option<PathBuf>,
    /// Where /livez, /readyz and /metrics are served.
    #[arg(long, value_name = "ADDRESS", value_parser = parse::listen, default_value = default::LISTEN, help_heading = "Administration")]
    pub listen: SocketAddr,
}

/// What is worth a record.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Policies")]
pub struct PolicyArgs {
    /// Report only what the policies of this YAML file, or of the files in this folder, are about. Changes take effect at
    /// once; may be repeated, or a list with commas.
    #[arg(long, value_name = "PATH", value_delimiter = ',')]
    pub policy: Vec<PathBuf>,
    /// Report only what the cluster's FileAccessPolicies and ClusterFileAccessPolicies are about.
    #[arg(long)]
    pub kubernetes_policies: bool,
    /// Make the decoys of policies: put files into containers, and take them out again.
    #[arg(long)]
    pub decoys: bool,
    /// Keep here what waits to be sent, so that it outlives the exporter; what the Kubernetes API told last of policies, with
    /// which a start without it goes on; and which decoys are where.
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
}

/// Where log records go, and how.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Export (OTLP)")]
pub struct ExportArgs {
    /// Receiver: http://host:port, or https:// for TLS; with a path for http/protobuf, which is /v1/logs where there is none;
    /// or file:///path for lines in a file, or stdout: for lines there
    /// [default: http://127.0.0.1:4317, or :4318 for http/protobuf].
    #[arg(long, value_name = "URL")]
    pub endpoint: Option<Endpoint>,
    /// How requests travel.
    #[arg(long, value_name = "PROTOCOL", default_value = default::PROTOCOL)]
    pub protocol: Protocol,
    /// TLS is not used for an --endpoint without http:// or https://.
    #[arg(long)]
    pub insecure: bool,
    /// File with a token for the header Authorization; it is read again every 10s, and where it is wrong, the last one stays.
    #[arg(long, value_name = "PATH")]
    pub bearer_token_file: Option<PathBuf>,
    /// Header of every request, the value percent-encoded; may be repeated, or a list with commas.
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse::header, value_delimiter = ',', hide_env_values = true)]
    pub header: Vec<(HeaderName, HeaderValue)>,
    /// Compression of requests; zstd falls back to gzip where the receiver refuses it.
    #[arg(long, value_name = "METHOD", default_value = default::COMPRESSION)]
    pub compression: Compression,
    /// How long one request may take; a bare number is milliseconds.
    #[arg(long, value_name = "DURATION", value_parser = parse::timeout, default_value = default::TIMEOUT)]
    pub timeout: Duration,
    /// Certificates (PEM) to trust for https, instead of the system's. Read again when they change, as the two below.
    #[arg(long, value_name = "PATH")]
    pub ca_file: Option<PathBuf>,
    /// Own certificate (PEM) to show to the receiver.
    #[arg(long, value_name = "PATH", requires = "client_key")]
    pub client_cert: Option<PathBuf>,
    /// Key (PEM) of the own certificate.
    #[arg(long, value_name = "PATH", requires = "client_cert")]
    pub client_key: Option<PathBuf>,
    /// Longest time that a request is tried; older ones are counted as expired.
    #[arg(long, value_name = "DURATION", value_parser = parse::duration, default_value = default::MAX_AGE)]
    pub max_age: Duration,
    /// Most requests that are on the way at once. With 1 they arrive in order.
    #[arg(long, value_name = "N", default_value = default::IN_FLIGHT)]
    pub in_flight: NonZero<u32>,
    /// How lines are written.
    #[command(flatten)]
    pub lines: LinesArgs,
}

/// What waits to be sent.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Queue")]
pub struct QueueArgs {
    /// Most records of one request.
    #[arg(long, value_name = "N", default_value = default::BATCH_RECORDS)]
    pub batch_records: NonZero<u32>,
    /// Most bytes of one request before compression.
    #[arg(long, value_name = "SIZE", value_parser = parse::batch_bytes, default_value = default::BATCH_BYTES)]
    pub batch_bytes: usize,
    /// Longest time that a record waits for its request to fill.
    #[arg(long, value_name = "DURATION", value_parser = parse::duration, default_value = default::BATCH_AGE)]
    pub batch_age: Duration,
    /// Time from one request to the next where a fortieth of one is there by then, and the destination keeps up; four times as
    /// long where that fills it. Not more than --batch-age.
    #[arg(long, value_name = "DURATION", value_parser = parse::duration, default_value = default::BATCH_INTERVAL)]
    pub batch_interval: Duration,
    /// Most memory that waiting requests take; what comes on top is counted as queue_full or shed.
    #[arg(long, value_name = "SIZE", value_parser = parse::queue_size, default_value = default::QUEUE_SIZE)]
    pub queue_size: usize,
    /// Most room on disk that waiting requests take, in the folder of --state; the oldest make room, and are counted as
    /// spool_full.
    #[arg(long, value_name = "SIZE", value_parser = parse::spool_size, default_value = default::SPOOL_SIZE)]
    pub spool_size: u64,
}

/// Flags of `trace`.
#[derive(Debug, clap::Args)]
pub struct TraceArgs {
    /// What all sensors have.
    #[command(flatten)]
    pub sensor: SensorArgs,
    /// Names of the node.
    #[command(flatten)]
    pub node: NodeArgs,
    /// Processes.
    #[command(flatten)]
    pub process: ProcessArgs,
    /// What is worth a line.
    #[command(flatten)]
    pub policy: PolicyArgs,
    /// Which events are shown.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Leave out processes of the host that are in no container. With policies, these alone say so.
    #[arg(long, help_heading = "Containers")]
    pub no_host: bool,
    /// Stop after this many events.
    #[arg(long, value_name = "N", help_heading = "Output")]
    pub count: Option<NonZero<u64>>,
    /// Stop after this time.
    #[arg(long = "for", value_name = "DURATION", value_parser = parse::duration, help_heading = "Output")]
    pub duration: Option<Duration>,
    /// Form of the output.
    #[arg(long, value_name = "FORM", default_value = default::TRACE_OUTPUT, help_heading = "Output")]
    pub output: TraceOutput,
    /// Colour of the table. Auto: on a terminal, unless NO_COLOR is set.
    #[arg(long, value_name = "WHEN", default_value = default::COLOR, help_heading = "Output")]
    pub color: Color,
}

/// Which events are shown: all kinds of flags must agree; of one flag's several values any.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Filter")]
pub struct FilterArgs {
    /// Only this container: its name, or the start of its id; may be repeated.
    #[arg(long, value_name = "NAME|ID")]
    pub container: Vec<String>,
    /// Only pods of this namespace; may be repeated.
    #[arg(long, value_name = "NAME")]
    pub namespace: Vec<String>,
    /// Only paths that match; `*` stops at `/`, `**` does not; without `/` it is for the last component; may be repeated.
    #[arg(long, value_name = "GLOB", value_parser = parse::glob)]
    pub path: Vec<Glob>,
    /// Only threads of this name (15 bytes at most, as the kernel cuts it); may be repeated.
    #[arg(long, value_name = "NAME")]
    pub comm: Vec<String>,
    /// Only accesses that failed.
    #[arg(long)]
    pub denied: bool,
}

/// Flags of `check`.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// What all sensors have.
    #[command(flatten)]
    pub sensor: SensorArgs,
    /// The folder that an exporter's `run` was given: say what is attached by it.
    #[arg(long, value_name = "DIR", default_value = default::PIN_DIR, help_heading = "Sensor")]
    pub pin_dir: PathBuf,
    /// Form of the output.
    #[arg(long, value_name = "FORM", default_value = default::CHECK_OUTPUT, help_heading = "Output")]
    pub output: CheckOutput,
}
