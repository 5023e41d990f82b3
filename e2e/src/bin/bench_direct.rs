//! `bench-direct N`: the requests of N events, by the exporter's encoder. Prints their bytes.

use anyhow::{Context as _, Result};
use e2e::bench::direct;
use e2e::bench::sample::Sample;

#[expect(clippy::print_stdout, reason = "the count proves that the work was done")]
fn main() -> Result<()> {
    let events = std::env::args().nth(1).context("usage: bench-direct EVENTS")?.parse()?;
    let mut bytes = 0;
    direct::run(&Sample::default(), events, |request| bytes += request.len());
    println!("{bytes}");
    Ok(())
}
