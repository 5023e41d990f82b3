//! The test bench.

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(about = "The test bench of inotrail")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure against the peers
    Bench {
        #[command(subcommand)]
        what: Bench,
    },
    /// Render the chart's examples and its README anew
    Chart,
    /// Start containers of 50 ms, many at once, and see whether each one's first access gets its name
    Churn(e2e::churn::Args),
    /// Run a Kubernetes cluster on this machine until Ctrl-C
    Cluster(e2e::cluster::Args),
    /// Show the accesses of a container as they happen
    Demo(e2e::demo::Args),
    /// Feed damaged inputs to what reads bytes of others
    Fuzz(e2e::fuzz::Args),
    /// Run every test in every machine, and write the README's table
    Matrix(e2e::vm::MatrixArgs),
    /// Run a Collector and a Loki on loopback until Ctrl-C
    Stack(e2e::stack::Args),
    /// Build the servers that tests and the demo run
    Tools(e2e::tools::Args),
    /// Prove the sensor in machines with Debian's kernels
    Vm(e2e::vm::Args),
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// Write down what must not grow unseen: e2e/baseline.json
    Baseline,
    /// What the programs add to a C build
    Compile(e2e::bench::compile::Args),
    /// What it costs to hand a record to a reader on another processor
    Delivery(e2e::bench::delivery::Args),
    /// What an event costs in user space, from the ring buffer's record to the bytes of a request
    Event(e2e::bench::event::Args),
    /// What an event costs beside a Collector that tails the same events as JSON lines
    Filelog(e2e::bench::filelog::Args),
    /// Every figure that has a goal, in one run
    Goals(e2e::bench::goals::Args),
    /// Instructions that a record costs the kernel, and its delivery
    Hook(e2e::bench::hook::Args),
    /// How long after an access it is found in Loki
    Latency(e2e::bench::latency::Args),
    /// Instructions, time and allocations that an event's look-ups take
    Lookup,
    /// Bytes per container and per process
    Memory,
    /// Instructions that an unwanted open costs the kernel
    Miss(e2e::bench::miss::Args),
    /// What comes of a Collector that is away: what is lost, in which order the rest comes, and how fast
    Outage(e2e::bench::outage::Args),
    /// Memory of an exporter for many policies about many pods of a real cluster
    Policies(e2e::bench::policies::Args),
    /// Records that workloads store, with equal accesses told in one
    Repeats(e2e::bench::repeats::Args),
    /// Memory of an exporter with many pods and many accesses
    Rss(e2e::bench::rss::Args),
    /// What clusters of many nodes need: processors, memory, bytes, watches
    Scale(e2e::bench::scale::Args),
    /// Time that being told of containers before they start adds to their start
    Start(e2e::bench::start::Args),
    /// How many records and opens a second the exporter takes without loss, and what becomes of more
    Throughput(e2e::bench::throughput::Args),
}

fn main() -> anyhow::Result<()> {
    match Args::parse().command {
        Command::Bench { what: Bench::Baseline } => e2e::bench::baseline::write(),
        Command::Bench { what: Bench::Compile(args) } => args.run(),
        Command::Bench { what: Bench::Delivery(args) } => args.run(),
        Command::Bench { what: Bench::Event(args) } => args.run(),
        Command::Bench { what: Bench::Filelog(args) } => args.run(),
        Command::Bench { what: Bench::Goals(args) } => args.run(),
        Command::Bench { what: Bench::Hook(args) } => args.run(),
        Command::Bench { what: Bench::Latency(args) } => args.run(),
        Command::Bench { what: Bench::Lookup } => e2e::bench::lookup(),
        Command::Bench { what: Bench::Memory } => e2e::bench::memory(),
        Command::Bench { what: Bench::Miss(args) } => args.run(),
        Command::Bench { what: Bench::Outage(args) } => args.run(),
        Command::Bench { what: Bench::Policies(args) } => args.run(),
        Command::Bench { what: Bench::Repeats(args) } => args.run(),
        Command::Bench { what: Bench::Rss(args) } => args.run(),
        Command::Bench { what: Bench::Scale(args) } => args.run(),
        Command::Bench { what: Bench::Start(args) } => args.run(),
        Command::Bench { what: Bench::Throughput(args) } => args.run(),
        Command::Chart => e2e::chart::write(),
        Command::Churn(args) => args.run(),
        Command::Cluster(args) => args.run(),
        Command::Demo(args) => args.run(),
        Command::Fuzz(args) => args.run(),
        Command::Matrix(args) => args.run(),
        Command::Stack(args) => args.run(),
        Command::Tools(args) => args.run(),
        Command::Vm(args) => args.run(),
    }
}
