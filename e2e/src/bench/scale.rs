//! What clusters of many nodes need: a model, and the measurements that it is made of and checked by.

mod behind;
mod model;
mod node;
mod senders;
mod status;
mod table;

use std::fmt;

use anyhow::{Context as _, Result};
use serde::Serialize;

use self::behind::Behind;
use self::model::{Asked, Costs, Need, Work};
use self::node::{Cluster, Node};
use self::status::Statuses;
use super::output::Output;

/// Exporters that send to one Collector.
const EXPORTERS: [usize; 3] = [1, 10, 100];
/// Pods of a node.
const PODS: [usize; 4] = [1, 10, 100, 500];
/// Nodes that say something of a policy.
const NODES: [usize; 3] = [10, 50, 200];
/// As many as a policy's status takes.
const ROOM: usize = 1_000;
/// What the README's section is written by.
const WRITER: &str = "e2e bench scale --readme";

/// `e2e bench scale`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Records a second, of all exporters together
    #[arg(long, default_value_t = 2_000)]
    rate: usize,
    /// Seconds for which they send
    #[arg(long, default_value_t = 20)]
    seconds: u32,
    #[command(flatten)]
    output: Output,
}

/// All of it.
#[derive(Debug, Serialize)]
struct Report {
    behind: Vec<Behind>,
    nodes: Vec<Node>,
    statuses: Statuses,
    costs: Costs,
    needs: Vec<Need>,
    work: Vec<Work>,
    asked: Vec<Asked>,
}

impl Args {
    /// Prints what a Collector and a Loki take for records of 1 to 100 exporters, an exporter for 1 to 500 pods, the API server for
    /// statuses of many nodes, and what follows of that for more.
    ///
    /// # Errors
    /// Something does not run here, or a record is missing in Loki.
    pub fn run(&self) -> Result<()> {
        self.output.tell(&self.measure()?, WRITER)
    }

    fn measure(&self) -> Result<Report> {
        let exporter = node::exporter()?;
        let mut behind = Vec::new();
        for count in EXPORTERS {
            eprintln!("{count} exporters, {} records a second, {} s", self.rate, self.seconds);
            behind.push(Behind::measure(count, self.rate, self.seconds).inspect(|one| eprintln!("{one:?}"))?);
        }
        let mut cluster = Cluster::start()?;
        let mut nodes = Vec::new();
        for pods in PODS {
            eprintln!("an exporter, {pods} pods");
            nodes.push(cluster.measure(&exporter, pods).inspect(|one| eprintln!("{one:?}"))?);
        }
        let statuses = status::measure(&cluster, &NODES, ROOM)?;
        let (first, last) = (behind.first().context("nothing measured")?, behind.last().context("nothing measured")?);
        let costs = Costs::of(first, last);
        let watches = nodes.first().map_or(0, |node| node.watches.values().sum());
        let largest = statuses.taken.last().context("no status was taken")?;
        let (needs, work) = (model::needs(&costs), model::work(&costs));
        let asked = model::asked(watches, largest, ROOM);
        Ok(Report { behind, nodes, statuses, costs, needs, work, asked })
    }
}

impl fmt::Display for Report {
    /// In Markdown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&table::all(self))
    }
}
