//! Configuration -> running stages. The only place that knows them all; `run` and `trace` read as the boot order.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::rand::{GetRandomFlags, getrandom};
use thiserror::Error;
use tokio::runtime::{Builder, Runtime};

use crate::admin::{self, Shown};
use crate::batch::{Batch, Limits};
use crate::container::cgroup::{self, Hierarchy};
use crate::container::{self, CgroupEvents, ContainerConfig, Containers};
use crate::event::{Event, Node};
use crate::metrics::{Metrics, registry};
use crate::pipeline::{Output, Pipeline};
use crate::process::{ProcessScan, ProcessTable};
use crate::sensor::report::Report;
use crate::sensor::{self, Sensor};
use crate::ship::{self, Ship};
use crate::sink::Printer;
use crate::{config, node};

mod export;
mod losses;
mod reader;

use export::Export;
use losses::Losses;
use reader::Reader;

/// What is left of a shutdown for sending what was batched. Kubernetes kills after 30 s.
const SHUTDOWN: Duration = Duration::from_secs(20);
/// How often the kernel's losses are read.
const LOSSES_INTERVAL: Duration = Duration::from_secs(1);

/// Why it cannot start.
#[derive(Debug, Error)]
pub enum Error {
    /// No cgroup hierarchy.
    #[error(transparent)]
    Hierarchy(#[from] cgroup::Error),
    /// Containers cannot be told apart.
    #[error(transparent)]
    Container(#[from] container::Error),
    /// The programs do not run.
    #[error(transparent)]
    Sensor(#[from] sensor::Error),
    /// The administration server cannot listen.
    #[error(transparent)]
    Admin(#[from] admin::Error),
    /// The exporter's side of the network cannot be set up.
    #[error(transparent)]
    Ship(#[from] ship::Error),
    /// A thread or a signal handler could not be made.
    #[error("cannot start: {0}")]
    Start(#[from] io::Error),
}

/// Runs the exporter until SIGTERM or SIGINT; returns when everything is drained.
///
/// # Errors
/// It cannot start.
pub fn run(config: config::Run) -> Result<(), Error> {
    let runtime = runtime()?;
    let metrics = Arc::new(Metrics::default());
    let listener = runtime.block_on(admin::bind(config.listen))?;
    let node = node::describe(&config.node);
    let ship = Ship::new(config.export.ship(), Arc::clone(&metrics))?;
    let (queue, shipping) = runtime.block_on(async { ship.spawn() });
    let export = Export::new(Batch::new(config.export.limits(), node), queue, Arc::clone(&metrics));
    let parts = Parts::start(&runtime, &config.sensor, &config.scope, config.containerd.as_ref(), &metrics)?;
    let losses = parts.losses(&metrics);
    let kernel = losses.reader();
    let shown = Arc::new(Shown {
        registry: registry(&metrics, parts.sensor.backend(), move || kernel.counts()),
        metrics: Arc::clone(&metrics),
    });
    runtime.spawn(admin::serve(listener, shown));
    tracing::info!(backend = parts.sensor.backend().as_str(), endpoint = %config.export.endpoint, "running");
    let (export, mut losses) = parts.read(&runtime, &metrics, losses, &config, export)?;
    export.finish();
    runtime.block_on(shipping.drain(SHUTDOWN));
    losses.update();
    metrics.health.sensor.set(false);
    tracing::info!(summary = %metrics.summary(), "stopped");
    Ok(())
}
