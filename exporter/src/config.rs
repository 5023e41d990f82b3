//! Flags and environment, parsed by clap ([`args`]), turned into what the stages need, checked.

pub mod args;
pub mod choice;
pub mod default;
pub mod endpoint;
mod environment;
mod file;
pub mod given;
mod lines;
mod names;
pub mod parse;
mod shipping;
mod telemetry;

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use thiserror::Error;

use crate::batch::Limits;
use crate::container::kube::KubeConfig;
use crate::container::source::{Api, RuntimeConfig};
use crate::event::{Backend, Node};
use crate::journal::JournalConfig;
use crate::policy_source::PolicyConfig;
use crate::process::Redaction;
use crate::route::Route;
use args::{CheckArgs, NodeArgs, PolicyArgs, ProcessArgs, RunArgs, SensorArgs};
use choice::{Compression, Form, Protocol};
pub use endpoint::Endpoint;
pub use environment::command;
pub use file::with_file;
use names::{names, names_and_policies};

/// What `run` needs.
#[derive(Clone, Debug)]
pub struct Run {
    /// How the kernel is hooked.
    pub sensor: Sensor,
    /// Whose accesses are reported.
    pub scope: Scope,
    /// For how long equal accesses are told in one record; nothing: each is one.
    pub aggregate: Option<Duration>,
    /// How containers get their names.
    pub names: Names,
    /// Where policies come from; nothing: everything is reported.
    pub policies: Option<PolicyConfig>,
    /// Where this is; made new at every start.
    pub node: Node,
    /// Arguments of processes are wanted, redacted by this; nothing: they are not.
    pub redaction: Option<Arc<Redaction>>,
    /// Where records go.
    pub shipping: Shipping,
    /// Where own metrics and log messages go by OTLP; nothing: nowhere.
    pub telemetry: Option<Telemetry>,
    /// Where the administration server listens.
    pub listen: SocketAddr,
}

/// What `trace` needs; its filter, form and limits are [`crate::sink::Printer`]'s.
#[derive(Clone, Debug)]
pub struct Trace {
    /// How the kernel is hooked.
    pub sensor: Sensor,
    /// Whose accesses are reported.
    pub scope: Scope,
    /// How containers get their names.
    pub names: Names,
    /// Where policies come from; nothing: everything is reported.
    pub policies: Option<PolicyConfig>,
    /// Where this is; made new at every start.
    pub node: Node,
    /// Arguments of processes are wanted, redacted by this; nothing: they are not.
    pub redaction: Option<Arc<Redaction>>,
}

/// What `check` needs.
#[derive(Clone, Debug)]
pub struct Check {
    /// How the kernel is hooked.
    pub sensor: Sensor,
    /// Whose accesses are reported.
    pub scope: Scope,
    /// How containers get their names.
    pub names: Names,
    /// Where an exporter may have programs pinned.
    pub pin_dir: PathBuf,
}

/// How the kernel is hooked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sensor {
    /// The only backend to try; nothing picks by rule.
    pub backend: Option<Backend>,
    /// Kernel types.
    pub btf: PathBuf,
    /// Bytes of the ring buffer: a power of two and a multiple of the page size.
    pub ring_bytes: u32,
    /// Names, and files, that the kernel's filters hold.
    pub filter_entries: u32,
    /// Time between two drains.
    pub drain_interval: Duration,
    /// Also what is done to files without opening them.
    pub mutations: bool,
    /// Where programs and maps are pinned; nothing: nowhere.
    pub pin_dir: Option<PathBuf>,
}

/// Whose accesses are reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Only this cgroup and those below, absolute below the hierarchy's root.
    pub root: PathBuf,
    /// None of these nor those below, in the same form.
    pub exclude: Vec<PathBuf>,
    /// Also the exporter's own.
    pub include_self: bool,
    /// Also processes that are in no container.
    pub host: bool,
}

