//! Configuration -> running stages. The only place that knows them all; `run` and `trace` read as the boot order.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch as value;

use crate::admin::{self, Shown};
use crate::config;
use crate::config::given::Given;
use crate::container::cgroup::{self, Hierarchy};
use crate::container::{self, CgroupEvents, ContainerConfig, Containers, MountReader};
use crate::decoy::{self, DecoyConfig, Planting};
use crate::event::Backend;
use crate::loss::{Outage, Uuid};
use crate::metrics::{Metrics, Source, registry};
use crate::pipeline::{Output, Pipeline};
use crate::policy_source::{self, PolicyConfig};
use crate::process::{ProcessConfig, ProcessScan, ProcessTable, Redaction};
use crate::sensor::kernel::Kernel;
use crate::sensor::privileges::{self, Dropped};
use crate::sensor::report::{MutationReport, Report};
use crate::sensor::{self, Hooks, Opened, Options, Sensor, Swapped};
use crate::ship;
use crate::sink::Printer;
use crate::spool;
use crate::telemetry::{self, OwnLogs, Telemetry};

pub mod export;
mod health;
mod losses;
mod print;
mod reader;
pub mod reload;
pub mod shipping;
mod signals;
mod watchdog;

use export::Export;
use losses::{KernelCounts, Losses};
use reader::Reader;
use reload::Reloading;
use shipping::Shipping;
use signals::{LOSSES_INTERVAL, Signals};

