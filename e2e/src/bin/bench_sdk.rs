//! `bench-sdk N`: the requests of N events, by the opentelemetry SDK. Prints their bytes.

use anyhow::{Context as _, Result};
use e2e::bench::sample::Sample;
use e2e::bench::sdk;

#[expect(clippy::print_stdout, reason = "the count proves that the work was done")]
fn main() -> Result<()> {
    let events = std::env::args().nth(1).context("usage: bench-sdk EVENTS")?.parse()?;
    let mut bytes = 0;
    sdk::run(&Sample::default(), events, |request| bytes += request.len())?;
    println!("{bytes}");
    Ok(())
}
