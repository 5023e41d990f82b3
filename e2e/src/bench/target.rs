//! A Collector, and what is behind it.

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::ValueEnum;

use crate::accesses::base;
use crate::collector::{Collector, Ports};
use crate::receiver::{Received, Receiver};
use crate::stack::{self, Stack};

/// Until Loki has everything.
const LIMIT: Duration = Duration::from_secs(600);

/// The Collector's own count of what it has taken.
const ACCEPTED: &str = "otelcol_receiver_accepted_log_records";

/// What is behind the Collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum To {
    /// Nothing: the Collector's nop exporter
    Nop,
    /// A receiver of ours that sees each record, and whom the Collector waits for
    Receiver,
    /// Loki, behind the Collector's queue, as the project ships both
    Loki,
}

/// What the exporter sends to.
pub(super) enum Target {
    Alone(Box<Collector>, Option<Receiver>),
    Stack(Box<Stack>),
}

impl fmt::Display for To {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Nop => "nop",
            Self::Receiver => "receiver",
            Self::Loki => "Loki",
        })
    }
}

impl Target {
    /// With the configuration that is shipped, but for where it sends to.
    pub(super) fn start(to: To, folder: &Path) -> Result<Self> {
        let (receiver, config) = match to {
            To::Loki => return Ok(Self::Stack(Box::new(Stack::start(None, stack::Ports::Free)?))),
            To::Nop => (None, r"{exporters: {nop: }, service: {pipelines: {logs: {exporters: [nop]}}}}".to_owned()),
            To::Receiver => {
                let receiver = Receiver::start_without_trail(&base())?;
                let exporter = format!(
                    "endpoint: '{}', compression: none, tls: {{insecure: true}}, sending_queue: {{enabled: false}}, retry_on_failure: {{enabled: false}}",
                    receiver.address
                );
                let pipelines = "pipelines: {logs: {exporters: [otlp_grpc/bench]}}";
                (
                    Some(receiver),
                    format!("{{exporters: {{otlp_grpc/bench: {{{exporter}}}}}, service: {{{pipelines}}}}}"),
                )
            }
        };
        let [grpc, http, health, metrics] = stack::free_ports()?;
        let mut collector = Collector::new(folder, None, Ports { grpc, http, health, metrics })?;
        collector.command.arg("--config").arg(format!("yaml:{config}"));
        collector.start()?;
        Ok(Self::Alone(Box::new(collector), receiver))
    }

    pub(super) fn endpoint(&self) -> String {
        match self {
            Self::Alone(collector, _) => collector.endpoint(),
            Self::Stack(stack) => stack.otlp_endpoint.clone(),
        }
    }

    /// How many records the Collector has acknowledged.
    pub(super) fn accepted(&self) -> Result<u64> {
        match self {
            Self::Alone(collector, _) => collector.metric(ACCEPTED),
            Self::Stack(stack) => stack.collector_metric(ACCEPTED),
        }
    }

    /// The Collector's process; 0: it does not run.
    pub(super) fn pid(&self) -> u32 {
        match self {
            Self::Alone(collector, _) => collector.pid(),
            Self::Stack(stack) => stack.pids()[0],
        }
    }

    pub(super) fn kill(&mut self) -> Result<()> {
        match self {
            Self::Alone(collector, _) => collector.kill(),
            Self::Stack(stack) => stack.kill_collector(),
        }
    }

    pub(super) fn start_again(&mut self) -> Result<()> {
        match self {
            Self::Alone(collector, _) => collector.start(),
            Self::Stack(stack) => stack.start_collector(),
        }
    }

    /// Nothing where nobody sees records.
    pub(super) fn received(&self) -> Option<Received> {
        match self {
            Self::Alone(_, receiver) => receiver.as_ref().map(Receiver::received),
            Self::Stack(_) => None,
        }
    }

    /// Prints when all `made` are in Loki, if it is Loki.
    #[expect(clippy::print_stdout, reason = "the figures are what was asked for")]
    pub(super) fn print_end(&self, made: u64) -> Result<()> {
        let Self::Stack(stack) = self else { return Ok(()) };
        let start = Instant::now();
        let lines = || stack.loki.metric("loki_distributor_lines_received_total");
        let before = lines()?;
        crate::interrupt::wait_for("everything in Loki", LIMIT, || Ok((lines()? >= made).then_some(())))?;
        let (lines, seconds) = (lines()?, start.elapsed().as_secs_f64());
        println!("  Loki          {before:>12} records when the exporter was through, {lines} {seconds:.1} s later");
        let refused = stack.loki.metric("loki_discarded_samples_total")?;
        ensure!(refused == 0, "Loki refused {refused} records");
        Ok(())
    }
}