/// Why it cannot start.
#[derive(Debug, Error)]
pub enum Error {
    /// No cgroup hierarchy.
    #[error(transparent)]
    Hierarchy(#[from] cgroup::Error),
    /// There are no policies.
    #[error(transparent)]
    Policies(#[from] policy_source::Error),
    /// Containers cannot be told apart.
    #[error(transparent)]
    Container(#[from] container::Error),
    /// Decoys cannot be made.
    #[error(transparent)]
    Decoys(#[from] decoy::Error),
    /// The programs do not run.
    #[error(transparent)]
    Sensor(#[from] sensor::Error),
    /// More is left than is needed.
    #[error("cannot drop capabilities: {0}")]
    Privileges(io::Error),
    /// The administration server has no address.
    #[error(transparent)]
    Admin(#[from] admin::Error),
    /// Nothing can be sent.
    #[error(transparent)]
    Ship(#[from] ship::Error),
    /// Nothing can be kept.
    #[error(transparent)]
    Spool(#[from] spool::Error),
    /// Own metrics cannot be sent.
    #[error(transparent)]
    Telemetry(#[from] telemetry::Error),
    /// A thread or a signal handler could not be made.
    #[error("cannot start: {0}")]
    Start(#[from] io::Error),
    /// A bug: the message went to stderr.
    #[error("the sensor thread panicked; please report it with the message above")]
    Panicked,
}

/// Runs the exporter until SIGTERM or SIGINT; returns when everything is sent or counted as dropped. The configuration of
/// this command line, `given` as it was read, is followed meanwhile.
///
/// # Errors
/// It cannot start.
pub fn run(config: &config::Run, arguments: Vec<OsString>, given: Given) -> Result<(), Error> {
    sensor::heap::share();
    // What can be wrong outside the kernel is found first.
    let listener = admin::bind(config.listen)?;
    for destination in &config.shipping.destinations {
        ship::check(&destination.export)?;
    }
    let mut attached = Attached::start(&config.sensor, &config.scope, &config.names, config.redaction.clone())?;
    let runtime = runtime()?;
    let _entered = runtime.enter();
    let metrics = Arc::new(Metrics::default());
    attached.judge_by(config.policies.clone(), &runtime, &metrics)?;
    let listener = TcpListener::from_std(listener)?;
    let kernel = KernelCounts::of(&attached.sensor);
    let source = Source::new(&metrics, move || kernel.read());
    let start = |to| Telemetry::start(to, &config.node, &source, &OwnLogs::global());
    let telemetry = config.telemetry.as_ref().map(start).transpose()?;
    let run = config.node.stream_id.parse().unwrap_or(Uuid(0));
    let inherited = config.shipping.is_accountable().then(|| attached.sensor.account(run.0));
    let (shipping, account) = Shipping::start(&config.shipping, run, &metrics, inherited)?;
    let parts = Parts { account, aggregate: config.aggregate, ..Parts::start(&runtime, attached, &metrics)? };
    let backend = parts.sensor.backend();
    let registry = registry(&source);
    runtime.spawn(admin::serve(listener, Arc::new(Shown { registry, metrics: Arc::clone(&metrics) })));
    tracing::info!(backend = backend.as_str(), destinations = %config.shipping, "running");
    let export = Export::new(shipping.routes.clone(), config.shipping.batch, &config.node, shipping.journal.clone());
    let reloading = Reloading::spawn(shipping, arguments, given, Arc::clone(&metrics))?;
    let export = parts.read(&runtime, config.sensor.drain_interval, export)?;
    metrics.health.sensor.set(false);
    export.finish();
    let shipping = runtime.block_on(reloading.stop()).ok_or(Error::Panicked)?;
    runtime.block_on(shipping.drain())?;
    let (events, delivered) = (metrics.emitted.get(), metrics.delivered.get());
    tracing::info!(events, delivered, "stopped: {}", metrics.drops());
    telemetry.into_iter().for_each(Telemetry::stop);
    Ok(())
}

/// Shows events until the printer has enough, or SIGTERM or SIGINT comes. `metrics` has the final counts on return.
///
/// # Errors
/// It cannot start.
pub fn trace<W>(config: &config::Trace, metrics: &Arc<Metrics>, printer: Printer<W>) -> Result<Printer<W>, Error>
where
    W: Write + Send + 'static,
{
    let mut attached = Attached::start(&config.sensor, &config.scope, &config.names, config.redaction.clone())?;
    let runtime = runtime()?;
    let _entered = runtime.enter();
    attached.judge_by(config.policies.clone(), &runtime, metrics)?;
    let parts = Parts::start(&runtime, attached, metrics)?;
    // Loading takes a moment, and a quiet node shows nothing: say when it counts.
    let _closed = writeln!(io::stderr(), "inotrail: watching by {}", parts.sensor.backend().as_str());
    parts.read(&runtime, config.sensor.drain_interval, printer)
}

/// Loads and attaches each backend, detaches it again, and says what happened. Not being able to is no error.
///
/// # Errors
/// This machine cannot be asked at all.
pub fn check(config: &config::Check) -> Result<Report, Error> {
    let hierarchy = Hierarchy::detect()?;
    let version = hierarchy.controller.map_or_else(|| "version 2".to_owned(), |name| format!("version 1, {name}"));
    let cgroups = format!("{version}, at {}", hierarchy.root.display());
    let names = runtime()?.block_on(container::report::check(&source(&config.names, hierarchy.clone())));
    let report = sensor::check(&options(&config.sensor, &config.scope, hierarchy), cgroups, &config.pin_dir);
    Ok(Report { names, ..report })
}

/// The sensor, and what containers are told by.
struct Attached {
    sensor: Sensor,
    source: ContainerConfig,
    processes: ProcessConfig,
    decoys: Option<DecoyConfig>,
    host: bool,
}

impl Attached {
    /// Attaches and then gives up the privileges that this took: before there is any other thread, which would keep them.
    fn start(
        sensor: &config::Sensor,
        scope: &config::Scope,
        names: &config::Names,
        redaction: Option<Arc<Redaction>>,
    ) -> Result<Self, Error> {
        let hierarchy = Hierarchy::detect()?;
        let source = self::source(names, hierarchy.clone());
        source.check()?;
        let processes = ProcessConfig { hierarchy: hierarchy.clone(), redaction };
        let sensor = Sensor::start(&options(sensor, scope, hierarchy))?;
        sensor::heap::give_back();
        let mut keep = privileges::to_change_maps(&Kernel::detect());
        if sensor.hooks().has_standby() {
            keep |= privileges::to_attach(Backend::Kprobe);
        }
        let Dropped { dropped, kept } = privileges::drop_all_but(keep).map_err(Error::Privileges)?;
        tracing::info!(dropped = dropped.join(" "), kept = kept.join(" "), "attached; dropped capabilities");
        Ok(Self { sensor, source, processes, decoys: None, host: scope.host })
    }

    /// Reports only what policies are about, where there is a source of such.
    fn judge_by(
        &mut self,
        policies: Option<PolicyConfig>,
        runtime: &Runtime,
        metrics: &Arc<Metrics>,
    ) -> Result<(), Error> {
        // The self-test went well.
        metrics.health.sensor.set(true);
        let excludes = self.source.kube.as_ref().is_some_and(|kube| !kube.excluded.is_empty());
        if policies.is_some() || excludes {
            self.source.filter = self.sensor.take_scopes().map(|scopes| Box::new(scopes) as _);
        }
        let Some(policies) = policies else { return Ok(()) };
        let health = health::of_node(self.sensor.hooks(), Arc::clone(metrics));
        if policies.decoys {
            let host = MountReader::new().map_err(decoy::Error::Processes)?.host_root();
            let (hierarchy, state) = (self.source.hierarchy.clone(), policies.state.clone());
            self.decoys = Some(DecoyConfig { hierarchy, host, state });
        }
        self.source.policies = Some(policy_source::spawn(policies, runtime.handle(), health)?);
        Ok(())
    }
}

/// Detaches what exporters left attached by pins; returns how many programs that were.
///
/// # Errors
/// An exporter runs, or the folder cannot be used.
pub fn detach(pin_dir: &Path) -> Result<usize, Error> {
    Ok(sensor::unpin(pin_dir).map_err(sensor::Error::from)?)
}

/// The stages up to the output, attached and not read yet.
struct Parts {
    sensor: Sensor,
    tables: (Containers, CgroupEvents),
    processes: ProcessTable,
    losses: Losses,
    news: (Receiver<ProcessScan>, Receiver<Outage>),
    metrics: Arc<Metrics>,
    planting: Option<Planting>,
    /// Nothing: nobody asks what became of this run.
    account: Option<Opened>,
    host: bool,
    aggregate: Option<Duration>,
}

impl Parts {
    fn start(runtime: &Runtime, attached: Attached, metrics: &Arc<Metrics>) -> Result<Self, Error> {
        let Attached { sensor, mut source, processes, decoys, host } = attached;
        warn_of_missing(sensor.mutations());
        let plant = |config| {
            let (wanted, receiver) = value::channel(decoy::Wanted::new());
            source.decoys = Some(wanted);
            decoy::spawn(config, receiver, Arc::clone(metrics), runtime.handle())
        };
        let planting = decoys.map(plant).transpose()?;
        let tables = container::spawn(source, Arc::clone(metrics), runtime.handle())?;
        runtime.spawn(watch(sensor.hooks()));
        let table = ProcessTable::new(processes.redaction.clone());
        let (losses, news) = Losses::of(&sensor, metrics, &tables.1, processes);
        let metrics = Arc::clone(metrics);
        Ok(Self {
            sensor,
            tables,
            processes: table,
            losses,
            news,
            metrics,
            planting,
            account: None,
            host,
            aggregate: None,
        })
    }

    /// Reads until the output has enough or a signal comes; then detaches, drains, and gives the output back.
    fn read<O>(self, runtime: &Runtime, interval: Duration, output: O) -> Result<O, Error>
    where
        O: Output + Send + 'static,
    {
        let Self { sensor, tables, processes, mut losses, news, metrics, planting, account, host, aggregate } = self;
        let mut pipeline = Pipeline::new(sensor.backend(), host, tables, processes, news, metrics, output);
        if let Some((account, unkept)) = account {
            pipeline.account_by(account, unkept);
        }
        pipeline.aggregate(sensor.repeats(), aggregate);
        if let Some(gap) = sensor.gap() {
            pipeline.gap(gap);
        }
        // Before the first event is shown: whoever sees one may send a signal.
        let signals = Signals::new()?;
        let mut reader = Reader::start(sensor, pipeline, interval)?;
        runtime.block_on(signals.wait(&mut reader, &mut losses));
        if let Some(planting) = planting {
            runtime.block_on(planting.stop());
        }
        let output = reader.stop().ok_or(Error::Panicked);
        losses.update();
        output
    }
}

/// Says which mutations were asked for and are not reported.
fn warn_of_missing(mutations: &[MutationReport]) {
    if let Some(first) = mutations.first()
        && mutations.iter().all(|row| row.reason == first.reason && !row.works)
    {
        tracing::warn!("no mutation is reported: {}", first.reason);
        return;
    }
    for row in mutations.iter().filter(|row| !row.works) {
        tracing::warn!(operation = row.operation, function = row.function, "not reported: {}", row.reason);
    }
}

fn mounts() -> Option<MountReader> {
    MountReader::new().inspect_err(|error| tracing::warn!(%error, "volumes and owners of files stay unknown")).ok()
}

fn source(names: &config::Names, hierarchy: Hierarchy) -> ContainerConfig {
    ContainerConfig {
        hierarchy,
        runtime: names.runtime.clone(),
        hook: names.hook.clone(),
        kube: names.kube.clone(),
        nri: names.nri.clone(),
        mounts: mounts(),
        policies: None,
        filter: None,
        decoys: None,
        resolve_within: names.resolve_within,
    }
}

fn options(sensor: &config::Sensor, scope: &config::Scope, hierarchy: Hierarchy) -> Options {
    Options {
        backend: sensor.backend,
        btf: sensor.btf.clone(),
        ring_bytes: sensor.ring_bytes,
        filter_entries: sensor.filter_entries,
        hierarchy,
        root: scope.root.clone(),
        exclude: scope.exclude.clone(),
        include_self: scope.include_self,
        mutations: sensor.mutations,
        pins: sensor.pin_dir.clone(),
        replace: false,
        // Who names a backend gets that one.
        swap: sensor.backend.is_none(),
    }
}

/// Lets kprobe take over when the kernel begins to skip fexit.
async fn watch(hooks: Hooks) {
    let mut ticks = tokio::time::interval(LOSSES_INTERVAL);
    while hooks.has_standby() {
        ticks.tick().await;
        let shared = hooks.clone();
        match tokio::task::spawn_blocking(move || shared.swap_if_missed()).await {
            Ok(Ok(Some(Swapped { missed, took_ms }))) => tracing::warn!(
                missed,
                took_ms,
                "the kernel skipped calls of fexit, as preemptible ones do: kprobe has taken over"
            ),
            Ok(Err(error)) => tracing::error!(%error, "the kernel skips calls of fexit, and kprobe cannot take over"),
            Ok(Ok(None)) => {}
            Err(_) => return,
        }
    }
}

/// Two workers: exporting and asking the runtime are all they do.
fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(2).thread_name("worker").enable_all().build()
}