/// How containers get their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// Who is asked; nothing: nobody.
    pub runtime: Option<RuntimeConfig>,
    /// Who is asked for pods; nothing: nobody.
    pub kube: Option<KubeConfig>,
    /// Where the OCI hook is listened for; nothing: nowhere.
    pub hook: Option<PathBuf>,
    /// Where a runtime takes plugins in; nothing: none tells by itself.
    pub nri: Option<PathBuf>,
    /// How long events wait for a name.
    pub resolve_within: Duration,
}

/// Where records go, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// A receiver has a scheme (`http` or `https`), host and port; with the whole path for HTTP.
    pub endpoint: Endpoint,
    /// How lines are written, where it is no receiver. All that follows is for a receiver then, but for the longest time.
    pub lines: Lines,
    /// How requests travel.
    pub protocol: Protocol,
    /// File with a bearer token, which is read again and again.
    pub token_file: Option<PathBuf>,
    /// Sent with every request; values are marked sensitive.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Compression to start with.
    pub compression: Compression,
    /// Deadline of one request.
    pub timeout: Duration,
    /// PEM files; only for `https`.
    pub tls: Tls,
    /// Longest time from a record to its acknowledgement.
    pub max_age: Duration,
    /// Requests on the way at once, besides one of violations.
    pub in_flight: usize,
    /// Header with the tenant's name, where records have tenants.
    pub tenant_header: Option<HeaderName>,
}

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lines {
    /// Their form.
    pub form: Form,
    /// Bytes of a file that no request makes longer, unless it is longer alone.
    pub rotate_size: u64,
    /// Renamed files that are kept.
    pub rotate_keep: u32,
}

/// What waits where, and who is to get it.
#[derive(Clone, Debug)]
pub struct Shipping {
    /// When a request is full.
    pub batch: Limits,
    /// What is kept.
    pub journal: JournalConfig,
    /// Who gets it: at least one.
    pub destinations: Vec<Destination>,
}

/// Who gets records.
#[derive(Clone, Debug)]
pub struct Destination {
    /// Its name in metrics, logs and the spool.
    pub name: String,
    /// What it gets.
    pub route: Route,
    /// How.
    pub export: Export,
}

/// Where the exporter's own metrics and log messages go by OTLP.
#[derive(Clone, Debug)]
pub struct Telemetry {
    /// The receiver, and how it is reached.
    pub export: Export,
    /// Time between two requests with metrics.
    pub interval: Duration,
    /// Log messages, too.
    pub logs: bool,
}

/// PEM texts for TLS.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// Certificates to trust instead of the system's.
    pub ca: Option<Vec<u8>>,
    /// Own certificate and its key.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

/// Why a configuration cannot be used.
#[derive(Debug, Error)]
pub enum Error {
    /// The flags contradict each other: exit code 64.
    #[error("{0}")]
    Usage(&'static str),
    /// What a configuration file says cannot be used: exit code 64.
    #[error("{}: {what}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// Where, and what is wrong.
        what: String,
    },
    /// A flag's values cannot be used together: exit code 64.
    #[error("{flag}: {what}")]
    Values {
        /// The flag.
        flag: &'static str,
        /// What is wrong.
        what: String,
    },
    /// A file that a flag names cannot be used: exit code 1.
    #[error("cannot read {} given by {flag}: {cause}; {advice}", path.display())]
    File {
        /// The flag.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
        /// What to do.
        advice: &'static str,
    },
    /// A runtime's socket was named and is not there: exit code 1.
    #[error("no container runtime's socket at {}: start the runtime, name its socket with --runtime-socket, or use --runtime none", .0.display())]
    NoSocket(PathBuf),
    /// A runtime was asked for and is not found: exit code 1.
    #[error("no socket of {} is at its usual place: start the runtime, name its socket with --runtime-socket, or use --runtime none", .0.as_str())]
    NoRuntime(Api),
}

impl TryFrom<RunArgs> for Run {
    type Error = Error;

