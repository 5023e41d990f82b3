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
    /// Prove the sensor in machines with Debian's kernels
    Vm(e2e::vm::Args),
}

fn main() -> anyhow::Result<()> {
    match Args::parse().command {
        Command::Vm(args) => args.run(),
    }
}