    fn try_from(args: RunArgs) -> Result<Self, Error> {
        let state = args.policy.state.clone();
        let (names, policies) = names_and_policies(&args.sensor, &args.node, args.policy)?;
        let policies = policies.map(|policies| PolicyConfig { reports: true, ..policies });
        let shipping = shipping::shipping(args.export, args.route, &args.queue, state, args.config.as_deref())?;
        Ok(Self {
            sensor: Sensor { pin_dir: args.pin_dir, ..sensor(&args.sensor)? },
            names,
            policies,
            scope: scope(args.sensor, args.host),
            aggregate: args.aggregate.0,
            node: self::node(args.node),
            redaction: redaction(&args.process)?,
            shipping,
            telemetry: telemetry::telemetry(args.telemetry)?,
            listen: args.listen,
        })
    }
}

impl Trace {
    /// # Errors
    /// A file that a flag names cannot be used.
    pub fn new(
        sensor_args: SensorArgs,
        node: NodeArgs,
        process: &ProcessArgs,
        policy: PolicyArgs,
        host: bool,
    ) -> Result<Self, Error> {
        if policy.state.is_some() && !policy.kubernetes_policies && !policy.decoys {
            return Err(Error::Usage("--state is of no use without --kubernetes-policies or --decoys: leave it out"));
        }
        let (names, policies) = names_and_policies(&sensor_args, &node, policy)?;
        Ok(Self {
            sensor: sensor(&sensor_args)?,
            names,
            policies,
            scope: scope(sensor_args, host),
            node: self::node(node),
            redaction: redaction(process)?,
        })
    }
}

impl TryFrom<CheckArgs> for Check {
    type Error = Error;

    fn try_from(args: CheckArgs) -> Result<Self, Error> {
        Ok(Self {
            sensor: sensor(&args.sensor)?,
            names: names(&args.sensor, "")?,
            pin_dir: args.pin_dir,
            scope: scope(args.sensor, true),
        })
    }
}

fn sensor(args: &SensorArgs) -> Result<Sensor, Error> {
    if let Some(path) = &args.btf {
        let advice = "name a file with the running kernel's BTF, or leave --btf out";
        File::open(path).map_err(|cause| Error::File { flag: "--btf", path: path.clone(), cause, advice })?;
    }
    Ok(Sensor {
        backend: args.backend.into(),
        btf: args.btf.clone().unwrap_or_else(|| default::BTF.into()),
        ring_bytes: args.ring_size,
        filter_entries: args.filter_entries,
        drain_interval: args.drain_interval,
        mutations: args.mutations,
        pin_dir: None,
    })
}

fn scope(args: SensorArgs, host: bool) -> Scope {
    Scope { root: args.cgroup_root, exclude: args.exclude_cgroup, include_self: args.include_self, host }
}

fn redaction(args: &ProcessArgs) -> Result<Option<Arc<Redaction>>, Error> {
    if !args.process_arguments {
        return Ok(None);
    }
    let redaction = Redaction::new(&args.redact_argument);
    Ok(Some(Arc::new(redaction.map_err(|_| Error::Usage("--redact-argument: the patterns together are too large"))?)))
}

fn node(args: NodeArgs) -> Node {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    Node { name: args.node_name, cluster: args.cluster_name, host, stream_id: stream_id() }
}

/// A random UUID by the kernel; where there is none, no other process of this host has the same start and id.
fn stream_id() -> String {
    match std::fs::read_to_string("/proc/sys/kernel/random/uuid") {
        Ok(uuid) => uuid.trim_end().to_owned(),
        Err(_) => format!("{:x}-{:x}", jiff::Timestamp::now().as_nanosecond(), std::process::id()),
    }
}

impl From<choice::Backend> for Option<Backend> {
    fn from(choice: choice::Backend) -> Self {
        match choice {
            choice::Backend::Auto => None,
            choice::Backend::Fexit => Some(Backend::Fexit),
            choice::Backend::Kprobe => Some(Backend::Kprobe),
            choice::Backend::RawTracepoint => Some(Backend::RawTracepoint),
        }
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ca = self.ca.as_ref().map(|_| "given");
        let identity = self.identity.as_ref().map(|_| "given");
        f.debug_struct("Tls").field("ca", &ca).field("identity", &identity).finish()
    }
}
